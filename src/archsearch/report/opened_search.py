"""A search as an object: what a notebook asks, and what reports are composed from."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from archsearch.analysis.audit import FamilyAudit, audit
from archsearch.analysis.device_time import DeviceTime, device_time
from archsearch.analysis.finalists import Confirmed, leader_of
from archsearch.analysis.importance import Importances, importances
from archsearch.analysis.members import BUDGETS, Budget, drawn_since
from archsearch.analysis.pareto import COSTS
from archsearch.analysis.recorded_search import RecordedSearch, recorded_search_of
from archsearch.analysis.timeline import Span, spans_of
from archsearch.analysis.verdict import Verdict, verdict
from archsearch.analysis.winner import finalists_of
from archsearch.errors import UsageError, nearest_names
from archsearch.record.trial import TrialRecord, leaderboard
from archsearch.report.figure_style import Figure
from archsearch.report.figures_outcome import (
    families_figure,
    learning_curves_figure,
    pareto_figure,
)
from archsearch.report.figures_parallel import parallel_figure
from archsearch.report.figures_params import importance_figure, slice_figures
from archsearch.report.figures_running import device_time_figure, timeline_figure
from archsearch.report.figures_verdict import finalists_figure, verdict_figure
from archsearch.report.tables import epochs_table, trials_table

if TYPE_CHECKING:
    import pyarrow as pa
    from plotly.graph_objects import Figure as PlotlyFigure


class OpenedSearch:
    """One search as it stood when it was opened; everything is computed when first asked for.

    Args:
        recorded: What the search left behind.
    """

    def __init__(self, recorded: RecordedSearch) -> None:
        self.recorded = recorded
        self._verdicts: dict[Budget, Verdict] = {}

    def __repr__(self) -> str:
        search, recorded = self.recorded.search, self.recorded
        return f"<search {search.name}: {recorded.state}, {len(recorded.trials)} trials>"

    @property
    def name(self) -> str:
        """The search's name."""
        return self.recorded.search.name

    @cached_property
    def trials(self) -> pa.Table:
        """One row a trial, typed; `.to_pandas()` gives a data frame."""
        return trials_table(self.recorded)

    @cached_property
    def epochs(self) -> pa.Table:
        """One row a finished epoch, typed."""
        return epochs_table(self.recorded)

    @cached_property
    def leaderboard(self) -> list[TrialRecord]:
        """The trials that were trained to the end, best first; confirm runs left out."""
        return leaderboard(self.recorded.trials)

    def verdict(self, budget: Budget = "macs") -> Verdict:
        """Which family wins at matched cost, or that the data cannot tell.

        Args:
            budget: What is matched: `params`, `macs` or `seconds`.

        Raises:
            ValueError: `budget` is none of these.
        """
        if budget not in self._verdicts:
            recorded = self.recorded
            self._verdicts[budget] = verdict(
                recorded.trials,
                budget=budget,
                since=drawn_since(recorded.search.identity, recorded.families),
            )
        return self._verdicts[budget]

    @cached_property
    def verdicts(self) -> dict[Budget, Verdict]:
        """The verdict by what is matched, multiply-accumulates first."""
        budgets = sorted(BUDGETS, key=lambda budget: budget != "macs")
        return {budget: self.verdict(budget) for budget in budgets}

    @cached_property
    def audit(self) -> dict[str, FamilyAudit]:
        """What early stopping did to each family."""
        recorded = self.recorded
        return audit(recorded.trials, recorded.rungs, recorded.reduction_factor)

    @cached_property
    def finalists(self) -> list[Confirmed]:
        """The finalists that were trained again, best first."""
        return finalists_of(self.recorded.search, self.recorded.trials)

    @property
    def winner(self) -> Confirmed | None:
        """The finalist with the best confirmed estimate, if any run has completed."""
        return leader_of(self.finalists)

    @cached_property
    def importances(self) -> list[Importances]:
        """What mattered: the training fields over all families, then each family."""
        return importances(self.recorded)

    @cached_property
    def spans(self) -> list[Span]:
        """Which attempt ran when and where."""
        return spans_of(self.recorded)

    @cached_property
    def device_time(self) -> DeviceTime:
        """Where the time of the devices went."""
        return device_time(self.recorded, self.spans)

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """Every figure that the search's data allow, by name, with its caption."""
        recorded, families = self.recorded, self.recorded.families
        found = [
            *(
                verdict_figure(each, families, recorded.search.objective)
                for each in self.verdicts.values()
            ),
            finalists_figure(self.finalists, families),
            *(pareto_figure(recorded, cost) for cost in COSTS),
            families_figure(recorded),
            learning_curves_figure(recorded),
            *(importance_figure(scope) for scope in self.importances),
            *(parallel_figure(recorded, family) for family in families),
            *slice_figures(recorded),
            device_time_figure(self.device_time),
            timeline_figure(self.spans),
        ]
        return {figure.name: figure for figure in found if figure is not None}

    def figure(self, name: str) -> PlotlyFigure:
        """A figure as a Plotly object, in Plotly's own colours for text and paper.

        Raises:
            UsageError: There is none of that name, or the search has too little data for it.
        """
        if name not in self.figures:
            known = nearest_names(name, self.figures)
            raise UsageError(f"the search {self.name!r} has no figure {name!r}: {known}")
        return self.figures[name].plot


def open_search(
    name: str, runs_dir: Path | str = "runs", database: str | None = None
) -> OpenedSearch:
    """Open a search, running or not, for reading.

    Args:
        name: The search's name.
        runs_dir: The folder of all searches.
        database: The record's URL, where it is on a server.

    Raises:
        UsageError: There is no such search.
        UnfitError: Its record cannot be read.
    """
    return OpenedSearch(recorded_search_of(name, runs_dir, database))
