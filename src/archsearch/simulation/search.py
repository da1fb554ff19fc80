"""One simulated search: a virtual clock around the study, draws, rungs and rulings of a real one.

The director, and everything that it asks, is the one that runs on Ray; workers are replaced by a
heap of moments at which epochs end, and the record by nothing, since nobody can kill a
simulation and what the director knows is all there is to read. Real time is not looked at.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from archsearch.data import PreparedData
from archsearch.halving.decision import Decision
from archsearch.halving.rungs import Ladder
from archsearch.objective import Objective, objective_named
from archsearch.record.cells import TrialComplexity
from archsearch.record.messages import SystemMetrics
from archsearch.record.paths import SearchPaths
from archsearch.record.policy import Policy
from archsearch.record.trial import EpochRecord, Refusal, TrialRecord
from archsearch.record.writer import Ending
from archsearch.search.agenda import Pause
from archsearch.search.assignment import Assignment
from archsearch.search.choices import SAMPLERS, STOPPING_RULES
from archsearch.search.director import Director
from archsearch.search.draws import Draws
from archsearch.search.events import Event, Listener, UnfairnessWarning
from archsearch.search.slots import TrialShape
from archsearch.simulation.clock import Clock, Run
from archsearch.simulation.curves import World
from archsearch.spaces.space import SearchSpace
from archsearch.spaces.trial_config import TrialConfig

DATA = PreparedData(
    name="simulated",
    path="/nowhere",
    num_classes=10,
    in_channels=1,
    image_size=32,
    class_names=tuple("0123456789"),
    num_train=1000,
    num_val=1000,
    num_test=1000,
    train_size=None,
    mean=(0.5,),
    std=(0.5,),
    digest="simulated",
    split_digest="simulated",
    flip=False,
)
"""What the director hands to workers; nobody reads it."""


@dataclass(frozen=True)
class Setting:
    """How a simulated search is run.

    Attributes:
        space: What is searched.
        ladder: Full fidelity and rungs.
        trials: How many.
        workers: Trials at a time.
        policy: How the search decides.
        seed: Of the draws, as `--seed`.
        data: What images the space's members are made for.
    """

    space: SearchSpace
    ladder: Ladder
    trials: int = 60
    workers: int = 4
    policy: Policy = field(default_factory=Policy)
    seed: int = 0
    data: PreparedData = DATA

    @property
    def objective(self) -> Objective:
        """What it optimises."""
        return objective_named(self.space.objective)


@dataclass(frozen=True)
class SimulatedSearch:
    """What a simulated search leaves behind.

    Attributes:
        setting: How it was run.
        trials: As a real search would have recorded them.
        num_refused: Draws that took no number.
        seconds: Simulated time from the first trial's start to the last one's end.
        device_seconds: Simulated time that workers trained, added up.
        warned_of: Families of which a person would have been warned that they are stopped
            unfairly, in that order.
    """

    setting: Setting
    trials: list[TrialRecord]
    num_refused: int
    seconds: float
    device_seconds: float
    warned_of: tuple[str, ...]


def simulate(setting: Setting, world: World) -> SimulatedSearch:
    """Run one search on the virtual clock.

    Raises:
        UnfitError: No member of the space is feasible in this world.
    """
    refusals: list[Refusal] = []
    warned_of: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, UnfairnessWarning):
            warned_of.append(event.family)

    director = _director(setting, world, refusals, listen)
    clock = Clock()
    while True:
        answer = director.next_assignment(setting.workers)
        if isinstance(answer, Assignment):
            clock.start(Run(answer, world.curve(answer.config), setting.objective))
        elif clock.is_idle:
            assert answer is Pause.DONE
            break
        else:
            run = clock.advance()
            if director.on_report(run.report()) is Decision.STOP:
                director.on_released(run.assignment.number)
            else:
                clock.start(run)
    return SimulatedSearch(
        setting=setting,
        trials=director.trials,
        num_refused=len(refusals),
        seconds=clock.now,
        device_seconds=clock.device_seconds,
        warned_of=tuple(warned_of),
    )


def _director(
    setting: Setting, world: World, refusals: list[Refusal], listener: Listener
) -> Director:
    """The real director, with nobody to write down what it decides."""
    policy = setting.policy
    sampler = SAMPLERS[policy.sampler](setting.space, setting.seed)
    draws = Draws(
        space=setting.space,
        sampler=sampler,
        preflight=CostOfWorld(world),
        input_spec=setting.data.input_spec,
        max_epochs=setting.ladder.max_epochs,
        seed=setting.seed,
        random_share=policy.random_share,
        control_share=policy.control_share,
        on_refusal=refusals.append,
    )
    return Director(
        writer=UnwrittenRecord(),
        paths=SearchPaths(Path("/nowhere")),
        draws=draws,
        sampler=sampler,
        stopping_rule=STOPPING_RULES[policy.scheduler](setting.ladder, setting.objective),
        data=setting.data,
        num_trials=setting.trials,
        shape=TrialShape(),
        hang_seconds=math.inf,
        listener=listener,
    )


@dataclass(frozen=True)
class CostOfWorld:
    """Pre-flight without caps, by what the world says that a variant costs."""

    world: World

    def check(self, config: TrialConfig) -> TrialComplexity:
        """The cost of a variant."""
        return self.world.complexity(config)


class UnwrittenRecord:
    """A record that nobody reads; the director holds all trials itself."""

    def add_trial(self, trial: TrialRecord) -> None:
        """See `TrialWriter`."""

    def add_attempt(self, number: int, attempt: int) -> None:
        """See `TrialWriter`."""

    def end_attempts(self, number: int, ended: str, reason: str) -> None:
        """See `TrialWriter`."""

    def add_epoch(
        self,
        number: int,
        epoch: EpochRecord,
        *,
        load: SystemMetrics | None = None,
        shadow_rung_epochs: int | None = None,
        ending: Ending | None = None,
    ) -> None:
        """See `TrialWriter`."""

    def end_trial(self, number: int, ending: Ending) -> None:
        """See `TrialWriter`."""
