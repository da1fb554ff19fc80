"""What is trained next: baselines first, then draws of three arms, refused ones drawn again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from archsearch.halving.arms import Arm, assign_arm, is_random, random_family
from archsearch.record.trial import Refusal, TrialRecord
from archsearch.schema import InputSpec
from archsearch.search.preflight import (
    MAX_REFUSALS_IN_A_ROW,
    InfeasibleError,
    Preflight,
    nothing_feasible,
)
from archsearch.search.study import Study, seed_of
from archsearch.spaces.space import SearchSpace
from archsearch.spaces.trial import TrialConfig


class ExhaustedError(Exception):
    """Every further draw repeats a trial that is there already."""


@dataclass(frozen=True)
class Draw:
    """A member of the space that was accepted, and what it will cost."""

    arm: Arm
    params: dict[str, Any]
    config: TrialConfig
    complexity: dict[str, Any]


@dataclass
class Draws:
    """Draws trial after trial; what it answers depends on the seed and the told trials alone.

    Attributes:
        on_refusal: Called with each draw that takes no number, before the next one.
        skipped_baselines: Baselines above a cap, by name, with the reason.
    """

    space: SearchSpace
    study: Study
    preflight: Preflight
    input_spec: InputSpec
    max_epochs: int
    seed: int
    random_share: float
    on_refusal: Callable[[Refusal], None]
    skipped_baselines: dict[str, str] = field(default_factory=dict)
    _baselines: list[dict[str, Any]] = field(default_factory=list)
    _arms: dict[str, list[Arm]] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)
    _refused: dict[int, list[Refusal]] = field(default_factory=dict)

    def __post_init__(self) -> None:
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
        for trial in trials:
            self._count(trial.number, trial.family, trial.arm, trial.config_digest)
        for refusal in refusals:
            self._refused.setdefault(refusal.before_number, []).append(refusal)

    def next(self, number: int) -> Draw:
        """The draw that becomes trial `number`.

        Raises:
            UnfitError: 200 draws in a row were above a cap.
            ExhaustedError: 200 draws in a row were refused, duplicates among them.
        """
        draw = self._baseline(number) or self._accepted_draw(number)
        self._count(number, draw.config.architecture.family, draw.arm, draw.config.digest)
        return draw

    def _count(self, number: int, family: str, arm: str, digest: str) -> None:
        self._arms.setdefault(family, []).append(arm)  # type: ignore[arg-type]
        self._numbers.setdefault(digest, number)

    def _baseline(self, number: int) -> Draw | None:
        for params in self._baselines:
            config = self._config(params, number)
            if config.digest not in self._numbers:
                self.study.accept(number, params)
                return Draw("baseline", params, config, self.preflight.check(config))
        return None

    def _accepted_draw(self, number: int) -> Draw:
        refusals = self._refused.setdefault(number, [])
        start = len(refusals) // MAX_REFUSALS_IN_A_ROW * MAX_REFUSALS_IN_A_ROW
        while len(refusals) < start + MAX_REFUSALS_IN_A_ROW:
            draw = self._try(number, len(refusals))
            if isinstance(draw, Draw):
                return draw
            refusals.append(draw)
            self.on_refusal(draw)
        row = refusals[start:]
        if any(refusal.kind == "duplicate" for refusal in row):
            raise ExhaustedError(
                f"{len(row)} draws in a row gave nothing new: the space has no other "
                "feasible member that the sampler could find"
            )
        raise nothing_feasible(row[-1].reason)

    def _try(self, number: int, draw: int) -> Draw | Refusal:
        index = self._index(number)
        uniform = is_random(self.seed, index, self.random_share)
        if uniform:
            families = sorted(self.space.families)
            family = random_family(self.seed, index, families, self.random_share)
            params = self.study.propose_uniformly(number, draw, family)
        else:
            params = self.study.propose(number, draw)
        arm = self._arm(number, params)
        verdict = self._judge(number, arm, params)
        if isinstance(verdict, Draw):
            self.study.accept(number, params, proposed=not uniform)
        elif not uniform:
            self.study.refuse(verdict.kind)
        return verdict

    def _arm(self, number: int, params: dict[str, Any]) -> Arm:
        family_arms = self._arms.get(self.space.family_of(params), [])
        return assign_arm(
            self.seed, self._index(number), family_arms, random_share=self.random_share
        )

    def _index(self, number: int) -> int:
        """The trial's place among those that are no baselines: what its arm follows from."""
        return number - sum(arms.count("baseline") for arms in self._arms.values())

    def _judge(self, number: int, arm: Arm, params: dict[str, Any]) -> Draw | Refusal:
        def refusal(kind: Any, reason: str) -> Refusal:
            asked_by = "random" if arm == "random" else "sampler"
            return Refusal(number, kind, asked_by, params, reason)

        try:
            config = self._config(params, number)
            complexity = self.preflight.check(config)
        except (InfeasibleError, ValueError) as error:
            return refusal("infeasible", str(error))
        earlier = self._numbers.get(config.digest)
        if earlier is not None:
            return refusal("duplicate", f"it repeats trial {earlier}")
        return Draw(arm, params, config, complexity)

    def _config(self, params: dict[str, Any], number: int) -> TrialConfig:
        seed = seed_of(self.seed, "trial", number)
        return self.space.config(params, self.input_spec, seed, self.max_epochs)
