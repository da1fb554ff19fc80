"""Figures of the parameters: what mattered, and the objective against each of them."""

from __future__ import annotations

import html
from collections.abc import Sequence

from archsearch.analysis.importance import Importances
from archsearch.analysis.recorded_search import RecordedSearch
from archsearch.record.trial import TrialRecord, leaderboard
from archsearch.report.figure_style import (
    MAX_POINTS,
    NEUTRAL,
    Figure,
    by_family,
    family_styles,
    label_of,
    log_axis,
    new_plot,
    range_note,
    thinned,
    thinning_note,
    value_range,
)
from archsearch.spaces.parameters import AnyParameter, Choice, FloatRange, IntRange


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


def slice_figures(recorded: RecordedSearch) -> list[Figure]:
    """The objective against each searched parameter, one small figure each."""
    space = recorded.space
    completed = leaderboard(recorded.searched)
    if space is None or not completed:
        return []
    parameters = {
        name: parameter
        for family in space.families
        for name, parameter in space.parameters(family).items()
        if name != "family"
    }
    ordered = sorted(parameters, key=lambda name: not name.startswith("training/"))
    found = (_slice(recorded, name, parameters[name], completed) for name in ordered)
    return [figure for figure in found if figure is not None]


def _told(trial: TrialRecord, name: str) -> str:
    value = html.escape(str(trial.params[name]))
    return f"{label_of(trial)}<br>{html.escape(short_name(name))} {value}"


def _slice(
    recorded: RecordedSearch, name: str, parameter: AnyParameter, completed: Sequence[TrialRecord]
) -> Figure | None:
    trials = [t for t in completed if name in t.params]
    if not trials:
        return None
    limit = MAX_POINTS // 4  # there are many of these figures on one page
    shown = thinned(trials, limit, keep=lambda t: t.number in {b.number for b in trials[:25]})
    plot = new_plot(x=html.escape(short_name(name)), y="", showlegend=False)
    styles = family_styles(recorded.families)
    is_category = isinstance(parameter, Choice)
    for family, members in by_family(shown, recorded.families).items():
        values = [t.params[name] for t in members]
        plot.add_scatter(
            x=[html.escape(str(v)) for v in values] if is_category else values,
            y=[t.value for t in members],
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
    results = [float(t.value or 0.0) for t in trials]
    bounds = value_range(results, recorded.search.objective)
    plot.update_yaxes(range=bounds)
    family, _, _ = name.partition("/")
    scope = "all families" if family == "training" else family
    note = range_note(results, bounds)
    note += thinning_note(len(shown), len(trials), "trials", "the best and a random choice")
    title = f"{short_name(name)} ({scope})"
    plot.update_layout(margin={"l": 44, "r": 8, "t": 8, "b": 44})
    return Figure(f"slice_{name.replace('/', '_')}", title, note.strip(), plot, height=240)
