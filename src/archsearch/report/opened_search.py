"""A search as an object: what a notebook asks, and what reports are composed from."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from archsearch.analysis.audit import FamilyAudit, audit
from archsearch.analysis.device_time import DeviceTime, device_time
from archsearch.analysis.finalists import Confirmed, confirmed, winner
from archsearch.analysis.importance import Importances, importances
from archsearch.analysis.members import BUDGETS, Budget, drawn_since
from archsearch.analysis.pareto import COSTS
from archsearch.analysis.recorded_search import Evidence, evidence_of
from archsearch.analysis.timeline import Span, spans_of
from archsearch.analysis.verdict import Verdict, verdict
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
        evidence: What the search left behind.
    """

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self._verdicts: dict[Budget, Verdict] = {}

    def __repr__(self) -> str:
        search, evidence = self.evidence.search, self.evidence
        return f"<search {search.name}: {evidence.state}, {len(evidence.trials)} trials>"

    @property
    def name(self) -> str:
        """The search's name."""
        return self.evidence.search.name

    @cached_property
    def trials(self) -> pa.Table:
        """One row a trial, typed; `.to_pandas()` gives a data frame."""
        return trials_table(self.evidence)

    @cached_property
    def epochs(self) -> pa.Table:
        """One row a finished epoch, typed."""
        return epochs_table(self.evidence)

    @cached_property
    def leaderboard(self) -> list[TrialRecord]:
        """The trials that were trained to the end, best first; confirm runs left out."""
        return leaderboard(self.evidence.trials)

    def verdict(self, budget: Budget = "macs") -> Verdict:
        """Which family wins at matched cost, or that the data cannot tell.

        Args:
            budget: What is matched: `params`, `macs` or `seconds`.

        Raises:
            ValueError: `budget` is none of these.
        """
        if budget not in self._verdicts:
            evidence = self.evidence
            self._verdicts[budget] = verdict(
                evidence.trials,
                budget=budget,
                since=drawn_since(evidence.search.identity, evidence.families),
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
        evidence = self.evidence
        return audit(evidence.trials, evidence.rungs, evidence.reduction_factor)

    @cached_property
    def finalists(self) -> list[Confirmed]:
        """The finalists that were trained again, best first."""
        return confirmed(self.evidence.trials)

    @property
    def winner(self) -> Confirmed | None:
        """The finalist with the best confirmed estimate, if any run has completed."""
        return winner(self.evidence.trials)

    @cached_property
    def importances(self) -> list[Importances]:
        """What mattered: the training fields over all families, then each family."""
        return importances(self.evidence)

    @cached_property
    def spans(self) -> list[Span]:
        """Which attempt ran when and where."""
        return spans_of(self.evidence)

    @cached_property
    def device_time(self) -> DeviceTime:
        """Where the time of the devices went."""
        return device_time(self.evidence, self.spans)

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """Every figure that the search's data allow, by name, with its caption."""
        evidence, families = self.evidence, self.evidence.families
        found = [
            *(verdict_figure(each, families) for each in self.verdicts.values()),
            finalists_figure(self.finalists, families),
            *(pareto_figure(evidence, cost) for cost in COSTS),
            families_figure(evidence),
            learning_curves_figure(evidence),
            *(importance_figure(scope) for scope in self.importances),
            *(parallel_figure(evidence, family) for family in families),
            *slice_figures(evidence),
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
    return OpenedSearch(evidence_of(name, runs_dir, database))
