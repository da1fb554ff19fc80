"""Figures of the conclusions: the families' distributions at matched cost, the finalists."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from archsearch.analysis.edf import Edf
from archsearch.analysis.finalists import ESTIMATOR, Confirmed
from archsearch.analysis.pareto import COSTS
from archsearch.analysis.verdict import Verdict
from archsearch.objective import Objective
from archsearch.phrases import a_or_an
from archsearch.report.figure_style import (
    BAD,
    NEUTRAL,
    FamilyStyle,
    Figure,
    family_styles,
    label_of,
    new_plot,
    title_of,
)

if TYPE_CHECKING:
    from plotly.graph_objects import Figure as PlotlyFigure


def verdict_figure(
    verdict: Verdict, families: Sequence[str], objective: Objective
) -> Figure | None:
    """Each family's distribution of shortfalls at matched cost, with its bootstrap limits.

    Args:
        verdict: What the search's random arm says.
        families: All families of the search, in their order.
        objective: Of the search.
    """
    styles = family_styles(families)
    known = {f: d.edf for f, d in verdict.families.items() if d.edf.errors}
    if not known:
        return None
    last = max(edf.errors[-1] for edf in known.values())
    plot = new_plot(
        x=f"{objective.shortfall.capitalize()} on {objective.where}",
        y="Share of the family at most that wrong",
    )
    for family, edf in known.items():
        _add_edf(plot, family, edf, styles[family], last, objective)
    plot.update_yaxes(range=[0, 1.02], tickformat=".0%")
    level = next(iter(known.values())).level
    caption = (
        f"Random arm alone, matched in {COSTS[verdict.budget].title.lower()}. The further left "
        "and the higher a family's line, the better its typical member. Bands hold "
        f"{level:.0%} of the bootstrap, at each {objective.shortfall} by itself."
    )
    return Figure(f"verdict_{verdict.budget}", "Families at matched cost", caption, plot)


def _add_edf(
    plot: PlotlyFigure,
    family: str,
    edf: Edf,
    style: FamilyStyle,
    last: float,
    objective: Objective,
) -> None:
    x = [*edf.errors, max(last, edf.errors[-1])]

    def steps(values: Sequence[float]) -> list[float]:
        return [*values, values[-1]]

    fill = f"rgba({','.join(str(int(style.colour[i : i + 2], 16)) for i in (1, 3, 5))},0.16)"
    edge = {"shape": "hv", "width": 0}
    add = plot.add_scatter
    shared: dict[str, Any] = {"x": x, "mode": "lines", "legendgroup": family, "hoverinfo": "skip"}
    add(y=steps(edf.low), line=edge, showlegend=False, **shared)
    add(y=steps(edf.high), line=edge, showlegend=False, fill="tonexty", fillcolor=fill, **shared)
    add(
        x=x,
        y=steps(edf.share),
        mode="lines",
        legendgroup=family,
        line={"shape": "hv", "width": 2.5, "color": style.colour, "dash": style.dash},
        name=f"{family} (as good as {edf.effective_size:.1f} trials)",
        hovertemplate=f"{html.escape(family)}: %{{y:.0%}} have "
        f"{a_or_an(objective.shortfall)} of at most %{{x:.4f}}<extra></extra>",
    )


def finalists_figure(board: Sequence[Confirmed], families: Sequence[str]) -> Figure | None:
    """Each finalist's confirm runs, its estimate with interval, and the run it was chosen by."""
    known = [c for c in board if c.estimate is not None][::-1]
    if not known:
        return None
    plot = new_plot(x=title_of(known[0].finalist.objective))
    styles = family_styles(families)
    # Several finalists may have one name: they differ in how they are trained.
    names = [f"{html.escape(c.name)}<br>trial {c.finalist.number}" for c in known]
    estimates = [c.estimate for c in known if c.estimate is not None]
    plot.add_scatter(
        x=[e.estimate for e in estimates],
        y=names,
        mode="markers",
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [e.high - e.estimate for e in estimates],
            "arrayminus": [e.estimate - e.low for e in estimates],
            "color": NEUTRAL,
            "thickness": 2,
            "width": 6,
        },
        marker={
            "size": 13,
            "color": [styles[c.finalist.family].colour for c in known],
            "symbol": [styles[c.finalist.family].symbol for c in known],
        },
        name="estimate with interval",
        hovertemplate="%{y}: %{x:.4f}<extra></extra>",
    )
    runs = [(name, run) for name, c in zip(names, known, strict=True) for run in c.completed]
    plot.add_scatter(
        x=[run.value for _, run in runs],
        y=[name for name, _ in runs],
        mode="markers",
        marker={"size": 9, "symbol": "line-ns", "line": {"width": 2, "color": NEUTRAL}},
        name="confirm runs",
        text=[label_of(run) for _, run in runs],
        hoverinfo="text",
    )
    plot.add_scatter(
        x=[c.finalist.value for c in known],
        y=names,
        mode="markers",
        marker={"size": 10, "symbol": "circle-open", "color": BAD, "line": {"width": 2}},
        name="the run it was chosen by",
        text=[label_of(c.finalist) for c in known],
        hoverinfo="text",
    )
    caption = (
        "Finalists were trained again with other seeds. The run that a finalist was chosen by "
        f"flatters it and counts nothing. Estimates with 95 % intervals: {ESTIMATOR}."
    )
    return Figure(
        "finalists",
        "Finalists, confirmed",
        caption,
        plot,
        height=150 + 48 * len(known),
    )
