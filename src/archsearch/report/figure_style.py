"""How every figure looks: colours, marks, sizes, and how many marks are too many.

Colours are mid-tones that keep a contrast of 3:1 on white and on the page's dark background, and
never the only sign: families also differ by symbol and dash, outcomes by pattern. Paper and text
colours are left to the page, which knows whether it is light or dark.
"""

from __future__ import annotations

import html
import math
import random
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from archsearch.objective import Objective
from archsearch.record.trial import TrialRecord

if TYPE_CHECKING:
    from plotly.graph_objects import Figure as PlotlyFigure

T = TypeVar("T")

LIGHT_BACKGROUND, DARK_BACKGROUND = "#ffffff", "#14181d"
FAMILY_COLOURS = ("#3b7dd8", "#cc6d0c", "#12927f", "#c0509c", "#8a6de0", "#7f8518")
FAMILY_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "x", "star")
FAMILY_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
NEUTRAL = "#7a8594"
GOOD, BAD = "#3f8f3f", "#d2544a"

MAX_POINTS = 2_000
"""Marks a figure at most: more take seconds to draw and hide each other."""

MAX_CURVES = 150
"""Learning curves at most, for the same reason."""


@dataclass(frozen=True)
class Figure:
    """One figure of a report.

    Attributes:
        name: What a notebook asks for it by.
        title: What it shows, in a few words.
        caption: How to read it, and what was left out of it.
        plot: The Plotly figure.
        height: In pixels.
        min_width: In pixels: on a narrower page it scrolls sideways.
    """

    name: str
    title: str
    caption: str
    plot: PlotlyFigure
    height: int = 420
    min_width: int = 0


@dataclass(frozen=True)
class FamilyStyle:
    """How a family is told apart: the same in every figure of a search."""

    colour: str
    symbol: str
    dash: str


def family_styles(families: Sequence[str]) -> dict[str, FamilyStyle]:
    """A style for each family, in order; they repeat beyond six."""
    return {
        family: FamilyStyle(
            FAMILY_COLOURS[i % len(FAMILY_COLOURS)],
            FAMILY_SYMBOLS[i % len(FAMILY_SYMBOLS)],
            FAMILY_DASHES[i % len(FAMILY_DASHES)],
        )
        for i, family in enumerate(families)
    }


def new_plot(*, x: str = "", y: str = "", **layout: Any) -> PlotlyFigure:
    """An empty Plotly figure in the report's style.

    Args:
        x: Title of the horizontal axis, with its unit.
        y: Title of the vertical axis, with its unit.
        layout: More of Plotly's layout.
    """
    import plotly.graph_objects as go

    axis = {"zeroline": False, "automargin": True, "ticks": "outside", "ticklen": 4}
    base = {
        "template": "none",
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 13},
        "margin": {"l": 56, "r": 12, "t": 12, "b": 48},
        "hovermode": "closest",
        "hoverlabel": {"align": "left"},
        "legend": {
            "orientation": "h",
            "yanchor": "bottom",
            "y": 1.02,
            "x": 0,
            "tracegroupgap": 0,
            "traceorder": "normal",
        },
        "xaxis": axis | {"title": {"text": x}},
        "yaxis": axis | {"title": {"text": y}},
    }
    return go.Figure(layout=base).update_layout(**layout)


def title_of(objective: Objective) -> str:
    """An axis's title: `Accuracy on validation images`."""
    return objective.label[0].upper() + objective.label[1:]


def label_of(trial: TrialRecord) -> str:
    """A trial as a mark's label tells it, safe as the HTML that Plotly reads there."""
    lines = [
        f"<b>{html.escape(trial.name)}</b>",
        f"trial {trial.number}, {html.escape(trial.family)}, {html.escape(trial.arm)} arm",
        f"{html.escape(trial.outcome or 'unfinished')} after {len(trial.epochs)} epochs, "
        f"{trial.objective.short} {trial.shown_value}",
    ]
    return "<br>".join(lines)


def thinned(
    items: Sequence[T], limit: int, *, keep: Callable[[T], bool] = lambda item: False
) -> list[T]:
    """At most `limit` of the items in their order: all that must be kept, and some of the rest.

    The rest is drawn at random with a fixed seed, so that a page that is written again shows the
    same ones. What must be kept is never left out, even beyond the limit.
    """
    if len(items) <= limit:
        return list(items)
    kept = {i for i, item in enumerate(items) if keep(item)}
    others = [i for i in range(len(items)) if i not in kept]
    room = max(0, limit - len(kept))
    chosen = kept | set(random.Random(0).sample(others, min(room, len(others))))
    return [items[i] for i in sorted(chosen)]


def thinning_note(shown: int, total: int, what: str, which: str) -> str:
    """A sentence on what a figure leaves out; empty if it shows all."""
    if shown >= total:
        return ""
    return f" Shown: {shown:,} of {total:,} {what}: {which}."


def value_range(values: Sequence[float], objective: Objective) -> tuple[float, float] | None:
    """Bounds of an axis on which the many can be told apart; None if all of them fit anyway.

    What is worse than the middle half by more than three times its width (Tukey's far out) would
    press everything else together at the good end.
    """
    if len(values) < 4:
        return None
    scores = [objective.score(value) for value in values]
    low_quarter, _, high_quarter = statistics.quantiles(scores, n=4)
    low = low_quarter - 3 * max(high_quarter - low_quarter, 0.002)
    if min(scores) >= low:
        return None
    top = max(scores)
    ends = sorted(map(objective.value_of, (low, top + 0.04 * (top - low))))
    return ends[0], ends[1]


def range_note(values: Sequence[float], bounds: tuple[float, float] | None) -> str:
    """A sentence on what lies outside an axis; empty if nothing does."""
    if bounds is None:
        return ""
    below = sum(value < bounds[0] for value in values)
    outside = below + sum(value > bounds[1] for value in values)
    if not outside:
        return ""
    many = "1 trial lies" if outside == 1 else f"{outside:,} trials lie"
    return f" {many} {'below' if below else 'above'} the axis (a double click shows all)."


def log_axis(low: float, high: float) -> dict[str, Any]:
    """A logarithmic axis with ticks at 1, 2 and 5, or at powers of ten where there are many.

    Args:
        low: The smallest value, above 0.
        high: The largest.
    """
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    digits = (1,) if math.log10(high / low) > 2.5 else (1, 2, 5)
    ticks = [digit * 10.0**exponent for exponent in exponents for digit in digits]
    shown = [tick for tick in ticks if low / 1.001 <= tick <= high * 1.001]
    margin = 0.03 * max(math.log10(high / low), 0.1)
    return {
        "type": "log",
        "tickvals": shown,
        "ticktext": [_short_number(tick) for tick in shown],
        "range": [math.log10(low) - margin, math.log10(high) + margin],
    }


def _short_number(value: float) -> str:
    for limit, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:g}{sign}"
    return f"{value:g}"


def by_family(
    trials: Iterable[TrialRecord], families: Sequence[str]
) -> Mapping[str, list[TrialRecord]]:
    """The trials of each family that has some, in the families' order."""
    found: dict[str, list[TrialRecord]] = {family: [] for family in families}
    for trial in trials:
        found[trial.family].append(trial)
    return {family: members for family, members in found.items() if members}
