"""The end of a search: its finalists are trained again, by runs that are no search trials.

A confirm run is a row of the record like any trial's, so it is resumed, tracked and shown like
one. It has its finalist's configuration but for the seed, which makes their digests equal: that
is what ties them together.
"""

from __future__ import annotations

from collections.abc import Sequence

from archsearch.analysis.finalists import ConfirmSpec, finalists, missing_runs
from archsearch.halving.arms import CONFIRM
from archsearch.record.trial import TrialRecord, search_trials
from archsearch.search.draws import Draw
from archsearch.search.events import ConfirmationStarted, Listener
from archsearch.search.seeds import seed_of


class Confirmation:
    """Says which confirm run is next; it looks at the record alone, so nothing is to be restored.

    Args:
        spec: How many finalists and seeds; None for no confirm runs.
        seed: The search's.
        listener: Told once that confirm runs begin.
    """

    def __init__(
        self,
        spec: ConfirmSpec | None = None,
        seed: int = 0,
        listener: Listener = lambda event: None,
    ) -> None:
        self._spec = spec
        self._seed = seed
        self._tell = listener
        self._has_begun = False

    def is_due(self, trials: Sequence[TrialRecord]) -> bool:
        """Whether confirm runs are wanted that were not started, now or when the search ends."""
        return bool(missing_runs(trials, self._spec))

    def num_due(self, trials: Sequence[TrialRecord]) -> int:
        """How many could be started now."""
        known = all(trial.is_finished for trial in search_trials(trials))
        return len(missing_runs(trials, self._spec)) if known else 0

    def next(self, trials: Sequence[TrialRecord]) -> Draw | None:
        """The confirm run to start; None while search trials run, and when all were started.

        Finalists are known when every search trial has ended, and not before.
        """
        if not self.num_due(trials):
            return None
        missing = missing_runs(trials, self._spec)
        self._announce(trials, len(missing))
        finalist, replicate = missing[0]
        seed = seed_of(self._seed, "confirm", finalist.config_digest, replicate)
        config = finalist.config.model_copy(update={"seed": seed})
        return Draw(CONFIRM, finalist.params, config, finalist.complexity, finalist.objective)

    def _announce(self, trials: Sequence[TrialRecord], num_missing: int) -> None:
        if self._spec is not None and not self._has_begun:
            self._has_begun = True
            chosen = tuple((t.number, t.name) for t in finalists(trials, self._spec))
            self._tell(ConfirmationStarted(chosen, self._spec.num_seeds, num_missing))
