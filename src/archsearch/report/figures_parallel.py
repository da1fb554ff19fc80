"""A family's trials as lines across its parameters: what the best have in common."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archsearch.analysis.recorded_search import RecordedSearch
from archsearch.record.trial import TrialRecord, leaderboard
from archsearch.report.figure_style import (
    NEUTRAL,
    Figure,
    family_styles,
    label_of,
    new_plot,
    thinned,
    thinning_note,
)
from archsearch.report.figures_params import short_name
from archsearch.spaces.parameters import AnyParameter, Choice, FloatRange, IntRange

if TYPE_CHECKING:
    from plotly.graph_objects import Figure as PlotlyFigure

MAX_LINES = 300
"""Lines across parallel axes at most."""

MIN_FOR_PARALLEL = 5
"""Trials of a family below which a table says more."""


@dataclass(frozen=True)
class _Axis:
    """One parallel axis: values moved to 0..1, and the texts that stand along it."""

    title: str
    places: list[float]
    ticks: list[tuple[float, str]]


def parallel_figure(recorded: RecordedSearch, family: str) -> Figure | None:
    """A family's completed trials as lines across its parameters, best tenth on top."""
    space = recorded.space
    trials = [t for t in leaderboard(recorded.searched) if t.family == family]
    if space is None or family not in space.families or len(trials) < MIN_FOR_PARALLEL:
        return None
    parameters = {n: p for n, p in space.parameters(family).items() if n != "family"}
    complete = [t for t in trials if parameters.keys() <= t.params.keys()]
    num_best = max(3, math.ceil(len(complete) / 10))
    best = {t.number for t in complete[:num_best]}
    shown = thinned(complete, MAX_LINES, keep=lambda t: t.number in best)
    if len(shown) < MIN_FOR_PARALLEL:
        return None
    axes = [_parallel_axis(name, parameter, shown) for name, parameter in parameters.items()]
    axes.append(_objective_axis(shown))
    colour = family_styles(recorded.families)[family].colour
    plot = new_plot(margin={"l": 64, "r": 64, "t": 12, "b": 72})
    for is_best in (False, True):
        group = [i for i, t in enumerate(shown) if (t.number in best) is is_best]
        plot.add_scatter(**_lines(axes, shown, group, is_best, colour))
    _draw_axes(plot, axes)
    caption = (
        f"Each line is one of {len(complete):,} completed {family} trials; the coloured ones are "
        f"its {num_best} best. Where they gather on an axis, that value helped."
    )
    note = thinning_note(
        len(shown), len(complete), "trials", "the best tenth and a random choice of the others"
    )
    return Figure(
        f"parallel_{family}",
        f"Parallel coordinates: {family}",
        caption + note,
        plot,
        min_width=90 * len(axes),
    )


def _parallel_axis(name: str, parameter: AnyParameter, trials: Sequence[TrialRecord]) -> _Axis:
    values = [trial.params[name] for trial in trials]
    match parameter:
        case IntRange() | FloatRange():
            low, high = float(parameter.low), float(parameter.high)
            log = parameter.log

            def place(value: Any) -> float:
                return _fraction(float(value), low, high, log)

            ends = [(0.0, f"{low:.4g}"), (1.0, f"{high:.4g}")]
            return _Axis(short_name(name), [place(v) for v in values], ends)
        case _:
            choices = [str(c) for c in parameter.values] if isinstance(parameter, Choice) else []
            step = 1 / max(1, len(choices) - 1)
            places = [choices.index(str(v)) * step if str(v) in choices else 0.0 for v in values]
            return _Axis(short_name(name), places, [(i * step, c) for i, c in enumerate(choices)])


def _objective_axis(trials: Sequence[TrialRecord]) -> _Axis:
    objective = trials[0].objective
    values = [float(t.value or 0.0) for t in trials]
    low, high = min(values), max(values)
    places = [_fraction(v, low, high, False) for v in values]
    return _Axis(
        objective.short,
        places,
        [(0.0, objective.format(low)), (1.0, objective.format(high))],
    )


def _fraction(value: float, low: float, high: float, log: bool) -> float:
    if high <= low:
        return 0.5
    if log:
        value, low, high = math.log(max(value, low)), math.log(low), math.log(high)
    return min(1.0, max(0.0, (value - low) / (high - low)))


def _lines(
    axes: Sequence[_Axis],
    trials: Sequence[TrialRecord],
    group: Sequence[int],
    is_best: bool,
    colour: str,
) -> dict[str, Any]:
    """Lines as one trace with gaps; Plotly's own parallel coordinates need WebGL."""
    x: list[int | None] = []
    y: list[float | None] = []
    text: list[str] = []
    for i in group:
        x += [*range(len(axes)), None]
        y += [*(axis.places[i] for axis in axes), None]
        text += [label_of(trials[i])] * (len(axes) + 1)
    return {
        "x": x,
        "y": y,
        "text": text,
        "hoverinfo": "text",
        "mode": "lines",
        "connectgaps": False,
        "name": f"the best {len(group)}" if is_best else "the others",
        "opacity": 0.95 if is_best else 0.4,
        "line": {"color": colour if is_best else NEUTRAL, "width": 2 if is_best else 1},
    }


def _draw_axes(plot: PlotlyFigure, axes: Sequence[_Axis]) -> None:
    lines = [
        {
            "type": "line",
            "layer": "below",
            "line": {"color": NEUTRAL, "width": 1},
            "x0": i,
            "x1": i,
            "y0": 0,
            "y1": 1,
        }
        for i in range(len(axes))
    ]
    ends = [
        {
            "x": i,
            "y": place,
            "text": html.escape(text),
            "showarrow": False,
            "xanchor": "left",
            "xshift": 4,
            "font": {"size": 11},
        }
        for i, axis in enumerate(axes)
        for place, text in axis.ticks
    ]
    plot.update_layout(shapes=lines, annotations=ends)
    plot.update_xaxes(
        tickvals=list(range(len(axes))),
        ticktext=[html.escape(axis.title) for axis in axes],
        range=[-0.1, len(axes) - 0.75],
        showgrid=False,
        tickangle=-30,
    )
    plot.update_yaxes(visible=False, range=[-0.06, 1.06])
