"""Held-out pairs: does the policy, against its reference, prefer y+ to y-, and the tokens of D+ to those of D-?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from iterpref.data.reference_cache import ReferenceLogps
from iterpref.eval.passk import bootstrap_mean
from iterpref.losses import TIE_NATS
from iterpref.schema import Example, PreferencePair, Span

Row = dict[str, float]


def preference_row(example: Example, policy: ReferenceLogps) -> Row:
    """Metrics of one pair, in nats; `example` carries the reference log-probs, `policy` those of the evaluated model.

    margin = K+ - K- with the masks of training; focal_margin = log-ratio over D+ minus log-ratio over D-.
    """
    assert example.chosen_ref_logps is not None
    assert example.rejected_ref_logps is not None
    chosen = [p - r for p, r in zip(policy.chosen_ref_logps, example.chosen_ref_logps, strict=True)]
    rejected = [p - r for p, r in zip(policy.rejected_ref_logps, example.rejected_ref_logps, strict=True)]
    margin = _dot(example.chosen_mask, chosen) - _dot(example.rejected_mask, rejected)
    focal_chosen, focal_rejected = _dot(example.chosen_focal, chosen), _dot(example.rejected_focal, rejected)
    return {
        "accuracy": _win(margin),
        "margin": margin,
        "focal_accuracy": _win(focal_chosen - focal_rejected),
        "focal_margin": focal_chosen - focal_rejected,
        "chosen_logps": sum(policy.chosen_ref_logps),
        "rejected_logps": sum(policy.rejected_ref_logps),
        "chosen_logratio": sum(chosen),
        "rejected_logratio": sum(rejected),
        "focal_chosen_logratio": focal_chosen,
        "focal_rejected_logratio": focal_rejected,
    }


def _dot(weights: Sequence[float], values: Sequence[float]) -> float:
    return sum(w * v for w, v in zip(weights, values, strict=True))


def _win(margin: float) -> float:
    return 0.5 if abs(margin) <= TIE_NATS else float(margin > 0)


def summarise(rows: Sequence[Row]) -> dict[str, Any]:
    """Mean of each metric over pairs with its 95 % bootstrap interval, and the number of pairs."""
    return {"n_pairs": len(rows), **{name: bootstrap_mean([row[name] for row in rows]) for name in rows[0]}}


def token_table(
    pair: PreferencePair, example: Example, policy: ReferenceLogps, offsets: dict[str, list[Span]]
) -> dict[str, Any]:
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
    margins = preference_row(example, policy)
    return {
        "pair_id": pair.pair_id, "task_id": pair.task_id, "note": pair.note, "prompt": pair.prompt,
        "chosen": pair.chosen, "rejected": pair.rejected, "d_minus": list(pair.d_minus), "d_plus": list(pair.d_plus),
        "k_plus": _dot(example.chosen_mask, _difference(*sides["chosen"][2:])),
        "k_minus": _dot(example.rejected_mask, _difference(*sides["rejected"][2:])),
        "focal_margin": margins["focal_margin"],
        "tokens": {
            side: [
                {"start": span.start, "end": span.end, "mask": mask, "focal": focal, "logp": round(logp, 4), "ref_logp": round(ref or 0.0, 4)}
                for span, mask, focal, logp, ref in zip(offsets[side], *columns, strict=True)
            ]
            for side, columns in sides.items()
        },
    }  # fmt: skip


def _difference(policy: Sequence[float], reference: Sequence[float] | None) -> list[float]:
    return [p - r for p, r in zip(policy, reference or (), strict=True)]


def completion_spans(tokenizer: Any, text: str) -> list[Span]:
    """Characters of each token of a completion; its EOS stands at the end and covers none."""
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    return [*(Span(begin, end) for begin, end in offsets), Span(len(text), len(text))]
