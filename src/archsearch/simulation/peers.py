"""What Ray Tune and Optuna do by default, written after their sources: to be compared with.

Ray 2.60 `AsyncHyperBandScheduler` and `OptunaSearch`; Optuna 5.0 `TPESampler` and
`HyperbandPruner`. `tests/contracts/test_peers.py` holds the two rules to the real classes.

Known differences: Ray Tune asks for one trial before a worker is free; here each trial is asked
for when a worker is free, in all policies alike. Within one family, our TPE is Optuna's default
TPE (several families are drawn jointly with `group=True`, which is not Optuna's default).
"""

from __future__ import annotations

import binascii
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from archsearch.halving.decision import Decision
from archsearch.halving.stopping_rule import Ruling, diverged
from archsearch.objective import ACCURACY
from archsearch.record.trial import Refusal, TrialRecord
from archsearch.search.tpe_sampler import NUM_STARTUP_TRIALS, TpeSampler
from archsearch.search.uniform_sampler import UniformSampler
from archsearch.spaces.population import Population

_GO_ON = Ruling(Decision.CONTINUE)


class RayRule:
    """`AsyncHyperBandScheduler`: a grace period of 1, a reduction factor of 4, one bracket.

    A trial stops below the upper quartile of those that came to its rung before it. A value that
    is no number is never below anything; it ends a trial here all the same, as it does in a
    worker of ours. Nobody is protected: there are no arms.
    """

    def __init__(self, max_epochs: int, reduction_factor: int = 4) -> None:
        self._reduction_factor = reduction_factor
        num_rungs = int(np.log(max_epochs) / np.log(reduction_factor) + 1)
        self._recorded: dict[int, dict[int, float]] = {
            reduction_factor**k: {} for k in range(num_rungs)
        }

    @property
    def rungs(self) -> tuple[int, ...]:
        """Powers of the reduction factor, from 1."""
        return tuple(self._recorded)

    def report(
        self, trial_number: int, epoch: int, value: float, *, protected: bool = False
    ) -> Ruling:
        """See `StoppingRule.report`."""
        if not math.isfinite(value):
            return diverged(epoch, value, ACCURACY, is_rung=epoch in self._recorded)
        recorded = self._recorded.get(epoch)
        if recorded is None or trial_number in recorded:
            return _GO_ON
        share = 100 * (1 - 1 / self._reduction_factor)
        cutoff = float(np.nanpercentile(list(recorded.values()), share)) if recorded else -np.inf
        recorded[trial_number] = value
        if value >= cutoff:
            return Ruling(Decision.CONTINUE, rung=epoch)
        return Ruling(Decision.STOP, rung=epoch, reason=f"{value:.4f} was below {cutoff:.4f}")


@dataclass
class _Bracket:
    """One `SuccessiveHalvingPruner` of Hyperband: rung → values that came to it."""

    first_step: int
    values: dict[int, list[float]]


class OptunaRule:
    """`HyperbandPruner`: a reduction factor of 3, the largest resource found out, no bootstrap.

    Nobody is pruned before a first trial is complete. Trials are dealt to brackets by a hash of
    study and number; each bracket compares its own. Steps count from 0, as in Optuna's examples.
    A value that is no number prunes. Nobody is protected: there are no arms.
    """

    def __init__(self, max_epochs: int, study_name: str, reduction_factor: int = 3) -> None:
        self._max_epochs = max_epochs
        self._study_name = study_name
        self._eta = reduction_factor
        num_brackets = math.floor(math.log(max_epochs, reduction_factor)) + 1
        self._brackets = [_Bracket(reduction_factor**b, {}) for b in range(num_brackets)]
        self._allocation = [
            math.ceil(num_brackets * reduction_factor**s / (s + 1))
            for s in reversed(range(num_brackets))
        ]
        self._is_initialized = False
        self._next_rung: dict[int, int] = {}

    @property
    def rungs(self) -> tuple[int, ...]:
        """Every epoch: a trial that was under way at the first completion is ruled on at once."""
        return tuple(range(1, self._max_epochs))

    def report(
        self, trial_number: int, epoch: int, value: float, *, protected: bool = False
    ) -> Ruling:
        """See `StoppingRule.report`."""
        if not math.isfinite(value):
            return diverged(epoch, value, ACCURACY, is_rung=epoch < self._max_epochs)
        is_pruned = self._is_initialized and self._is_pruned(trial_number, epoch - 1, value)
        # `should_prune` is asked before the trial returns, so not the last epoch's own report.
        self._is_initialized = self._is_initialized or epoch >= self._max_epochs
        if not is_pruned:
            return _GO_ON
        return Ruling(
            Decision.STOP, rung=epoch, reason=f"{value:.4f} was not among the best third"
        )

    def _is_pruned(self, trial_number: int, step: int, value: float) -> bool:
        bracket = self._brackets[self._bracket_of(trial_number)]
        rung = self._next_rung.get(trial_number, 0)
        while step >= bracket.first_step * self._eta**rung:
            competing = bracket.values.setdefault(rung, [])
            competing.append(value)
            rung += 1
            self._next_rung[trial_number] = rung
            place = max(len(competing) // self._eta, 1)
            if value < sorted(competing)[-place]:
                return True
        return False

    def _bracket_of(self, trial_number: int) -> int:
        key = f"{self._study_name}_{trial_number}".encode()
        dealt = binascii.crc32(key) % sum(self._allocation)
        for bracket, size in enumerate(self._allocation):
            dealt -= size
            if dealt < 0:
                return bracket
        raise AssertionError("a remainder is below its divisor")


class OptunaTpe:
    """Optuna's TPE as it is by default: random until ten trials have ended, however they did.

    Optuna's brackets do not matter to it: under `HyperbandPruner`, `TPESampler` 5.0 reads the
    trials of all brackets (`_BracketStudy` does not filter what the sampler asks for).
    """

    def __init__(self, space: Population, seed: int) -> None:
        self._tpe = TpeSampler(space, seed)
        self._random = UniformSampler(space, seed)
        self._is_from_tpe = False
        self._ended: set[int] = set()

    def restore(self, trials: Sequence[TrialRecord], refusals: Sequence[Refusal]) -> None:
        """See `Sampler.restore`."""
        self._tpe.restore(trials, refusals)
        self._ended.update(t.number for t in trials if _counts(t))

    def propose(self, position: int, draw: int) -> dict[str, Any]:
        """See `Sampler.propose`."""
        self._is_from_tpe = len(self._ended) >= NUM_STARTUP_TRIALS
        return (self._tpe if self._is_from_tpe else self._random).propose(position, draw)

    def accept(
        self, number: int, params: dict[str, Any] | None, *, proposed: bool = False
    ) -> None:
        """See `Sampler.accept`."""
        self._tpe.accept(number, params, proposed=proposed and self._is_from_tpe)

    def refuse(self, kind: str) -> None:
        """See `Sampler.refuse`; a random proposal is no trial of TPE's yet."""
        if self._is_from_tpe:
            self._tpe.refuse(kind)

    def tell(self, trial: TrialRecord) -> None:
        """See `Sampler.tell`."""
        if _counts(trial):
            self._ended.add(trial.number)
        self._tpe.tell(trial)


def _counts(trial: TrialRecord) -> bool:
    """Whether Optuna would have it COMPLETE or PRUNED."""
    return trial.is_finished and trial.outcome != "failed"


class RayTpe(OptunaTpe):
    """`OptunaSearch`: Optuna's TPE, which is told that a stopped trial is COMPLETE.

    Its value is then that of the rung at which it was stopped.
    """

    def tell(self, trial: TrialRecord) -> None:
        """See `Sampler.tell`."""
        stopped = trial.outcome == "stopped"
        super().tell(replace(trial, outcome="completed") if stopped else trial)
