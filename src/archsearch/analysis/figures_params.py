"""Figures of the parameters: what mattered, what the best have in common."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archsearch.analysis.evidence import Evidence
from archsearch.analysis.figure_style import (
    MAX_POINTS,
    NEUTRAL,
    Figure,
    accuracy_range,
    by_family,
    family_styles,
    label_of,
    log_axis,
    new_plot,
    range_note,
    thinned,
    thinning_note,
)
from archsearch.analysis.importance import Importances
from archsearch.record.trial import TrialRecord, leaderboard
from archsearch.spaces.parameters import AnyParameter, Choice, FloatRange, IntRange

if TYPE_CHECKING:
    from plotly.graph_objects import Figure as PlotlyFigure

MAX_LINES = 300
"""Lines across parallel axes at most."""

MIN_FOR_PARALLEL = 5
"""Trials of a family below which a table says more."""


def short_name(parameter: str) -> str:
    """`training/learning_rate` as `learning rate`."""
    return parameter.rpartition("/")[2].replace("_", " ")


def importance_figure(importances: Importances) -> Figure | None:
    """One scope's importances as bars, with what chance alone reaches."""
    if not importances.parameters:
        return None
    rows = importances.parameters[::-1]
    names = [html.escape(short_name(row.name)) for row in rows]
    plot = new_plot(x="Importance (Pearson divergence of the best tenth from all)")
    plot.add_bar(
        x=[row.importance for row in rows],
        y=names,
        orientation="h",
        marker={
            "color": ["#3b7dd8" if row.is_above_chance else NEUTRAL for row in rows],
            "pattern": {"shape": ["" if row.is_above_chance else "/" for row in rows]},
        },
        name="importance",
        hovertemplate="%{y}: %{x:.3f}<extra></extra>",
    )
    plot.add_scatter(
        x=[row.chance for row in rows],
        y=names,
        mode="markers",
        marker={"symbol": "line-ns", "size": 16, "line": {"width": 2.5, "color": "#d2544a"}},
        name="reached by chance",
        hovertemplate="%{y}: chance reaches %{x:.3f}<extra></extra>",
    )
    plot.update_xaxes(rangemode="tozero")
    plot.update_layout(bargap=0.35)
    caption = (
        f"PED-ANOVA of {importances.num_trials:,} completed trials: what sets the best tenth "
        "apart. A bar that does not pass its red mark (the same with shuffled accuracies) shows "
        "nothing."
    )
    name = f"importance_{importances.scope.replace(' ', '_')}"
    height = 130 + 34 * len(rows)
    return Figure(name, f"What mattered: {importances.scope}", caption, plot, height)


@dataclass(frozen=True)
class _Axis:
    """One parallel axis: values moved to 0..1, and the texts that stand along it."""

    title: str
    places: list[float]
    ticks: list[tuple[float, str]]


def parallel_figure(evidence: Evidence, family: str) -> Figure | None:
    """A family's completed trials as lines across its parameters, best tenth on top."""
    space = evidence.space
    trials = [t for t in leaderboard(evidence.searched) if t.family == family]
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
    axes.append(_accuracy_axis(shown))
    colour = family_styles(evidence.families)[family].colour
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


def _accuracy_axis(trials: Sequence[TrialRecord]) -> _Axis:
    values = [float(t.val_accuracy or 0.0) for t in trials]
    low, high = min(values), max(values)
    places = [_fraction(v, low, high, False) for v in values]
    return _Axis("accuracy", places, [(0.0, f"{low:.4f}"), (1.0, f"{high:.4f}")])


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


def slice_figures(evidence: Evidence) -> list[Figure]:
    """Accuracy against each searched parameter, one small figure each."""
    space = evidence.space
    completed = leaderboard(evidence.searched)
    if space is None or not completed:
        return []
    parameters = {
        name: parameter
        for family in space.families
        for name, parameter in space.parameters(family).items()
        if name != "family"
    }
    ordered = sorted(parameters, key=lambda name: not name.startswith("training/"))
    found = (_slice(evidence, name, parameters[name], completed) for name in ordered)
    return [figure for figure in found if figure is not None]


def _told(trial: TrialRecord, name: str) -> str:
    value = html.escape(str(trial.params[name]))
    return f"{label_of(trial)}<br>{html.escape(short_name(name))} {value}"


def _slice(
    evidence: Evidence, name: str, parameter: AnyParameter, completed: Sequence[TrialRecord]
) -> Figure | None:
    trials = [t for t in completed if name in t.params]
    if not trials:
        return None
    limit = MAX_POINTS // 4  # there are many of these figures on one page
    shown = thinned(trials, limit, keep=lambda t: t.number in {b.number for b in trials[:25]})
    plot = new_plot(x=html.escape(short_name(name)), y="", showlegend=False)
    styles = family_styles(evidence.families)
    is_category = isinstance(parameter, Choice)
    for family, members in by_family(shown, evidence.families).items():
        values = [t.params[name] for t in members]
        plot.add_scatter(
            x=[html.escape(str(v)) for v in values] if is_category else values,
            y=[t.val_accuracy for t in members],
            mode="markers",
            marker={
                "color": styles[family].colour,
                "symbol": styles[family].symbol,
                "size": 6,
                "opacity": 0.65,
            },
            name=family,
            text=[_told(t, name) for t in members],
            hoverinfo="text",
        )
    if isinstance(parameter, Choice):
        order = [html.escape(str(c)) for c in parameter.values]
        ends = [-0.5, len(order) - 0.5]  # also values that no trial has
        plot.update_xaxes(type="category", categoryorder="array", categoryarray=order, range=ends)
    elif isinstance(parameter, IntRange | FloatRange) and parameter.log:
        plot.update_xaxes(**log_axis(parameter.low, parameter.high))
    elif isinstance(parameter, IntRange | FloatRange):
        margin = 0.04 * (parameter.high - parameter.low)
        plot.update_xaxes(range=[parameter.low - margin, parameter.high + margin])
    accuracies = [float(t.val_accuracy or 0.0) for t in trials]
    bounds = accuracy_range(accuracies)
    plot.update_yaxes(range=bounds)
    family, _, _ = name.partition("/")
    scope = "all families" if family == "training" else family
    note = range_note(accuracies, bounds)
    note += thinning_note(len(shown), len(trials), "trials", "the best and a random choice")
    title = f"{short_name(name)} ({scope})"
    plot.update_layout(margin={"l": 44, "r": 8, "t": 8, "b": 44})
    return Figure(f"slice_{name.replace('/', '_')}", title, note.strip(), plot, height=240)
