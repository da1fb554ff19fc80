"""One search over a table of curves: the real director on the virtual clock, within a budget."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from archsearch.halving.decision import Decision
from archsearch.halving.rungs import MIN_STEPS_BEFORE_A_STOP, Ladder
from archsearch.halving.stopping_rule import StoppingRule
from archsearch.objective import ACCURACY
from archsearch.record.paths import SearchPaths
from archsearch.record.trial import TrialRecord
from archsearch.search.agenda import Pause
from archsearch.search.assignment import Assignment
from archsearch.search.director import Director
from archsearch.search.draws import Draws
from archsearch.search.sampler import Sampler
from archsearch.search.slots import TrialShape
from archsearch.simulation.clock import Clock, Run
from archsearch.simulation.curve_table import CurveTable
from archsearch.simulation.search import DATA, CostOfWorld, UnwrittenRecord
from archsearch.simulation.table_space import TableSpace, TableWorld, row_of
from archsearch.spaces.limits import Fidelity
from archsearch.spaces.population import Population


@dataclass(frozen=True)
class TrainedEpoch:
    """One epoch of a replayed search.

    Attributes:
        row: Of the table.
        epoch: Which, from 1.
        is_beyond_stop: Whether the stopping rule had stopped the trial, and only its arm let it
            go on: what the audit costs.
    """

    row: int
    epoch: int
    is_beyond_stop: bool = False


@dataclass(frozen=True)
class Decisions:
    """What a search decides by.

    Attributes:
        sampler: Made from the table's space and the search's seed.
        stopping_rule: Made from the table's ladder and the search's seed.
        random_share: Share of trials drawn uniformly and never stopped.
        control_share: Probability that a proposal may not be stopped.
    """

    sampler: Callable[[Population, int], Sampler]
    stopping_rule: Callable[[Ladder, int], StoppingRule]
    random_share: float = 0.0
    control_share: float = 0.0

    def replay(
        self, table: CurveTable, workers: int, seed: int, num_epochs: int
    ) -> list[TrainedEpoch]:
        """See `ReplayPolicy.replay`."""
        return replay(self, table, workers, seed, num_epochs)


def ladder_of(table: CurveTable) -> Ladder:
    """The rungs of a search with the defaults of a space file: a tenth of the epochs as grace.

    A table says nothing of optimizer steps: an epoch is taken to have enough of them.
    """
    fidelity = Fidelity(max_epochs=table.max_epochs)
    return Ladder.for_search(table.max_epochs, fidelity.reduction_factor, MIN_STEPS_BEFORE_A_STOP)


def replay(
    decisions: Decisions, table: CurveTable, workers: int, seed: int, num_epochs: int
) -> list[TrainedEpoch]:
    """The epochs that a search trains, in the order in which they end.

    Args:
        decisions: What it decides by.
        table: Whose rows are its space.
        workers: Trials at a time.
        seed: The search's.
        num_epochs: Its budget; it ends earlier when every row was tried.
    """
    space, world = TableSpace(table), TableWorld(table)
    director = _director(decisions, table, space, seed)
    clock = Clock()
    trained: list[tuple[int, int]] = []
    while len(trained) < num_epochs:
        answer = director.next_assignment(workers)
        if isinstance(answer, Assignment):
            space.take(row_of(answer.config))
            clock.start(Run(answer, world.curve(answer.config), ACCURACY))
        elif clock.is_idle:
            assert answer is Pause.DONE
            break
        else:
            run = clock.advance()
            number = run.assignment.number
            trained.append((number, run.epoch + 1))
            if director.on_report(run.report()) is Decision.STOP:
                director.on_released(number)
            else:
                clock.start(run)
    trials = director.trials
    return [_trained(trials[number], epoch) for number, epoch in trained]


def _trained(trial: TrialRecord, epoch: int) -> TrainedEpoch:
    shadow = trial.shadow_rung_epochs
    return TrainedEpoch(row_of(trial.config), epoch, shadow is not None and epoch > shadow)


def _director(decisions: Decisions, table: CurveTable, space: TableSpace, seed: int) -> Director:
    """The real director, whose record nobody reads."""
    sampler = decisions.sampler(space, seed)
    draws = Draws(
        space=space,
        sampler=sampler,
        preflight=CostOfWorld(TableWorld(table)),
        input_spec=DATA.input_spec,
        max_epochs=table.max_epochs,
        seed=seed,
        random_share=decisions.random_share,
        control_share=decisions.control_share,
        on_refusal=lambda refusal: None,
    )
    return Director(
        writer=UnwrittenRecord(),
        paths=SearchPaths(Path("/nowhere")),
        draws=draws,
        sampler=sampler,
        stopping_rule=decisions.stopping_rule(ladder_of(table), seed),
        data=DATA,
        num_trials=table.num_rows,
        shape=TrialShape(),
        hang_seconds=math.inf,
        listener=lambda event: None,
    )
