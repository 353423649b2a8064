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
# # A sweep, and a loss of one's own in it
#
# A loss is written in a cell, swept against the built-in one by the same command line as ever, and read: the leaderboard, the curves, and what each setting
# did to the tokens that were wrong. A tiny model with random weights on a handful of tasks: half a minute on a CPU, and no result about code.

# %%
import warnings

warnings.filterwarnings("ignore", message="IProgress not found")  # bars are text here

import json
import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import torch
import torch.nn.functional as F

from iterpref.config import LossConfig
from iterpref.losses import preference_loss
from iterpref.registry import LINKS
from iterpref.sweeps.record import SweepRecord
from iterpref.train import main

os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)
place = Path(os.environ.get("ITERPREF_NOTEBOOK", tempfile.mkdtemp()))

# %% [markdown]
# ## 1. A loss
#
# DPO asks for a margin K+ - K-, and does not care where it comes from: K- may grow as long as K+ grows faster. This one asks each side for itself: y+ is to become
# likelier, and the wrong tokens of y- less likely. Registered under a name it is an option from here on; nothing in the package is edited. `docs/extending.md` has
# masks, localisers, task sources and benchmarks.


# %%
@LINKS.register("apart")
def apart(k_plus_P, k_minus_P, config):
    """`-logsigmoid(beta K+) - logsigmoid(-beta K-)`, [P]."""
    return -F.logsigmoid(config.beta * k_plus_P) - F.logsigmoid(-config.beta * k_minus_P)


GREY, BLUE = "#8a8f98", "#1f6f8b"
k = torch.linspace(-60, 60, 241)
plus, minus = torch.meshgrid(k, k, indexing="xy")
figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.6), layout="constrained", sharey=True)
for axis, name in zip(axes, ("sigmoid", "apart"), strict=True):
    values = preference_loss(plus, minus, LossConfig(link=name, beta=0.1))
    drawn = axis.contourf(k, k, values, levels=[0, 0.1, 0.3, 0.7, 1.5, 3, 6, 12], cmap="Blues")
    axis.plot(0, 0, "o", color="#c0392b", markersize=5)
    axis.set(title=f"loss.link={name}", xlabel="K+ (nats)")
axes[0].set_ylabel("K\u2212 (nats)")
_ = figure.colorbar(drawn, ax=axes, label="loss (nats)", ticks=[0, 0.3, 1.5, 6])

# %% [markdown]
# The red dot is where training starts. Along the diagonal `sigmoid` stays as it is; `apart` has its least value in one corner alone.
#
# ## 2. The sweep
#
# Four jobs: two losses, two rates. `main` is the command `python -m iterpref.train`. Each job has a folder named by what it varies; run this cell again and nothing
# is repeated.

# %%
sweep = place / "sweep"
main([
    "-m", "experiment=smoke", "problems.limit=4", "debug.samples=1", "model.hidden=32", "data.global_batch=2", "data.micro_batch=2",
    "data.max_train_pairs=2", "trainer.epochs=12", "loss.alpha=0", "loss.link=sigmoid,apart", "optim.lr=1e-3,5e-3",
    "sweep.metric=val/focal_margin", f"paths.data='{place / 'data'}'", f"hydra.sweep.dir='{sweep}'",
    "hydra/hydra_logging=disabled",
])  # fmt: skip

# %% [markdown]
# ## 3. The leaderboard
#
# `sweep.json` has each job with its state, its values and its last validation's metrics. The files beside it are for other readers: `leaderboard.csv`, `.md` and `.png`.

# %%
record = SweepRecord.read(sweep)
board = pd.DataFrame([{**row.swept, **row.metrics, "folder": row.folder} for row in record.ranked()])
assert len(board) == 4
assert set(board["loss.link"]) == {"sigmoid", "apart"}
names = {"loss.link": "loss", "optim.lr": "rate", "val/focal_margin": "margin",
         "val/focal_chosen_logratio": "D+", "val/focal_rejected_logratio": "D-"}  # fmt: skip
print("held out, nats on the tokens that differ")
print(board[list(names)].rename(columns=names).to_string(index=False, float_format="{:.3g}".format))

# %% [markdown]
# ## 4. How each loss got its margin
#
# K+ and K- of the training pairs, as rewards (times beta). A random model learns first to write like this data at all, which lifts both sides; `sigmoid` lets K- rise with
# K+, `apart` holds it down.

# %%
figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.4), layout="constrained", sharey=True)
for axis, rate in zip(axes, sorted(set(board["optim.lr"])), strict=True):
    for _, row in board[board["optim.lr"] == rate].iterrows():
        curve = pd.read_csv(sweep / row["folder"] / "metrics.csv").dropna(subset=["train/chosen_reward"])
        colour = {"sigmoid": GREY, "apart": BLUE}[row["loss.link"]]
        axis.plot(curve["step"], curve["train/chosen_reward"], "-", color=colour, label=f"{row['loss.link']}: K+")
        axis.plot(
            curve["step"], curve["train/rejected_reward"], "--", color=colour, label=f"{row['loss.link']}: K\u2212"
        )
    axis.axhline(0, color="#c9cdd2", linewidth=1, zorder=0)
    axis.set(title=f"optim.lr={rate:g}", xlabel="optimizer step")
    axis.spines[["top", "right"]].set_visible(False)
axes[0].set_ylabel("\u03b2 K (nats)")
_ = axes[0].legend(frameon=False, fontsize=8)

# %%
fastest = board[board["optim.lr"] == board["optim.lr"].max()].set_index("loss.link")
print(
    {link: round(float(fastest.loc[link, "val/focal_rejected_logratio"]), 2) for link in fastest.index},
    "nats on held-out D- tokens",
)
assert fastest.loc["apart", "val/focal_rejected_logratio"] < fastest.loc["sigmoid", "val/focal_rejected_logratio"]

# %% [markdown]
# ## 5. What a job is
#
# Each run folder says what it was: overrides, versions, data, seconds by stage. `python -m iterpref.train --rerun FOLDER` repeats it.

# %%
best = sweep / board["folder"][0]
about = json.loads((best / "run.json").read_text())
print(best.name)
print("overrides:", *about["overrides"], sep="\n  ")
print("data:", about["data"]["tokens"], " seconds:", about["stage_seconds"])
