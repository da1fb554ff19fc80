"""Figures of what came out: the objective against costs, learning curves, families."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from archsearch.analysis.pareto import COSTS, Cost, front_of
from archsearch.analysis.recorded_search import RecordedSearch
from archsearch.record.trial import TrialRecord, leaderboard
from archsearch.report.figure_style import (
    MAX_CURVES,
    MAX_POINTS,
    NEUTRAL,
    FamilyStyle,
    Figure,
    by_family,
    family_styles,
    label_of,
    log_axis,
    new_plot,
    range_note,
    thinned,
    thinning_note,
    title_of,
    value_range,
)

_LOG_FROM = 20.0
"""Costs that differ by more than this factor are shown on a logarithmic axis."""

_BEST_CURVES = 25
MIN_FOR_BOX = 5
"""Trials of the random arm below which quartiles would say more than the data."""


def pareto_figure(recorded: RecordedSearch, cost: Cost) -> Figure | None:
    """The objective against a cost: completed trials, and the front that none of them beats."""
    axis, objective = COSTS[cost], recorded.search.objective
    completed = [t for t in leaderboard(recorded.searched) if axis.of(t) is not None]
    front = front_of(completed, cost)
    if not front:
        return None
    on_front = {trial.number for trial in front}
    shown = thinned(completed, MAX_POINTS, keep=lambda t: t.number in on_front)
    plot = new_plot(x=axis.title, y=title_of(recorded.search.objective))
    styles = family_styles(recorded.families)
    plot.add_scatter(
        x=[axis.of(t) for t in front],
        y=[t.value for t in front],
        mode="lines",
        line={"shape": "hv", "color": NEUTRAL, "width": 2},
        name="Pareto front",
        hoverinfo="skip",
    )
    for family, trials in by_family(shown, recorded.families).items():
        plot.add_scatter(
            x=[axis.of(t) for t in trials],
            y=[t.value for t in trials],
            mode="markers",
            marker={
                "color": styles[family].colour,
                "symbol": styles[family].symbol,
                "size": [10 if t.number in on_front else 7 for t in trials],
                "opacity": [1.0 if t.number in on_front else 0.6 for t in trials],
                "line": {"width": 0},
            },
            name=family,
            text=[_priced(t, cost) for t in trials],
            hoverinfo="text",
        )
    prices = [float(axis.of(t) or 0.0) for t in completed]
    if min(prices) > 0 and max(prices) / min(prices) > _LOG_FROM:
        plot.update_xaxes(**log_axis(min(prices), max(prices)))
    values = [float(t.value or 0.0) for t in completed]
    bounds = value_range(values, recorded.search.objective)
    plot.update_yaxes(range=bounds)
    caption = (
        "Trials that were trained to the end. Nothing in this search was both cheaper and better "
        "than a trial on the line."
    )
    note = range_note(values, bounds) + thinning_note(
        len(shown), len(completed), "trials", "the front and a random choice of the others"
    )
    return Figure(
        f"pareto_{cost}",
        f"{objective.short.capitalize()} against {_LOWER[cost]}",
        caption + note,
        plot,
    )


_LOWER: dict[Cost, str] = {
    "params": "parameters",
    "macs": "multiply-accumulates",
    "seconds": "training time",
}


def _priced(trial: TrialRecord, cost: Cost) -> str:
    price = COSTS[cost].of(trial) or 0.0
    unit = {"params": " parameters", "macs": " MACs", "seconds": " s"}[cost]
    return f"{label_of(trial)}<br>{price:,.0f}{unit}"


def learning_curves_figure(recorded: RecordedSearch) -> Figure | None:
    """The objective after each epoch, with the rungs at which trials were compared."""
    trials = [t for t in recorded.trials if any(e.value is not None for e in t.epochs)]
    if not trials:
        return None
    best = {t.number for t in leaderboard(trials)[:_BEST_CURVES]}
    shown = thinned(trials, MAX_CURVES, keep=lambda t: t.number in best or t.arm == "confirm")
    plot = new_plot(x="Epoch", y=title_of(recorded.search.objective))
    styles = family_styles(recorded.families)
    for family, members in by_family(shown, recorded.families).items():
        for is_completed in (True, False):
            group = [t for t in members if (t.outcome == "completed") is is_completed]
            if group:
                plot.add_scatter(**_curves(group, family, styles[family], is_completed))
    for rung in recorded.rungs:
        plot.add_vline(
            x=rung,
            line={"color": NEUTRAL, "width": 1.5, "dash": "dash"},
            annotation={"text": f"rung {rung}", "yref": "paper", "y": 0, "yanchor": "bottom"},
        )
    plot.update_xaxes(range=[0.5, recorded.max_epochs + 0.5])
    caption = "Each line is a trial; faint ones did not reach the last epoch. " + _rungs_told(
        recorded
    )
    note = thinning_note(
        len(shown),
        len(trials),
        "trials",
        f"the {_BEST_CURVES} best, confirm runs, and a random choice of the others",
    )
    title = f"{recorded.search.objective.short.capitalize()} after each epoch"
    return Figure("learning_curves", title, caption + note, plot, height=480)


def _rungs_told(recorded: RecordedSearch) -> str:
    if not recorded.rungs:
        return "This search stopped no trial early."
    rungs = ", ".join(map(str, recorded.rungs))
    return f"At the dashed lines (after epoch {rungs}) the weak ones were stopped."


def _curves(
    trials: Sequence[TrialRecord], family: str, style: FamilyStyle, is_completed: bool
) -> dict[str, Any]:
    """Many curves as one trace with gaps: a trace a trial makes pages slow."""
    x: list[int | None] = []
    y: list[float | None] = []
    text: list[str] = []
    for trial in trials:
        label, show = label_of(trial), trial.objective.format
        for epoch in trial.epochs:
            x.append(epoch.epoch)
            y.append(epoch.value)
            text.append(f"{label}<br>epoch {epoch.epoch}: {show(epoch.value or 0.0)}")
        x.append(None)
        y.append(None)
        text.append("")
    return {
        "x": x,
        "y": y,
        "text": text,
        "hoverinfo": "text",
        "mode": "lines+markers",
        "connectgaps": False,
        "name": family if is_completed else f"{family}, not to the end",
        "legendgroup": family,
        "opacity": 0.9 if is_completed else 0.6,
        "line": {"color": style.colour, "width": 1.6 if is_completed else 1},
        "marker": {"size": 4, "symbol": style.symbol},
    }


def families_figure(recorded: RecordedSearch) -> Figure | None:
    """Final values of each family; the box rests on the random arm alone."""
    completed = leaderboard(recorded.searched)
    if not completed:
        return None
    shown = thinned(completed, MAX_POINTS, keep=lambda t: t.arm == "random")
    groups = by_family(shown, recorded.families)
    plot = new_plot(y=title_of(recorded.search.objective))
    styles = family_styles(recorded.families)
    jitter = random.Random(0)
    for place, (family, trials) in enumerate(groups.items()):
        drawn = [t for t in trials if t.arm == "random"]
        if len(drawn) >= MIN_FOR_BOX:
            plot.add_box(
                x=[place] * len(drawn),
                y=[t.value for t in drawn],
                width=0.6,
                boxpoints=False,
                line={"color": NEUTRAL, "width": 1.5},
                fillcolor="rgba(0,0,0,0)",
                showlegend=False,
                hoverinfo="skip",
            )
        for is_random, members in ((True, drawn), (False, [t for t in trials if t not in drawn])):
            if members:
                plot.add_scatter(
                    x=[place + jitter.uniform(-0.22, 0.22) for _ in members],
                    y=[t.value for t in members],
                    mode="markers",
                    marker={
                        "color": styles[family].colour,
                        "symbol": styles[family].symbol + ("" if is_random else "-open"),
                        "size": 8,
                    },
                    name=f"{family}, {'random arm' if is_random else 'other arms'}",
                    text=[label_of(t) for t in members],
                    hoverinfo="text",
                )
    plot.update_xaxes(
        tickvals=list(range(len(groups))), ticktext=list(groups), range=[-0.5, len(groups) - 0.5]
    )
    caption = (
        "Trials that were trained to the end. Filled marks (and the box, where there are "
        f"{MIN_FOR_BOX} or more) are the random arm, drawn uniformly within the family: only they "
        "say how the families are distributed. Open marks were proposed by the sampler or are "
        "baselines, and say how good a family's best is."
    )
    values = [float(t.value or 0.0) for t in completed]
    bounds = value_range(values, recorded.search.objective)
    plot.update_yaxes(range=bounds)
    note = range_note(values, bounds) + thinning_note(
        len(shown), len(completed), "trials", "the random arm and a random choice of the others"
    )
    return Figure(
        "families", f"Final {recorded.search.objective.plural} by family", caption + note, plot
    )
