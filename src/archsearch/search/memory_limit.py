"""What trials that ran out of memory have taught: what takes as much is not tried again.

Pre-flight predicts the memory of a training but not how much a device has room for: that shows
when a trial does not fit. The prediction need not be exact for it; it only has to put two
trainings in the right order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from archsearch.record.trial import TrialRecord
from archsearch.search.preflight import InfeasibleError
from archsearch.spaces.trial_config import TrialConfig
from archsearch.training.footprint import MIB, smallest_micro_batch_of, training_memory
from archsearch.training.memory import share_of
from archsearch.training.precision import Precision

RAN_OUT = "ran out of memory"
"""In the reason of every refusal from here."""


@dataclass(frozen=True)
class _Seen:
    """A training that fitted, or did not.

    Attributes:
        whole: Whether it was never cut into micro-batches: its host killed it as it was.
    """

    number: int
    config: TrialConfig
    micro_batch: int
    size: tuple[int, int]
    """Parameters, and activations of a micro-batch: both smaller takes less memory."""
    whole: bool = False


@dataclass
class MemoryLimit:
    """Refuses what is predicted to take at least as much memory as a trial that ran out of it.

    Devices give way after they have halved the micro-batch as far as it goes, so trainings are
    compared at their smallest micro-batches; a host that runs out kills a worker at once, so
    there they are compared at the batches that they had. A failure counts for nothing when a
    training of more memory was fully trained or stopped: somebody else used the device then.

    What it says follows from the finished trials alone, so a search that is continued refuses
    what it would have refused.
    """

    precision: Precision = "float32"
    num_workers: int = 1
    """How many share a batch; memory is that of one of them."""
    _fitted: list[_Seen] = field(default_factory=list)
    _failed: list[_Seen] = field(default_factory=list)

    def restore(self, trials: Iterable[TrialRecord], *, forgive: bool = False) -> None:
        """Take over what is recorded; `forgive` leaves the failures out."""
        for trial in trials:
            if trial.is_finished and not (forgive and trial.outcome == "out_of_memory"):
                self.learn(trial)

    def learn(self, trial: TrialRecord) -> str | None:
        """A trial has its outcome.

        Returns:
            A sentence for the user, where it ran out of memory.
        """
        config = trial.config
        used = [epoch.result.micro_batch for epoch in trial.epochs]
        if trial.outcome == "out_of_memory":
            whole = "memory" in trial.attempts.values()
            micro_batch = used[-1] if whole and used else self._asked(config, whole)
            failed = _seen(trial, config, micro_batch, whole)
            self._failed.append(failed)
            return (
                f"trial {trial.number} {RAN_OUT}; {self._predicted(failed)}: what is "
                "predicted to take as much is refused from now on (--retry-memory tries it again)"
            )
        if used:
            self._fitted.append(_seen(trial, config, used[-1]))
        return None

    def check(self, config: TrialConfig) -> None:
        """Refuse a training that cannot be expected to fit.

        Raises:
            InfeasibleError: Not even a smaller one did; says which.
        """
        for failed in self._binding():
            micro_batch = self._asked(config, failed.whole)
            needed = self._bytes(config, micro_batch)
            if needed >= self._bytes(failed.config, failed.micro_batch):
                raise InfeasibleError(
                    f"{config.name}: {needed / MIB:,.1f} MiB predicted in batches of "
                    f"{micro_batch}, and trial {failed.number} {RAN_OUT}, "
                    f"{self._predicted(failed)} (lift it: --retry-memory)"
                )

    def _binding(self) -> Iterator[_Seen]:
        """Failures that no larger training contradicts."""
        for failed in self._failed:
            room = self._bytes(failed.config, failed.micro_batch)
            # The prediction takes a tenth of a second, so clearly smaller ones are passed over.
            larger = (f for f in self._fitted if any(map(int.__ge__, f.size, failed.size)))
            if not any(self._bytes(f.config, f.micro_batch) >= room for f in larger):
                yield failed

    def _predicted(self, seen: _Seen) -> str:
        memory = self._bytes(seen.config, seen.micro_batch) / MIB
        return f"{memory:,.1f} MiB predicted in batches of {seen.micro_batch}"

    def _bytes(self, config: TrialConfig, micro_batch: int) -> int:
        size, workers = micro_batch, self.num_workers
        return training_memory(
            config.architecture, config.input, size, self.precision, workers
        ).peak

    def _asked(self, config: TrialConfig, whole: bool) -> int:
        """The share of a batch that must fit: as it is, or cut as far as it can be."""
        batch_size, workers = config.effective_recipe.batch_size, self.num_workers
        if whole:
            return share_of(batch_size, workers)
        return smallest_micro_batch_of(config.architecture, config.input, batch_size, workers)


def _seen(trial: TrialRecord, config: TrialConfig, micro_batch: int, whole: bool = False) -> _Seen:
    cost = trial.complexity
    size = (cost.params, cost.activations * micro_batch)
    return _Seen(trial.number, config, micro_batch, size, whole)
