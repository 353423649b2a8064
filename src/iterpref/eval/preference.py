"""Held-out pairs: does the policy, against its reference, prefer y+ to y-, and the tokens of D+ to those of D-?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from iterpref.data.reference_cache import ReferenceLogps
from iterpref.data.tokenise import encode_completions
from iterpref.eval.passk import bootstrap_mean
from iterpref.losses import TIE_NATS
from iterpref.schema import Example, FloatRow, IntRow, PreferencePair, Span

Row = dict[str, float]


def preference_row(example: Example, policy: ReferenceLogps, *, length_normalised: bool = False) -> Row:
    """Metrics of one pair, in nats; `example` carries the reference log-probs, `policy` those of the evaluated model.

    margin = K+ - K- with the masks of training, and its normalisation; focal_margin = log-ratio over D+ minus log-ratio over D-.
    Log-probs (`logps`) and log-ratios are sums over the whole completion, over the tokens of D+ or D- (`focal`), and over
    all others (`elsewhere`).
    """
    chosen, rejected = _ratios(example, policy)
    k_plus, k_minus = _scores(example, policy, length_normalised)
    focal_chosen, focal_rejected = _dot(example.chosen_focal, chosen), _dot(example.rejected_focal, rejected)
    chosen_logps, rejected_logps = sum(policy.chosen_ref_logps), sum(policy.rejected_ref_logps)
    focal_chosen_logps = _dot(example.chosen_focal, policy.chosen_ref_logps)
    focal_rejected_logps = _dot(example.rejected_focal, policy.rejected_ref_logps)
    # As in training: a mean over w tokens has one w-th of its sum's rounding error.
    shortest = max(min(float(sum(example.chosen_mask)), float(sum(example.rejected_mask))), 1)
    return {
        "accuracy": _win(k_plus - k_minus, TIE_NATS / shortest if length_normalised else TIE_NATS),
        "margin": k_plus - k_minus,
        "focal_accuracy": _win(focal_chosen - focal_rejected, TIE_NATS),
        "focal_margin": focal_chosen - focal_rejected,
        "chosen_logps": chosen_logps,
        "rejected_logps": rejected_logps,
        "focal_chosen_logps": focal_chosen_logps,
        "focal_rejected_logps": focal_rejected_logps,
        "elsewhere_chosen_logps": chosen_logps - focal_chosen_logps,
        "elsewhere_rejected_logps": rejected_logps - focal_rejected_logps,
        "chosen_logratio": sum(chosen),
        "rejected_logratio": sum(rejected),
        "focal_chosen_logratio": focal_chosen,
        "focal_rejected_logratio": focal_rejected,
        "elsewhere_chosen_logratio": sum(chosen) - focal_chosen,
        "elsewhere_rejected_logratio": sum(rejected) - focal_rejected,
    }


def _ratios(example: Example, policy: ReferenceLogps) -> tuple[list[float], list[float]]:
    assert example.chosen_ref_logps is not None
    assert example.rejected_ref_logps is not None
    chosen = [float(p - r) for p, r in zip(policy.chosen_ref_logps, example.chosen_ref_logps, strict=True)]
    rejected = [float(p - r) for p, r in zip(policy.rejected_ref_logps, example.rejected_ref_logps, strict=True)]
    return chosen, rejected


def _scores(example: Example, policy: ReferenceLogps, length_normalised: bool) -> tuple[float, float]:
    """(K+, K-): `losses.scores` of one pair."""
    masks = (example.chosen_mask, example.rejected_mask)
    k_plus, k_minus = (
        _dot(mask, ratios) / ((float(sum(mask)) or 1) if length_normalised else 1)
        for mask, ratios in zip(masks, _ratios(example, policy), strict=True)
    )
    return k_plus, k_minus


def _dot(weights: FloatRow | IntRow, values: Sequence[float]) -> float:
    return float(sum(w * v for w, v in zip(weights, values, strict=True)))


def _win(margin: float, tie: float) -> float:
    return 0.5 if abs(margin) <= tie else float(margin > 0)


def summarise(rows: Sequence[Row]) -> dict[str, Any]:
    """Mean of each metric over pairs with its 95 % bootstrap interval, and the number of pairs."""
    return {"n_pairs": len(rows), **{name: bootstrap_mean([row[name] for row in rows]) for name in rows[0]}}


def token_table(
    pair: PreferencePair, example: Example, policy: ReferenceLogps, offsets: dict[str, list[Span]],
    *, length_normalised: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """One held-out pair with its per-token log-probs, as the report shows it."""
    sides: dict[str, tuple[Any, ...]] = {
        "chosen": (example.chosen_mask, example.chosen_focal, policy.chosen_ref_logps, example.chosen_ref_logps),
        "rejected": (
            example.rejected_mask,
            example.rejected_focal,
            policy.rejected_ref_logps,
            example.rejected_ref_logps,
        ),
    }
    k_plus, k_minus = _scores(example, policy, length_normalised)
    return {
        "pair_id": pair.pair_id, "task_id": pair.task_id, "note": pair.note, "prompt": pair.prompt,
        "chosen": pair.chosen, "rejected": pair.rejected, "d_minus": list(pair.d_minus), "d_plus": list(pair.d_plus),
        "k_plus": k_plus,
        "k_minus": k_minus,
        "focal_margin": preference_row(example, policy)["focal_margin"],
        "tokens": {
            side: [
                {"start": span.start, "end": span.end, "mask": float(mask), "focal": int(focal), "logp": round(logp, 4), "ref_logp": round(float(ref or 0), 4)}
                for span, mask, focal, logp, ref in zip(offsets[side][: len(columns[0])], *columns, strict=True)
            ]
            for side, columns in sides.items()
        },
    }  # fmt: skip


def completion_spans(tokenizer: Any, text: str) -> list[Span]:
    """Characters of each token of a completion; its EOS stands at the end and covers none."""
    (tokens,) = encode_completions(tokenizer, [text], ["a completion"])
    spans = map(Span, tokens.starts.tolist(), tokens.ends.tolist())
    return [*spans, Span(len(text), len(text))]


def pair_spans(tokenizer: Any, pair: PreferencePair) -> dict[str, list[Span]]:
    """`completion_spans` of both sides."""
    return {side: completion_spans(tokenizer, getattr(pair, side)) for side in ("chosen", "rejected")}
