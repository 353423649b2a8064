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
# # A small data set, from tasks to pairs
#
# A dozen tasks of the bank are answered wrongly, run, and mended; what comes out becomes preference pairs. On the way things are dropped, and each drop has a
# reason that is counted. Here is where everything went, and one debugging history seen line by line. It takes some seconds on a CPU and needs no language model.

# %%
import tempfile
from collections import Counter
from dataclasses import replace
from difflib import SequenceMatcher
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt

from iterpref.build import build_generator, build_limits, build_sandbox
from iterpref.codeflow.bank import load_bank
from iterpref.codeflow.features.tree import read_tree
from iterpref.codeflow.pair_stages import pairs_stage
from iterpref.codeflow.problems import take_evenly
from iterpref.codeflow.stages import trajectories_stage
from iterpref.codeflow.suites import asserts_suite
from iterpref.codeflow.tally import DroppedPair
from iterpref.config import Config
from iterpref.schema import PreferencePair, Problem, SourceFile, Statistic, Trajectory

GREEN, RED, AMBER, GREY = "#2e7d4f", "#c0392b", "#c98a1b", "#c4c9cf"

config = Config()
config.debug.samples, config.debug.max_refinements, config.debug.repeat = 3, 3, 1
config.generate.wrong_repair = 0.4  # more mistakes on the way than by default, so that there is something to see
config.pairs.max_d_minus_lines = 1  # strict, for the same reason
config.sandbox.cpu_s = 0.3  # these tasks need milliseconds; what runs longer hangs
data = Path(tempfile.mkdtemp())

# %% [markdown]
# ## 1. The tasks, and two that cannot judge
#
# A task's tests are frozen before anything runs on them. They must pass its reference, and they must fail a program whose functions do nothing. One task more of each
# kind shows what happens otherwise.

# %%
problems = take_evenly(load_bank(), 10)
adding = Problem("demo/adds", "Write add(x), x plus 1.", asserts_suite("assert add(1) == 2"))
reference = (SourceFile("solution.py", "def add(x):\n    return x + 1\n"),)
problems += [
    replace(adding, task_id="demo/wrong", tests=asserts_suite("assert add(1) == 3"), reference=reference),
    replace(adding, task_id="demo/empty", tests=asserts_suite("assert add(1) is None or True"), reference=reference),
]

trajectories = trajectories_stage(
    data, problems, build_generator(config.generate, data), lambda: build_sandbox(config.sandbox), build_limits(config.sandbox), config.debug, seed=0
)  # fmt: skip
pairs = pairs_stage(data, trajectories, config.pairs, seed=0)
counts = trajectories.manifest["counts"]
print(f"{counts['problems']} tasks, dropped: {counts['problems_dropped']}")
print(f"{counts['trajectories']} histories: {counts['status']}")
print(f"{pairs.manifest['counts']['pairs']} pairs, dropped: {pairs.manifest['counts']['dropped']}")

# %% [markdown]
# ## 2. The funnel
#
# Nothing is lost without a word: at every step, what goes on and what is dropped add up to what came.

# %%
samples, solved = config.debug.samples, counts["status"]["solved"]
dropped = pairs.manifest["counts"]["dropped"]
steps = [
    ("asked for", counts["problems"] * samples, {k: n * samples for k, n in counts["problems_dropped"].items()}),
    ("debugged", counts["trajectories"], {k: n for k, n in counts["status"].items() if k != "solved"}),
    ("solved", solved, {k: n for k, n in dropped.items() if k not in counts["status"]}),
    ("pairs", pairs.manifest["counts"]["pairs"], {}),
]
for (_, total, gone), (_, following, _) in pairwise(steps):
    assert total - sum(gone.values()) == following

figure, axis = plt.subplots(figsize=(9, 2.8), constrained_layout=True)
for y, (_, total, gone) in enumerate(reversed(steps)):
    goes_on = total - sum(gone.values())
    axis.barh(y, goes_on, color=GREEN, height=0.6)
    left = goes_on
    for i, (reason, n) in enumerate(sorted(gone.items(), key=lambda item: -item[1])):
        axis.barh(y, n, left=left, color=(RED, AMBER, GREY)[i % 3], height=0.6)
        axis.annotate(
            f"{reason}: {n}", (left + n / 2, y + (0.42 if i % 2 == 0 else -0.42)), ha="center", va="center", fontsize=8
        )
        left += n
    axis.text(goes_on / 2, y, str(goes_on), ha="center", va="center", color="white", fontweight="bold")
axis.set_yticks(range(len(steps)), [name for name, _, _ in reversed(steps)])
axis.set_ylim(-0.7, len(steps) - 0.3)
axis.set_xlabel("histories")
axis.spines[["top", "right"]].set_visible(False)

for row in pairs.read("dropped", DroppedPair)[:4]:
    print(f"{row.place}: {row.reason} {row.detail}")

# %% [markdown]
# ## 3. Verdicts by iteration
#
# The sandbox alone says what a version is worth. Each column holds the histories that got that far: a history ends with its first pass, or after the last revision.

# %%
statistics = trajectories.read("statistics", Statistic)
verdicts = sorted({s.value for s in statistics if s.name == "verdict"}, key=lambda v: (v != "PASS", v != "FAIL", v))
iterations = range(config.debug.max_refinements + 1)
seen = {(s.value, s.i): s.count for s in statistics if s.name == "verdict"}
rates = trajectories.manifest["pass_rate_by_iteration"]

figure, (left_axis, right_axis) = plt.subplots(1, 2, figsize=(9, 3), constrained_layout=True, width_ratios=(3, 2))
floor = [0] * len(iterations)
colours = {"PASS": GREEN, "FAIL": RED, "ERROR": AMBER}
for verdict in verdicts:
    heights = [seen.get((verdict, i), 0) for i in iterations]
    left_axis.bar(iterations, heights, bottom=floor, color=colours.get(verdict, GREY), label=verdict)
    floor = [a + b for a, b in zip(floor, heights, strict=True)]
left_axis.set_xticks(iterations)
left_axis.set_xlabel("iteration")
left_axis.set_ylabel("histories")
left_axis.legend(frameon=False, fontsize=8, ncol=len(verdicts), loc="lower center", bbox_to_anchor=(0.5, 1))
right_axis.plot(iterations, [100 * rate for rate in rates], "o-", color=GREEN)
right_axis.set_xticks(iterations)
right_axis.set_ylim(0, 100)
right_axis.set_xlabel("iteration")
right_axis.set_ylabel("% of histories solved")
for axis in (left_axis, right_axis):
    axis.spines[["top", "right"]].set_visible(False)
print("solved by iteration:", ", ".join(f"{i}: {rate:.0%}" for i, rate in enumerate(rates)))

# %% [markdown]
# ## 4. One history, line by line
#
# Each panel is a version, each bar one of its lines, as long and as far in as the line is. Red lines are gone in the next version, green ones were not in the one before. The
# last version passes: it becomes y+, and one of the failing ones y-.

# %%
histories = trajectories.read("trajectories", Trajectory)
history = max((t for t in histories if t.status == "solved"), key=lambda t: (len(t.iterations), t.trajectory_id))
programs = [attempt.files[0].text.rstrip("\n").split("\n") for attempt in history.iterations]
print(history.trajectory_id, "-", history.prompt.split("\n")[0])
for attempt in history.iterations:
    print(
        f"  version {attempt.i}: {attempt.verdict:<6} {attempt.n_pass} of {attempt.n_pass + attempt.n_fail} tests  {attempt.detail[:60]}"
    )


def changed(before: list[str], after: list[str]) -> tuple[set[int], set[int]]:
    """Numbers of the lines that only `before` has, and of those that only `after` has."""
    gone, new = set(), set()
    for tag, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag != "equal":
            gone |= set(range(a, b))
            new |= set(range(c, d))
    return gone, new


figure, axes = plt.subplots(
    1,
    len(programs),
    figsize=(9, 0.16 * max(map(len, programs)) + 1),
    sharey=True,
    constrained_layout=True,
    squeeze=False,
)
for i, (axis, program) in enumerate(zip(axes[0], programs, strict=True)):
    gone = changed(program, programs[i + 1])[0] if i + 1 < len(programs) else set()
    new = changed(programs[i - 1], program)[1] if i else set()
    for number, line in enumerate(program):
        indent = len(line) - len(line.lstrip())
        colour = RED if number in gone else GREEN if number in new else GREY
        axis.barh(number, len(line) - indent, left=indent, height=0.75, color=colour)
    attempt = history.iterations[i]
    axis.set_title(f"{attempt.i}: {attempt.verdict}", color=GREEN if attempt.verdict == "PASS" else RED, fontsize=10)
    axis.set_xlim(0, 100)
    axis.set_xticks([])
    axis.spines[["top", "right", "bottom"]].set_visible(False)
axes[0][0].invert_yaxis()
_ = axes[0][0].set_ylabel("line")

# %% [markdown]
# ## 5. The pair that it became
#
# D- are the lines of y- outside of the longest common subsequence with y+: the lines that training will blame.

# %%
(pair,) = [p for p in pairs.read("pairs", PreferencePair) if p.pair_id.startswith(history.trajectory_id)] or [None]
if pair is None:
    (drop,) = [d for d in pairs.read("dropped", DroppedPair) if d.place == history.trajectory_id]
    print(f"no pair: {drop.reason} {drop.detail}")
else:
    print(f"y- is version {pair.rejected_iter}, y+ version {pair.chosen_iter}; {pair.note}")
    for number, line in enumerate(pair.rejected.split("\n")):
        print(f"  {'-' if number in pair.d_minus else ' '} {line}")
    for number in pair.d_plus:
        print(f"  + {pair.chosen.split(chr(10))[number]}")

# %% [markdown]
# ## 6. Where more tasks come from
#
# With a language model (`problems=features`) tasks are written about features drawn from a tree, so that the breadth of a data set comes from the tree. Drawing needs no model:

# %%
tree = read_tree(None, config.problems.features.each)
drawn: set[tuple[str, ...]] = set()
features = [tree.sample(i, config.problems.features.each, 0, drawn) for i in range(600)]
for sample in features[:4]:
    print("  " + "   +   ".join(sample))
domains = Counter(sample[0].split("/")[0] for sample in features)
aspects = Counter(feature.split("/")[0] for sample in features for feature in sample[1:])
assert len(drawn) == 600

figure, axis = plt.subplots(figsize=(9, 3.4), constrained_layout=True)
names = [*sorted(domains), *sorted(aspects)]
axis.barh(
    range(len(names)), [(domains | aspects)[n] for n in names], color=[GREEN] * len(domains) + [AMBER] * len(aspects)
)
axis.set_yticks(range(len(names)), names, fontsize=8)
axis.invert_yaxis()
axis.set_xlabel("of 600 samples: one domain each (green), and two aspects (amber)")
axis.spines[["top", "right"]].set_visible(False)
