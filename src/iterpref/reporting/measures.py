"""The numbers of the page: the before/after table, the funnel, and the sentence under the title."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from iterpref.codeflow import quality
from iterpref.reporting.gather import Run


@dataclass(frozen=True)
class Interval:
    """A measured value with its 95 % interval, where one is known."""

    mean: float
    low: float | None = None
    high: float | None = None
    note: str = ""

    @classmethod
    def from_row(cls, row: dict[str, Any] | None, name: str = "mean", note: str = "") -> Interval | None:
        if not row or row.get(name) is None or not math.isfinite(row[name]):
            return None
        low, high = (
            end if end is not None and math.isfinite(end) else None for end in (row.get("low"), row.get("high"))
        )
        return cls(row[name], low, high, note)


@dataclass(frozen=True)
class Measure:
    """One row of the before/after table."""

    name: str
    how: str  # one line that says how to read it
    before: Interval | None
    after: Interval | None
    share: bool  # in [0, 1], shown in per cent
    neutral: float | None = None  # what chance, or an untrained policy, scores

    def text(self, value: float) -> str:
        return f"{100 * value:.1f} %" if self.share else _signed(f"{value:.{self._digits}f}")

    def bounds(self, value: Interval) -> str:
        if value.low is None or value.high is None or value.low == value.high:  # an untrained policy: 0, exactly
            return ""
        scale = 100 if self.share else 1
        return _signed(f"{scale * value.low:.{self._digits}f}, {scale * value.high:.{self._digits}f}")

    @property
    def _digits(self) -> int:
        large = any(abs(v.mean) >= 10 for v in (self.before, self.after) if v)
        return 1 if self.share or large else 2

    @property
    def change(self) -> str:
        if self.before is None or self.after is None:
            return ""
        delta = self.after.mean - self.before.mean
        return _signed(f"{100 * delta:+.1f} pts" if self.share else f"{delta:+.{self._digits}f}")

    @property
    def plot(self) -> list[dict[str, float]] | None:
        """Both intervals on an axis of length 100, which is [0, 1] for a share, else the range of the values."""
        known = [v for v in (self.before, self.after) if v is not None]
        ends = [e for v in known for e in (v.mean, v.low, v.high) if e is not None] + [self.neutral or 0.0]
        low, high = (0.0, 1.0) if self.share else (min(ends), max(ends))
        if not known or high == low:
            return None

        def at(value: float) -> float:
            return round(100 * (value - low) / (high - low), 1)

        return [
            {
                "low": at(v.mean if v.low is None else v.low),
                "mean": at(v.mean),
                "high": at(v.mean if v.high is None else v.high),
                "neutral": at(self.neutral or 0.0),
                "after": float(v is self.after),
            }
            for v in known
        ]


def _signed(text: str) -> str:
    return text.replace("-", "\u2212")


# Key in "preference", name, how to read it, share, neutral value.
_PREFERENCE = (
    ("accuracy", "Preference accuracy",
     "Held-out pairs in which training moved the correct answer ahead of the wrong one. Ties count half: an untrained "
     "policy starts at 50 %.", True, 0.5),
    ("focal_accuracy", "Focal accuracy",
     "The same, counting only the tokens of the lines that differ (D+ and D\u2212).", True, 0.5),
    ("margin", "Margin",
     "How far the correct answer moved ahead of the wrong one. 0 before training; more is better.", False, 0.0),
    ("focal_margin", "Focal margin", "The same, counting only the tokens of the lines that differ.", False, 0.0),
    ("chosen_logps", "Log-prob of the correct answer",
     "Nats for the whole answer. It should rise, or at least not fall.", False, None),
    ("rejected_logps", "Log-prob of the wrong answer",
     "Nats for the whole answer. It may rise too: most of its tokens are correct code.", False, None),
    ("chosen_logratio", "Log-ratio of the correct answer",
     "Change of its log-prob against the start weights, nats.", False, 0.0),
    ("rejected_logratio", "Log-ratio of the wrong answer", "The same for the wrong answer.", False, 0.0),
    ("focal_chosen_logratio", "Focal log-ratio, correct lines",
     "Change on the tokens of D+ alone: above 0, the mended lines became more likely.", False, 0.0),
    ("focal_rejected_logratio", "Focal log-ratio, wrong lines",
     "Change on the tokens of D\u2212 alone: below 0, the wrong lines became less likely.", False, 0.0),
    ("elsewhere_chosen_logratio", "Log-ratio elsewhere, correct answer", "Change on all its other tokens.", False, 0.0),
    ("elsewhere_rejected_logratio", "Log-ratio elsewhere, wrong answer", "The same for the wrong answer.", False, 0.0),
)  # fmt: skip


_CALIBRATION = (
    "How far sigmoid(\u03b2 margin), the probability that the correct answer is preferred, is from how often it is ahead: a mean "
    "over ten bins."
)
_BRIER = "Mean square of what that probability lacks to 1. An untrained policy has 0.25; less is better."


def measures(before: dict[str, Any] | None, after: dict[str, Any] | None, *, per_token: bool = False) -> list[Measure]:
    """The rows of the before/after table that at least one side has; `per_token` for a loss whose K+ and K- are means."""
    how = "Tasks of the held-out split whose first answer passes all its tests." + _turned(before, after)
    rows = [Measure("pass@1", how, _pass_at_1(before), _pass_at_1(after), True)]
    sides = [(side or {}).get("preference") or {} for side in (before, after)]
    for key, name, sentence, share, neutral in _PREFERENCE:
        first, second = (Interval.from_row(side.get(key)) for side in sides)
        sentence += " Here a mean per token, as in the loss." if per_token and key == "margin" else ""
        rows.append(Measure(name, sentence, first, second, share, neutral))
    trust = [(side or {}).get("calibration") or {} for side in (before, after)]
    first, second = (Interval.from_row(side, "ece") for side in trust)
    rows.append(Measure("Calibration error", _CALIBRATION, first, second, True))
    first, second = (Interval.from_row(side.get("brier")) for side in trust)
    rows.append(Measure("Brier score", _BRIER, first, second, False, 0.25))
    return [row for row in rows if row.before or row.after]


def _pass_at_1(side: dict[str, Any] | None) -> Interval | None:
    row = (side or {}).get("pass_at_1")
    return Interval.from_row(row, "rate", f"{row['n_passed']} of {row['n_tasks']}") if row else None


def _turned(before: dict[str, Any] | None, after: dict[str, Any] | None) -> str:
    if not before or not after:
        return ""
    solved, lost = turned_tasks(before, after)
    return f" Newly solved: {len(solved)}; no longer solved: {len(lost)}."


def turned_tasks(before: dict[str, Any], after: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Task ids that only the trained model solves, and those that only the start weights solved."""
    passed = [{t["task_id"]: t["verdict"] == "PASS" for t in side.get("tasks") or []} for side in (before, after)]
    both = [task_id for task_id in passed[0] if task_id in passed[1]]
    return (
        [t for t in both if passed[1][t] and not passed[0][t]],
        [t for t in both if passed[0][t] and not passed[1][t]],
    )


@dataclass(frozen=True)
class Stage:
    """One step of the funnel: how many came out, and why the others did not."""

    name: str
    count: int
    drops: tuple[tuple[str, int], ...] = ()
    note: str = ""
    width: float = 100.0  # per cent of the longest bar


_REASONS = {
    **quality.REASONS,
    "refused": "the model gave no usable answer",
    "unfit": "its tests can judge nothing",
    "filter_judge": "the judge sees no logical difference",
    "judge_unreadable": "the judge gave no verdict",
    "unsolved": "never passed its tests",
    "solved_at_once": "passed at once: no bug to learn from",
    "no_failing_version": "no version with a failing verdict",
    "filter_identical": "both answers are the same text",
    "filter_max_characters": "too long to be compared",
    "filter_comment_only": "D\u2212 holds only comments and blank lines",
    "filter_docstring_only": "D\u2212 holds only docstrings and comments",
    "filter_chosen_parses": "the chosen answer is no Python that parses",
    "filter_near_duplicate": "nearly the same as an earlier pair",
    "filter_contamination": "holds a task of an evaluation set",
    "prompt_in_held_out_split": "its prompt is held out in another split",
    "answer_over_several_turns": "an answer of several turns",
    "more_than_text": "images or calls of tools beside the text",
    "bad_row": "no pair can be read in the row",
    "filter_d_minus_lines": "too many lines in D\u2212",
    "filter_ast_equal": "both versions have the same syntax tree",
    "filter_empty_d_minus": "nothing stands in D\u2212",
}


_NO_PAIR = ("unsolved", "solved_at_once", "refused", "unfit")  # ends of trajectories that give no pair


def funnel(run: Run) -> list[Stage]:
    """tasks -> trajectories -> solved -> pairs -> tokenised, as far as manifests are there; each drop by its reason."""
    stages: list[Stage] = []
    counts = run.counts("trajectories")
    if counts:
        status = dict(counts.get("status") or {})
        stages.append(Stage("tasks", counts["problems"], _reasons(counts.get("problems_dropped"))))
        stages.append(Stage("trajectories", counts["trajectories"], _reasons(counts.get("lost"))))
        lost = {reason: status[reason] for reason in _NO_PAIR if status.get(reason)}
        stages.append(Stage("solved after a bug", status.get("solved", 0), _reasons(lost)))
    counts = run.counts("pairs")
    if counts:
        if "rows" in counts:
            stages.append(Stage("rows read", counts["rows"]))
        known = set(_NO_PAIR) if stages else set()  # named one step earlier
        drops = {reason: n for reason, n in (counts.get("dropped") or {}).items() if reason not in known}
        stages.append(Stage("preference pairs", counts["pairs"], _reasons(drops), _splits(counts)))
    counts = run.counts("tokens")
    if counts:
        stages.append(Stage("tokenised pairs", counts["examples"], _reasons(counts.get("dropped")), _splits(counts)))
    most = max((s.count for s in stages), default=0) or 1
    return [Stage(s.name, s.count, s.drops, s.note, round(100 * s.count / most, 1)) for s in stages]


def _reasons(drops: dict[str, int] | None) -> tuple[tuple[str, int], ...]:
    return tuple(
        (_REASONS.get(reason, reason.replace("_", " ")), count) for reason, count in (drops or {}).items() if count
    )


def _splits(counts: dict[str, Any]) -> str:
    return ", ".join(f"{count} {split}" for split, count in (counts.get("splits") or {}).items())


def headline(run: Run) -> str:
    """What was done, in one sentence."""
    model = run.option("model.path") or run.option("model.name") or "A model"
    rules = [run.option(f"mask.{side}", "?") for side in ("chosen", "rejected")]
    sizes = [n for n in (_training_pairs(run), run.option("data.max_train_pairs")) if n is not None]
    pairs = f"{min(sizes)} preference pairs" if sizes else "preference pairs"
    epochs = run.option("trainer.epochs")
    duration = f" for {epochs} epoch{'' if epochs == 1 else 's'}" if epochs else ""
    measured = "" if run.option("loss.preference", 1) else "in the metrics, "
    return (
        f"{model} was trained on {pairs}{duration} with {loss_name(run)}; "
        f"{measured}K+ counts the tokens of y+ by the rule \u201c{rules[0]}\u201d, "
        f"K\u2212 those of y\u2212 by the rule \u201c{rules[1]}\u201d."
    )


def _training_pairs(run: Run) -> int | None:
    for stage in ("tokens", "pairs"):
        splits = run.counts(stage).get("splits") or {}
        if "train" in splits:
            return splits["train"]
    return None


def loss_name(run: Run) -> str:
    """The loss by the paper's name, with its weights."""
    if not run.config:
        return "a loss that config.yaml would name"
    alpha, beta = run.option("loss.alpha", 0), run.option("loss.beta", "?")
    side = "y\u2212" if run.option("loss.nll_side") == "rejected" else "y+"
    if not run.option("loss.preference", 1):
        return f"plain fine-tuning on {side} (SFT)"
    whole = ("full", "fence")
    focal = "Target-" * any(run.option(f"mask.{mask}", "full") not in whole for mask in ("chosen", "rejected"))
    link, smoothing = run.option("loss.link", "sigmoid"), run.option("loss.label_smoothing", 0)
    details = [
        f"{link} link" if link != "sigmoid" else "",
        f"\u03b2 {beta}",
        f"\u03b1 {alpha}" if alpha else "",
        "NLL of y\u2212" if alpha and side != "y+" else "",
        f"label smoothing {smoothing}" if smoothing else "",
        "means per token" if run.option("loss.length_normalised") else "",
        f"full masks on {share:.0%} of the pairs" if (share := run.option("mask.full_share", 0)) else "",
    ]
    return f"{focal}{'RPO' if alpha else 'DPO'} ({', '.join(filter(None, details))})"
