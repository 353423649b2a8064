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
# model gets its focal DPO loss. Every intermediate is shown. It takes some seconds on a CPU.

# %%
import tempfile
from pathlib import Path

import torch

from iterpref.build import build_generator, build_limits, build_sandbox
from iterpref.codeflow.bank import load_bank
from iterpref.codeflow.debug import debug
from iterpref.codeflow.pairs import make_pair
from iterpref.config import Config
from iterpref.data.collate import collate
from iterpref.data.masking import tokenise_pairs
from iterpref.losses import combine, pair_sums
from iterpref.models.policy import load_model, load_tokenizer, render_prompts, scored_logits
from iterpref.models.source import resolve_model
from iterpref.ops import token_logratio

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
trajectory = debug(
    problem,
    build_generator(config.generate),
    sandbox,
    sample=0,
    seed=0,
    max_refinements=6,
    limits=build_limits(config.sandbox),
)
sandbox.close()
for attempt in trajectory.iterations:
    print(f"version {attempt.i}: {attempt.verdict:<6} {attempt.detail:<60} {attempt.note}")

# %% [markdown]
# ## 2. The pair, and the lines that differ
#
# y+ is the last version, y- one failing version before it. D- are the lines of y- outside the longest common subsequence of lines.

# %%
pair = make_pair(trajectory, config.pairs, seed=0)
assert not isinstance(pair, str), pair
lines = pair.rejected.split("\n")
for number, line in enumerate(lines):
    print("-" if number in pair.d_minus else " ", line)

# %% [markdown]
# ## 3. Tokens and masks
#
# A token is blamed when it starts in a line of D-. K+ counts all of y+, K- only what is blamed.

# %%
folder = resolve_model(config.model, Path(tempfile.mkdtemp()), seed=0)
tokenizer = load_tokenizer(folder)
prompts = render_prompts(tokenizer, [pair.prompt], config.model)
(example,), drops = tokenise_pairs([pair], prompts, tokenizer, config.mask, config.data)
blamed = [
    tokenizer.decode([token])
    for token, weight in zip(example.rejected_ids, example.rejected_mask, strict=True)
    if weight
]
print(len(example.rejected_ids), "rejected tokens, blamed:", blamed)

# %% [markdown]
# ## 4. A batch, log-ratios, the loss
#
# The common prefix of both versions runs once. The reference is the start model, so every log-ratio is zero before training and the focal
# term is log 2.

# %%
policy = load_model(folder, config.model)
batch = collate([example], packing="shared", pad_id=tokenizer.pad_token_id)
logits_RV = scored_logits(policy, batch)
every_R = torch.ones_like(batch.labels_R, dtype=torch.bool)
ratios = token_logratio(logits_RV, batch.labels_R, every_R, ref_logits_RV=logits_RV.detach().clone())
sums = pair_sums(ratios, batch)
parts = combine(sums, config.loss, step_pairs=1)
print(f"K+ {sums.k_plus_P.item():.4f}  K- {sums.k_minus_P.item():.4f}")
print(f"focal {parts.preference.item():.4f}  NLL {parts.nll.item():.4f}  loss {parts.loss.item():.4f}")

# %% [markdown]
# ## 5. One step
#
# After one step on this pair the policy prefers y+ to the blamed tokens of y-.

# %%
optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-3)
reference_RV = logits_RV.detach().clone()
parts.loss.backward()
optimizer.step()
with torch.no_grad():
    ratios = token_logratio(scored_logits(policy, batch), batch.labels_R, every_R, ref_logits_RV=reference_RV)
sums = pair_sums(ratios, batch)
margin = (sums.k_plus_P - sums.k_minus_P).item()
print(f"K+ - K- after one step: {margin:.3f}")
assert margin > 0
