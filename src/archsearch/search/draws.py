"""What is trained next: baselines first, then draws of three arms, refused ones drawn again.

A small finite space is tried to its end: once draws repeat, what is left of it is listed and drawn
from, uniformly; a trial of the random arm stays within its family while that has members left.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from archsearch.halving.arms import Arm, assign_arm, is_random, random_family
from archsearch.objective import Objective, objective_named
from archsearch.record.cells import TrialComplexity
from archsearch.record.trial import Refusal, TrialRecord, search_trials
from archsearch.schema import InputSpec
from archsearch.search.memory_limit import MemoryLimit
from archsearch.search.preflight import (
    MAX_REFUSALS_IN_A_ROW,
    CostCheck,
    InfeasibleError,
    nothing_feasible,
)
from archsearch.search.remaining import ExhaustedError, Remaining, nothing_new
from archsearch.search.sampler import Sampler
from archsearch.search.seeds import seed_of
from archsearch.spaces.population import Population
from archsearch.spaces.suggest import SmallestSuggester, UniformSuggester
from archsearch.spaces.trial_config import TrialConfig

REPEATS_BEFORE_LISTING = 10
"""Draws for one trial that repeat earlier trials before the rest of a small space is listed."""

LISTED = "listed"
"""Who asked for a refused member that came from the list; the sampler is told nothing of it."""


@dataclass(frozen=True)
class Draw:
    """A member of the space that was accepted, and what it will cost."""

    arm: Arm
    params: dict[str, Any]
    config: TrialConfig
    complexity: TrialComplexity
    objective: Objective

    def as_trial(self, number: int, created_ms: int) -> TrialRecord:
        """The trial that it becomes, as it is before its first epoch."""
        return TrialRecord(
            number=number,
            objective=self.objective,
            family=self.config.architecture.family,
            name=self.config.name,
            arm=self.arm,
            params=self.params,
            config=self.config,
            config_digest=self.config.digest,
            complexity=self.complexity,
            outcome=None,
            reason=None,
            rung_epochs=None,
            shadow_rung_epochs=None,
            created_ms=created_ms,
            finished_ms=None,
            attempts={1: None},
        )


@dataclass
class Draws:
    """Draws trial after trial; what it answers depends on the seed and the told trials alone.

    A draw follows from its place among the search trials, not from its number: confirm runs may
    have taken numbers between, and do not change what is drawn after them.

    Attributes:
        on_refusal: Called with each draw that takes no number, before the next one.
        batch_scale: How many times the recipe's batch and learning rate every trial's are.
        memory: What trials that ran out of memory have taught; baselines are tried all the same.
        skipped_baselines: Baselines above a cap, by name, with the reason.
    """

    space: Population
    sampler: Sampler
    preflight: CostCheck
    input_spec: InputSpec
    max_epochs: int
    seed: int
    random_share: float
    control_share: float
    on_refusal: Callable[[Refusal], None]
    batch_scale: int = 1
    memory: MemoryLimit = field(default_factory=MemoryLimit)
    skipped_baselines: dict[str, str] = field(default_factory=dict)
    _baselines: list[dict[str, Any]] = field(default_factory=list)
    _arms: dict[str, list[Arm]] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)
    _refused: dict[int, list[Refusal]] = field(default_factory=dict)
    _listed: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.remaining = Remaining(self.space, lambda params: self._config(params, 0))
        for name in self.space.baselines:
            params = self.space.params_of_baseline(name)
            try:
                self.preflight.check(self._config(params, 0))
            except InfeasibleError as error:
                self.skipped_baselines[name] = str(error)
            else:
                self._baselines.append(params)

    def restore(self, trials: Iterable[TrialRecord], refusals: Iterable[Refusal]) -> None:
        """Count what was issued and refused before.

        A driver may have been killed between a refusal and the draw after it: that is the one to
        go on with, not the first draw again.
        """
        for trial in search_trials(trials):
            self._count(trial.number, trial.family, trial.arm, trial.config_digest)
        for refusal in refusals:
            if refusal.arm == LISTED:
                self._listed.append(refusal.params)
            else:
                self._refused.setdefault(refusal.before_number, []).append(refusal)

    def next(self, number: int) -> Draw:
        """The draw that becomes trial `number`.

        Raises:
            UnfitError: 200 draws in a row were above a cap, and nothing was ever drawn.
            ExhaustedError: A space that can be listed has no member left within the caps; or 200
                draws in a row were refused, duplicates among them.
        """
        place = sum(len(arms) for arms in self._arms.values())
        draw = self._baseline(number, place) or self._accepted_draw(number, place)
        self._count(number, draw.config.architecture.family, draw.arm, draw.config.digest)
        return draw

    def _count(self, number: int, family: str, arm: str, digest: str) -> None:
        self._arms.setdefault(family, []).append(arm)  # type: ignore[arg-type]
        self._numbers.setdefault(digest, number)

    def _baseline(self, number: int, place: int) -> Draw | None:
        for params in self._baselines:
            config = self._config(params, place)
            if config.digest not in self._numbers:
                self.sampler.accept(number, params)
                return self._draw("baseline", params, config, self.preflight.check(config))
        return None

    def _accepted_draw(self, number: int, place: int) -> Draw:
        refusals = self._refused.setdefault(place, [])
        start = len(refusals) // MAX_REFUSALS_IN_A_ROW * MAX_REFUSALS_IN_A_ROW
        while len(refusals) < start + MAX_REFUSALS_IN_A_ROW:
            if self._repeats(refusals):
                return self._left_over(number, place)
            draw = self._try(number, place, len(refusals))
            if isinstance(draw, Draw):
                return draw
            refusals.append(draw)
            self.on_refusal(draw)
        if self._numbers and self.remaining.can_be_listed:
            return self._left_over(number, place)
        row = refusals[start:]
        raise nothing_new(row) or nothing_feasible(
            f"family {self.space.family_of(row[-1].params)}", row[-1].reason
        )

    def _repeats(self, refusals: Sequence[Refusal]) -> bool:
        """Whether draws for one trial repeat so often that what is left is to be listed."""
        num_repeated = sum(refusal.kind == "duplicate" for refusal in refusals)
        return num_repeated >= REPEATS_BEFORE_LISTING and self.remaining.can_be_listed

    def _left_over(self, number: int, place: int) -> Draw:
        """A member that no draw has found.

        Raises:
            ExhaustedError: There is none, or none within the caps.
        """
        reason = None
        seed = seed_of(self.seed, "remaining", place)
        for params in self.remaining.in_random_order(seed, self._numbers, self._family(place)):
            judged = self._judge(place, self._arm(place, params), params)
            if isinstance(judged, Draw):
                self.sampler.accept(number, params)
                return judged
            reason = judged.reason
            if params not in self._listed:
                self._listed.append(params)
                self.on_refusal(replace(judged, arm=LISTED))
        raise ExhaustedError(self.remaining.told(self._numbers, reason))

    @property
    def completeness(self) -> str | None:
        """That every member of the space was tried, in a sentence; None while that is not so."""
        if not self.remaining.can_be_listed or self.remaining.count_left(self._numbers):
            return None
        return self.remaining.told(self._numbers)

    def _try(self, number: int, place: int, draw: int) -> Draw | Refusal:
        family = self._family(place)
        uniform = family is not None
        if family is not None:
            params = self._uniform_params(place, draw, family)
        else:
            params = self.sampler.propose(place, draw)
        arm = self._arm(place, params)
        verdict = self._judge(place, arm, params)
        if isinstance(verdict, Draw):
            self.sampler.accept(number, params, proposed=not uniform)
        elif not uniform:
            self.sampler.refuse(verdict.kind)
        return verdict

    def _family(self, place: int) -> str | None:
        """The family that a trial of the random arm is drawn in; None for another arm's."""
        index = self._index(place)
        if not is_random(self.seed, index, self.random_share):
            return None
        families = self._families_with_room()
        return random_family(self.seed, index, families, self.random_share)

    def _uniform_params(self, place: int, draw: int, family: str) -> dict[str, Any]:
        """Parameters of the random arm, drawn within a family without a look at any result."""
        generator = random.Random(seed_of(self.seed, "random", place, draw))
        return self.space.suggest(UniformSuggester(generator), family=family).params

    def _families_with_room(self) -> list[str]:
        """Families to draw from uniformly: not one that is known to be too large as a whole."""
        families = sorted(self.space.families)
        with_room = [family for family in families if self._has_room(family)]
        return with_room or families

    def _has_room(self, family: str) -> bool:
        smallest = self.space.suggest(SmallestSuggester(), family).params
        try:
            self.memory.check(self._config(smallest, 0))
        except InfeasibleError:
            return False
        except ValueError:  # the smallest of each field need not make a member
            pass
        return True

    def _arm(self, place: int, params: dict[str, Any]) -> Arm:
        family_arms = self._arms.get(self.space.family_of(params), [])
        return assign_arm(
            self.seed,
            self._index(place),
            family_arms,
            random_share=self.random_share,
            control_share=self.control_share,
        )

    def _index(self, place: int) -> int:
        """The trial's place among those that are no baselines: what its arm follows from."""
        return place - sum(arms.count("baseline") for arms in self._arms.values())

    def _judge(self, place: int, arm: Arm, params: dict[str, Any]) -> Draw | Refusal:
        def refusal(kind: Any, reason: str) -> Refusal:
            asked_by = "random" if arm == "random" else "sampler"
            return Refusal(place, kind, asked_by, params, reason)

        try:
            config = self._config(params, place)
            complexity = self.preflight.check(config)
            self.memory.check(config)
        except (InfeasibleError, ValueError) as error:
            return refusal("infeasible", str(error))
        earlier = self._numbers.get(config.digest)
        if earlier is not None:
            return refusal("duplicate", f"it repeats trial {earlier}")
        return self._draw(arm, params, config, complexity)

    def _draw(
        self, arm: Arm, params: dict[str, Any], config: TrialConfig, complexity: TrialComplexity
    ) -> Draw:
        return Draw(arm, params, config, complexity, objective_named(self.space.objective))

    def _config(self, params: dict[str, Any], place: int) -> TrialConfig:
        seed = seed_of(self.seed, "trial", place)
        config = self.space.config(params, self.input_spec, seed, self.max_epochs)
        scaled = config.model_copy(update={"batch_scale": self.batch_scale})
        _ = scaled.effective_recipe  # a ValueError here is a refusal, later a failed trial
        return scaled
