# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # One pair, from text to loss
#
# One task of the bank is debugged by execution, the history becomes a preference pair, the wrong tokens are found, and a tiny
# model gets its focal DPO loss. Every intermediate is shown, and every sum is checked by hand. It takes some seconds on a CPU.

# %%
import warnings

warnings.filterwarnings("ignore", message="IProgress not found")  # bars are text here

import asyncio
import math
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib.pyplot as plt
import torch

from iterpref.build import build_generator, build_limits, build_sandbox
from iterpref.codeflow.bank import load_bank
from iterpref.codeflow.debug import debug
from iterpref.codeflow.pairs import make_pair
from iterpref.config import Config, LossConfig
from iterpref.data.collate import collate
from iterpref.data.masking import tokenise_pairs
from iterpref.eval.preference import completion_spans
from iterpref.losses import combine, pair_sums
from iterpref.models.policy import load_model, load_tokenizer, render_prompts, scored_logits
from iterpref.models.source import resolve_model
from iterpref.ops import TokenLogRatio, token_logratio
from iterpref.schema import PreferencePair

config = Config()
config.model.source, config.model.name = "tiny", "tiny"

# %% [markdown]
# ## 1. A problem, and its debugging history
#
# The embedded debugger puts bugs into the reference and mends them one by one; the sandbox runs each version on the frozen tests.

# %%
problem = next(p for p in load_bank() if p.task_id == "bank/logic/coffee_card_points")
print(problem.prompt)

# %%
sandbox = build_sandbox(config.sandbox)


async def run(request):
    return sandbox.run(request)


history = debug(
    problem,
    build_generator(config.generate, Path(config.paths.data)),
    run,
    sample=0,
    seed=0,
    max_refinements=6,
    limits=build_limits(config.sandbox),
)
with ThreadPoolExecutor(1) as pool:  # a notebook's own thread has a loop already
    trajectory = pool.submit(asyncio.run, history).result()
sandbox.close()
for attempt in trajectory.iterations:
    print(f"version {attempt.i}: {attempt.verdict:<6} {attempt.detail:<60} {attempt.note}")

# %% [markdown]
# ## 2. The pair, the lines that differ, and their characters
#
# y+ is the last version, y- one failing version before it. D- are the lines of y- outside the longest common subsequence of lines, D+ those of y+.
# What leaves this step are spans of characters: no tokenizer has been asked yet.

# %%
pair = make_pair(trajectory, config.pairs, seed=0)
assert isinstance(pair, PreferencePair), pair
for name, text, lines, spans, sign in (
    ("y-", pair.rejected, pair.d_minus, pair.d_minus_spans, "-"),
    ("y+", pair.chosen, pair.d_plus, pair.d_plus_spans, "+"),
):
    print(name)
    for number, line in enumerate(text.split("\n")):
        print(f"  {sign if number in lines else ' '} {line}")
    for span in spans:
        print(f"  characters {span.start} to {span.end}: {text[span.start : span.end]!r}")

# %% [markdown]
# ## 3. Tokens and masks
#
# A token is blamed when it *starts* in a line of D-; tokens may straddle lines. By the paper's masks K+ counts all of y+ (m = 1 everywhere, its end of
# sequence included), and K- only what is blamed.

# %%
folder = resolve_model(config.model, Path(tempfile.mkdtemp()), seed=0)
tokenizer = load_tokenizer(folder)
prompts = render_prompts(tokenizer, [pair.prompt], config.model)
(example,), drops = tokenise_pairs([pair], prompts, tokenizer, config.mask, config.data)
assert not drops

SIDES = {
    "y+": (pair.chosen, [int(i) for i in example.chosen_ids], [float(m) for m in example.chosen_mask]),
    "y-": (pair.rejected, [int(i) for i in example.rejected_ids], [float(m) for m in example.rejected_mask]),
}
text, ids, mask = SIDES["y-"]
spans = completion_spans(tokenizer, text)
first = mask.index(1.0)
print(f"{len(ids)} tokens of y-, {sum(mask):.0f} of them blamed; the first blamed one is number {first}")
print(" number     id  characters  m-  text")
for i in range(max(first - 3, 0), min(first + 12, len(ids))):
    print(f"{i:7d} {ids[i]:6d} {spans[i].start:5d}-{spans[i].end:<5d} {mask[i]:3.0f}  {tokenizer.decode([ids[i]])!r}")

# %% [markdown]
# ## 4. Log-ratios
#
# The reference is the start model. So before training every log-ratio r = log pi - log pi_ref is zero, the preference term is log 2, and the NLL of a model
# that knows nothing is about log 1024 = 6.93 nats a token. The common prefix of both versions runs once (`packing="shared"`).

# %%
policy, reference = load_model(folder, config.model), load_model(folder, config.model)
batch = collate([example], packing="shared", pad_id=tokenizer.pad_token_id)
every_R = torch.ones_like(batch.labels_R, dtype=torch.bool)
with torch.no_grad():
    reference_RV = scored_logits(reference, batch)


def log_ratios() -> TokenLogRatio:
    return token_logratio(scored_logits(policy, batch), batch.labels_R, every_R, ref_logits_RV=reference_RV)


start = combine(pair_sums(log_ratios(), batch), config.loss, step_pairs=1)
print(f"preference term {start.preference.item():.4f} = log 2 = {math.log(2):.4f}")
print(
    f"NLL of y+ {start.nll.item():.2f} = {start.nll.item() / len(example.chosen_ids):.2f} nats for each of its tokens"
)
assert abs(start.preference.item() - math.log(2)) < 1e-3

# %% [markdown]
# Three steps on this pair move the policy, and there is something to see. A row of the batch may serve both sides: below each side gets its own column again.

# %%
torch.manual_seed(0)
optimizer = torch.optim.AdamW(policy.parameters(), lr=3e-4)
for _ in range(3):
    optimizer.zero_grad()
    combine(pair_sums(log_ratios(), batch), config.loss, step_pairs=1).loss.backward()
    optimizer.step()

with torch.no_grad():
    ratios = log_ratios()


def column(values_R: torch.Tensor, side: str) -> list[float]:
    """The values of one side's tokens, in their order."""
    entries = batch.entry_sequence_E == ("y+", "y-").index(side)
    return values_R[batch.entry_row_E[entries]].tolist()


print("          token    log pi   log pi_ref        r   m-   m- r")
r = column(ratios.logratio_R, "y-")
logps, ref_logps = column(ratios.policy_logps_R, "y-"), column(ratios.ref_logps_R, "y-")
for i in range(max(first - 3, 0), min(first + 12, len(ids))):
    shown = repr(tokenizer.decode([ids[i]]))
    print(f"{shown:>15} {logps[i]:9.4f} {ref_logps[i]:12.4f} {r[i]:8.4f} {mask[i]:4.0f} {mask[i] * r[i]:8.4f}")

# %% [markdown]
# ## 5. K+, K-, the margin and the loss, by hand
#
# The sums of the columns, then equations 6 to 8, with nothing but the standard library.

# %%
k = {side: sum(m * r for m, r in zip(SIDES[side][2], column(ratios.logratio_R, side), strict=True)) for side in SIDES}
margin = k["y+"] - k["y-"]
by_hand = {
    "preference": -math.log(1 / (1 + math.exp(-config.loss.beta * margin))),
    "nll": -sum(column(ratios.policy_logps_R, "y+")),
}
by_hand["loss"] = by_hand["preference"] + config.loss.alpha * by_hand["nll"]

sums = pair_sums(ratios, batch)
parts = combine(sums, config.loss, step_pairs=1)
print(
    f"K+ = {k['y+']:.4f}   K- = {k['y-']:.4f}   margin = {margin:.4f}   beta * margin = {config.loss.beta * margin:.4f}"
)
for name, value in by_hand.items():
    print(f"{name:<10} by hand {value:10.4f}   by iterpref.losses {getattr(parts, name).item():10.4f}")
    assert math.isclose(value, getattr(parts, name).item(), rel_tol=1e-4)
assert math.isclose(k["y+"], sums.k_plus_P.item(), abs_tol=1e-3)
assert math.isclose(k["y-"], sums.k_minus_P.item(), abs_tol=1e-3)
assert margin > 0

# %% [markdown]
# Masks and losses are independent: the same K+ and K- under other links, and as means over the masks.

# %%
for loss in (
    LossConfig(alpha=0),
    LossConfig(alpha=0, label_smoothing=0.1),
    LossConfig(alpha=0, link="hinge"),
    LossConfig(alpha=0, link="ipo"),
    LossConfig(alpha=0, link="ipo", length_normalised=True),
):
    value = combine(sums, loss, step_pairs=1).loss.item()
    normalised = ", length normalised" * loss.length_normalised
    print(f"{loss.link:<8} beta {loss.beta} smoothing {loss.label_smoothing}{normalised}: {value:.4f}")

# %% [markdown]
# ## 6. The gradient on each token
#
# A step of gradient descent pushes log pi(y_t) by minus the loss's derivative. With s = sigmoid(-beta margin), the doubt that is left,
#
# - as a token of y+ it gets `beta s m+ + alpha`: always up, and by alpha = 1 more than the preference term can give, beta s <= 0.1;
# - as a token of y- it gets `-beta s m-`: down where it is blamed, nothing elsewhere;
# - a token of the common prefix is both, and gets the sum. In full DPO (m- = 1) the preference term cancels itself on the whole prefix. Here it does so
#   only where D- begins before the texts part, as on the first tokens of a changed line.

# %%
logps_R = ratios.policy_logps_R.detach().requires_grad_()
on_tokens = TokenLogRatio(logps_R - ratios.ref_logps_R, logps_R, ratios.ref_logps_R)
combine(pair_sums(on_tokens, batch), config.loss, step_pairs=1).loss.backward()
push_R = -logps_R.grad

doubt = 1 / (1 + math.exp(config.loss.beta * margin))
hand_R = [0.0] * len(logps_R)
for row, sequence, weight in zip(
    batch.entry_row_E.tolist(), batch.entry_sequence_E.tolist(), batch.weights_E.tolist(), strict=True
):
    as_chosen = sequence == 0
    hand_R[row] += config.loss.beta * doubt * weight * (1 if as_chosen else -1) + config.loss.alpha * as_chosen

print(f"doubt s = {doubt:.4f}, beta s = {config.loss.beta * doubt:.4f}")
push, hand, shared = (column(v, "y-") for v in (push_R, torch.tensor(hand_R), batch.entry_row_E.bincount() - 1.0))
for i in range(max(first - 3, 0), min(first + 12, len(ids))):
    where = "both" if shared[i] else "y-"
    print(
        f"{tokenizer.decode([ids[i]])!r:>15} in {where:<4} m- {mask[i]:.0f}  push {push[i]:+.4f}  by hand {hand[i]:+.4f}"
    )
assert torch.allclose(push_R, torch.tensor(hand_R), atol=1e-4)

# %% [markdown]
# ## 7. The picture
#
# Log-ratios of both sides after those three steps: tokens of D+ in green, of D- in red. A model that knows nothing is lifted almost everywhere by the summed
# NLL of eq. 7; `loss.nll=mean` (the public code) or `loss=target_dpo` (no NLL) leave more to the preference term.

# %%
figure, axes = plt.subplots(2, 1, figsize=(9, 4.5), sharey=True, constrained_layout=True)
for axis, side, focal, colour in (
    (axes[0], "y+", example.chosen_focal, "tab:green"),
    (axes[1], "y-", example.rejected_focal, "tab:red"),
):
    values = column(ratios.logratio_R, side)
    axis.bar(range(len(values)), values, color=[colour if f else "0.75" for f in focal])
    axis.axhline(0, color="0.3", linewidth=0.8)
    axis.set_ylabel(f"log-ratio, {side} (nats)")
axes[1].set_xlabel("token of the completion")

means = {}
for side, focal in (("y+", example.chosen_focal), ("y-", example.rejected_focal)):
    values = column(ratios.logratio_R, side)
    means[side] = sum(v for v, f in zip(values, focal, strict=True) if f) / max(sum(focal), 1)
print(f"mean log-ratio of a token: D+ {means['y+']:+.3f}, D- {means['y-']:+.3f}")
