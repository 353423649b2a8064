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
# # What each mask rule punishes
#
# Focal DPO stands or falls with which tokens of y- carry the blame. Here one pair goes through every localiser and every mask rule; counted tokens
# are shaded, the darker the more weight. It takes some seconds, and no model: only the tokenizer of the tests' tiny one.

# %%
import warnings

warnings.filterwarnings("ignore", message="IProgress not found")  # bars are text here

from dataclasses import replace
from html import escape
from pathlib import Path

import iterpref
from iterpref.config import DataConfig, MaskConfig
from iterpref.data.diff import localise
from iterpref.data.masking import tokenise_pairs
from iterpref.data.tokenise import encode_completions
from iterpref.models.policy import load_tokenizer
from iterpref.reporting.highlight import visible
from iterpref.schema import PreferencePair

tokenizer = load_tokenizer(Path(iterpref.__file__).parent / "models" / "tiny")
CHOSEN = '''Here is the function:
```python
def moving_average(values, width):
    """Mean of each window of `width` values."""
    if width < 1:
        raise ValueError("width")
    total = sum(values[:width])
    means = [total / width]
    for i in range(width, len(values)):
        total += values[i] - values[i - width]
        means.append(total / width)
    return means
```'''
REJECTED = CHOSEN.replace("range(width, len(values))", "range(width, len(values) - 1)").replace(
    "values[i - width]", "values[i - width + 1]"
)


def pair_of(rejected: str, chosen: str, algorithm: str = "lcs", empty: str = "literal") -> PreferencePair:
    """As the pairs stage makes it."""
    found = localise(rejected, chosen, algorithm)
    return PreferencePair(
        "demo", "demo", "train", "", "Write moving_average.", chosen, rejected, 1, 0, "", found.d_minus, found.d_plus,
        found.blamed(empty), found.d_plus_spans, algorithm, empty, False,
    )  # fmt: skip


def weights_of(pair: PreferencePair, mask: MaskConfig, seed: int = 0) -> dict[str, list[float]]:
    (example,), _ = tokenise_pairs([pair], [pair.prompt], tokenizer, mask, DataConfig(), seed)
    return {"chosen": list(example.chosen_mask), "rejected": list(example.rejected_mask)}


class Shaded:
    """A completion with its weights: as HTML in a notebook, as text on a terminal."""

    def __init__(self, title: str, text: str, weights: list[float]) -> None:
        self.title, self.text, self.weights = title, text, weights
        (self.tokens,) = encode_completions(tokenizer, [text], ["the demo"])

    def _repr_html_(self) -> str:
        spans = zip(self.tokens.starts, self.tokens.ends, self.weights, strict=False)
        code = "".join(
            f'<span style="background: rgba(214, 64, 69, {0.55 * weight:.2f})">{escape(visible(self.text[a:b]))}</span>'
            for a, b, weight in spans
        )
        style = "font-family: ui-monospace, Menlo, Consolas, monospace; font-size: .82rem; line-height: 1.45; overflow-x: auto"
        return f'<b>{escape(self.title)}</b>: {self.told()}<pre style="{style}">{code}</pre>'

    def told(self) -> str:
        some = sum(w > 0 for w in self.weights)
        return f"{some} of {len(self.weights)} tokens count, weight {sum(self.weights):.1f}; EOS {self.weights[-1]:g}"

    def __repr__(self) -> str:
        heavy = [0.0] * (self.text.count("\n") + 1)
        for start, weight in zip(self.tokens.starts, self.weights, strict=False):
            line = self.text.count("\n", 0, start)
            heavy[line] = max(heavy[line], weight)
        rows = [
            f"{'#' if w == 1 else '.' if w else ' '} {line}"
            for w, line in zip(heavy, self.text.split("\n"), strict=True)
        ]
        return "\n".join([f"{self.title}: {self.told()}", *rows, ""])


def show(title: str, pair: PreferencePair, mask: MaskConfig, side: str = "rejected", seed: int = 0) -> None:
    shaded = Shaded(title, getattr(pair, side), weights_of(pair, mask, seed)[side])
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        get_ipython = None
    if get_ipython and get_ipython():
        display(shaded)
    else:
        print(shaded)


pair = pair_of(REJECTED, CHOSEN)

# %% [markdown]
# ## 1. The five rules on y-
#
# `full` is plain DPO: it also punishes the lines that are right. `focal` is the paper's. `diff_aug` takes one or two lines around, drawn once a
# pair. `soft` keeps a tenth of the weight everywhere else.

# %%
for rule in ("full", "fence", "focal", "diff_aug", "soft"):
    show(f"mask.rejected={rule}", pair, MaskConfig(rejected=rule))

# %%
counts = {
    rule: sum(w > 0 for w in weights_of(pair, MaskConfig(rejected=rule))["rejected"])
    for rule in ("full", "fence", "focal", "diff_aug")
}
assert counts["focal"] < counts["diff_aug"] < counts["fence"] < counts["full"], counts

# %% [markdown]
# The number of context lines is a matter of pair and seed, and of nothing else: every epoch, policy and reference see the same.

# %%
for seed in (0, 1, 2, 3):
    print(f"seed {seed}:", sum(weights_of(pair, MaskConfig(rejected="diff_aug"), seed)["rejected"]), "tokens")

# %% [markdown]
# ## 2. y+: all of it, from the fence on, or D+ alone
#
# The paper counts all of y+ (`mask=paper`), its public code counts from the first python fence on (`mask=official`), and the ablation "Symmetric"
# only D+ - which the paper finds to fail.

# %%
for rule in ("full", "fence", "focal"):
    show(f"mask.chosen={rule}", pair, MaskConfig(chosen=rule), side="chosen")

# %% [markdown]
# ## 3. Lines or words
#
# `pairs.diff=token_lcs` looks inside each replaced line: only the words that differ are blamed. A model's token belongs to such a word when it holds
# one of its characters.

# %%
for algorithm in ("lcs", "token_lcs"):
    show(f"pairs.diff={algorithm}", pair_of(REJECTED, CHOSEN, algorithm), MaskConfig())

# %% [markdown]
# ## 4. Where ndiff and LCS differ
#
# `difflib.ndiff`, which the public code uses, takes the longest *block* of equal lines first and works outward from it. Here y- runs the clean-up before the
# work: one block was moved. The longest equal block is the clean-up, so ndiff matches that and blames four scattered lines that are right; LCS keeps as
# many lines as it can, and blames the block that stands in the wrong place.

# %%
CLEAN_UP = ["    lock.release()", "    handle.flush()", "    handle.close()"]
WORK = [
    "    header = read_header(handle)",
    "    {}check(header)",
    "    rows = read_rows(handle)",
    "    {}check(rows)",
    "    total = add_up(rows)",
    "    {}store(total)",
    "    report(total)",
]
moved_good = "\n".join(["def run(handle, lock):", *[line.format("") for line in WORK], *CLEAN_UP])
moved_bad = "\n".join(["def run(handle, lock):", *CLEAN_UP, *[line.format("un") for line in WORK]])
for algorithm in ("ndiff", "lcs"):
    show(f"pairs.diff={algorithm}", pair_of(moved_bad, moved_good, algorithm), MaskConfig())

# %%
lcs, ndiff = (localise(moved_bad, moved_good, algorithm) for algorithm in ("lcs", "ndiff"))
print(f"LCS blames {len(lcs.d_minus)} lines, ndiff {len(ndiff.d_minus)}")
assert len(lcs.d_minus) < len(ndiff.d_minus)

# %% [markdown]
# `prefix_suffix`, the paper's other ablation, blames whatever stands between the first and the last fault, right or wrong.

# %%
show("pairs.diff=prefix_suffix", pair_of(moved_bad, moved_good, "prefix_suffix"), MaskConfig())

# %% [markdown]
# ## 5. When y- only lacks a line
#
# Then D- is empty: there is no wrong token. `literal` counts nothing (K- = 0), `drop` filters the pair, and `anchor` blames the first token
# after the gap: what was written where the missing line should have begun.

# %%
lacking = CHOSEN.replace('    if width < 1:\n        raise ValueError("width")\n', "")
for empty in ("literal", "anchor"):
    show(f"pairs.empty_d_minus={empty}", pair_of(lacking, CHOSEN, empty=empty), MaskConfig())

# %% [markdown]
# ## 6. Tokens that straddle lines
#
# A token belongs to the line that it *starts* in. Many tokenizers have tokens such as `):` with its newline; that newline is then blamed with its line, and
# the indentation that follows with the next one. A blank line can lie wholly inside a token of the line before: then no token starts in D-, and the
# pair is dropped and counted.

# %%
blank = replace(pair_of("x = 1\n\n\ny = 2\n", "x = 1\ny = 2\n"), pair_id="blank")
examples, drops = tokenise_pairs([blank], ["p"], tokenizer, MaskConfig(), DataConfig())
(tokens,) = encode_completions(tokenizer, [blank.rejected], ["blank"])
print([blank.rejected[a:b] for a, b in zip(tokens.starts, tokens.ends, strict=True)], "dropped:", drops or "no")
