"""Training curves and the pass-rate bars as inline SVG, by matplotlib. Colours are CSS variables: both themes apply."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from iterpref.reporting.gather import Series

# Drawn in colours that stand for CSS variables: matplotlib knows nothing of the reader's theme.
_CSS = {"#000001": "var(--muted)", "#000002": "var(--line)", **{f"#00010{i}": f"var(--c{i})" for i in range(1, 5)}}
COLOURS = tuple(f"#00010{i}" for i in range(1, 5))
TEXT, _GRID = "#000001", "#000002"
_SIZE = (4.4, 2.3)  # inches; small, so that the letters stay readable on a phone
_AXES = (0.14, 0.19, 0.84, 0.72)  # fixed, so that neighbouring figures line up
_WIDE_AXES = (0.36, 0.19, 0.6, 0.77)
_MOST_POINTS = 300
_SMOOTH_FROM = 60  # points

# Panels in the order shown: title, unit, names after "train/" or "val/", fixed range.
_PANELS: tuple[tuple[str, str, tuple[str, ...], tuple[float, float] | None], ...] = (
    # Apart: a summed NLL of thousands of nats would leave a flat line of the other.
    ("Loss and NLL", "", ("loss", "nll"), None),
    ("Preference term", "", ("preference_loss",), None),
    ("Rewards and their margin", "", ("margin", "chosen_reward", "rejected_reward"), None),
    ("Preference accuracy", "", ("accuracy", "focal_accuracy"), (0, 1)),
    ("Log-prob of whole answers", "nats", ("chosen_logps", "rejected_logps"), None),
    ("Log-ratios of whole answers", "nats", ("chosen_logratio", "rejected_logratio"), None),
    ("Log-ratios of what differs", "nats", ("focal_chosen_logratio", "focal_rejected_logratio", "focal_margin"), None),
    ("Share of tokens in focus", "", ("focal_share",), None),
    ("Learning rate", "", ("lr",), None),
    ("Gradient norm", "", ("grad_norm",), None),
    ("Speed in pairs", "pairs/s", ("pairs_per_s",), None),
    ("Speed in tokens", "tokens/s", ("tokens_per_s",), None),
    ("Peak memory", "GiB", ("peak_gib",), None),
)


@dataclass(frozen=True)
class Line:
    """An entry of the legend: a curve with its first and last value, or a kind of bar with its total."""

    name: str
    colour: int  # 1..4
    said: str
    dashed: bool = False
    not_finite: int = 0  # values that are NaN or infinite, and so not drawn


@dataclass(frozen=True)
class Panel:
    """One figure with its legend; `summary` says in words what it shows."""

    title: str
    svg: Markup
    summary: str
    lines: tuple[Line, ...] = ()


def _short(value: float) -> str:
    """Three digits, or a whole number from 1000 on; what rounding alone leaves is 0."""
    value = 0.0 if abs(value) < 1e-6 else value
    return (f"{value:.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.3g}").replace("-", "\u2212")


def panels(metrics: dict[str, Series]) -> list[Panel]:
    """The known metrics grouped, then every other one in a panel of its own."""
    left = dict(metrics)
    found = []
    for title, unit, names, bounds in _PANELS:
        series = {}
        for name in names:
            for split in ("train", "val"):
                if f"{split}/{name}" in left:
                    series[f"{split}/{name}"] = left.pop(f"{split}/{name}")
        if series:
            found.append(_panel(title, unit, series, bounds))
    return found + [_panel(name, "", {name: series}, None) for name, series in left.items()]


def _panel(title: str, unit: str, metrics: dict[str, Series], bounds: tuple[float, float] | None) -> Panel:
    drawing, axes = figure()
    lines = []
    colours: dict[str, int] = {}
    for name, series in metrics.items():
        split, _, base = name.partition("/")
        colour = colours.setdefault(base, len(colours) % 4 + 1)
        dashed = split == "val"
        finite = [(x, y) for x, y in series if math.isfinite(y)]
        _draw(axes, finite, f"#00010{colour}", dashed)
        ends = (finite[0][1], finite[-1][1]) if finite else (math.nan, math.nan)
        lines.append(Line(name, colour, " \u2192 ".join(map(_short, ends)), dashed, len(series) - len(finite)))
    axes.set_xlabel("optimizer step")
    axes.set_ylabel(unit)
    if bounds:
        axes.set_ylim(bounds[0] - 0.03, bounds[1] + 0.03)
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-3, 4), useMathText=False)
    axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True))
    said = "; ".join(f"{line.name} {line.said}" for line in lines)
    return Panel(title, svg(drawing, title), f"{title} by optimizer step: {said}", tuple(lines))


def _draw(axes: Axes, series: Series, colour: str, dashed: bool) -> None:
    if not series:
        return
    x, y = _thinned(np.array(series, dtype=float))
    style: dict[str, Any] = {"color": colour, "linestyle": "--" if dashed else "-", "linewidth": 1.4}
    if len(x) < _SMOOTH_FROM:
        axes.plot(x, y, marker="o" if dashed or len(x) < 3 else None, markersize=3, **style)
        return
    # Many steps: the raw values stay, faint, under their running mean.
    axes.plot(x, y, **{**style, "alpha": 0.3, "linewidth": 0.8})
    window = np.ones(len(x) // 20 * 2 + 1)
    axes.plot(x, np.convolve(y, window, "same") / np.convolve(np.ones_like(y), window, "same"), **style)


def _thinned(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most `_MOST_POINTS` points: the means of equal runs of neighbours."""
    if len(points) > _MOST_POINTS:
        points = np.array([run.mean(axis=0) for run in np.array_split(points, _MOST_POINTS)])
    return points[:, 0], points[:, 1]


def pass_rate(rates: Sequence[float]) -> Panel:
    """Bars: share of trajectories solved by version 0, 1, ..., each in [0, 1]."""
    drawing, axes = figure()
    bars = axes.bar(range(len(rates)), [100 * rate for rate in rates], color="#000101", width=0.7)
    axes.bar_label(bars, [f"{100 * rate:.0f} %" for rate in rates], color=TEXT, fontsize=8, padding=2)
    axes.set_xlabel("refinements allowed")
    axes.set_xticks(range(len(rates)))
    axes.set_ylabel("solved, %")
    axes.set_ylim(0, 110)
    axes.grid(visible=False)
    said = ", ".join(f"{100 * rate:.0f} % by version {i}" for i, rate in enumerate(rates))
    return Panel("Solved by iteration", svg(drawing, "pass-rate"), f"Share of trajectories solved: {said}")


def figure(wide_labels: bool = False) -> tuple[Figure, Axes]:
    """An empty figure in the page's style; `wide_labels` leaves room for words on the left."""
    # No pyplot: a report made inside a training process must not touch its backend or its figures.
    drawing = Figure(figsize=_SIZE)
    axes = drawing.add_axes(_WIDE_AXES if wide_labels else _AXES)
    axes.grid(axis="y", color=_GRID, linewidth=0.7)
    axes.tick_params(colors=TEXT, labelsize=8, length=0)
    for text in (axes.xaxis.label, axes.yaxis.label, axes.yaxis.get_offset_text()):
        text.set(color=TEXT, fontsize=8)
    for side, spine in axes.spines.items():
        spine.set(visible=side == "bottom", color=_GRID)
    axes.set_axisbelow(True)
    return drawing, axes


def svg(drawing: Figure, name: str) -> Markup:
    """The figure as an element: ids unique in the page, theme colours, the page's font, no size of its own."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        drawing.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r' (?:width|height)="[\d.]+pt"', "", text, count=2)
    text = re.sub(r"""<g id="[^"]*">""", "<g>", text)
    # Hashed by content, so equal shapes of two figures would share an id.
    salt = re.sub(r"\W+", "-", name)
    text = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{salt}-", text)
    text = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", text)
    for colour, variable in _CSS.items():
        text = text.replace(colour, variable)
    text = re.sub(r"\s*\n\s*", "\n", text)
    return Markup(text.replace("<svg ", '<svg aria-hidden="true" ', 1))
