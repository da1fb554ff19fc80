"""Which run on the server is which of ours: looked up before anything is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from archsearch.objective import Objective
from archsearch.record.deliveries import Deliveries
from archsearch.tracking import translation as translation
from archsearch.tracking.client import UnknownRunError, is_missing
from archsearch.tracking.store import TrackingStore

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run


class KnownRuns:
    """The runs of one search on one store.

    An id is taken from memory, from the record, or from the server, where every run carries a
    unique tag. What the server answered is written to the record.

    Args:
        client: Of that store.
        store: Where the client points.
        deliveries: Of that search to that store.
    """

    def __init__(self, client: MlflowClient, store: TrackingStore, deliveries: Deliveries) -> None:
        self._client = client
        self._deliveries = deliveries
        self._search: Run | None = None
        self._trials: dict[int, str] = {}

    def verify(self) -> bool:
        """Look whether the server still has what it was told; False if all must be sent again.

        That is so for a server that never heard of this search, and for one whose runs were
        deleted: the record remembers ids that mean nothing there.
        """
        self._search = None
        self._trials.clear()
        known = self._deliveries.known_id("search")
        if known is not None:
            run = self._run(known)
            self._search = run if run and run.info.lifecycle_stage == "active" else None
        return self._search is not None

    def search(self) -> Run:
        """The search's own run, as it was when last read.

        Raises:
            UnknownRunError: It is not there.
        """
        if self._search is None:
            raise UnknownRunError("the search's own run is not there")
        return self._search

    @property
    def experiment(self) -> str | None:
        """The experiment of the search's own run, whatever its name is; None without a run."""
        return self._search.info.experiment_id if self._search else None

    def find_search(self, experiment_id: str, key: str) -> str | None:
        """The id of the search's own run, if it is there."""
        run = self._search or self._find(experiment_id, key)
        return run.info.run_id if run else None

    def remember_search(self, run_id: str) -> None:
        """The search's own run was made or changed."""
        self._search = self._client.get_run(run_id)
        self._store("search", run_id)

    def trial(self, number: int) -> str:
        """The id of a trial's run.

        Raises:
            UnknownRunError: It is not there.
        """
        run_id = self.find_trial(number)
        if run_id is None:
            raise UnknownRunError(f"the run of trial {number} is not there")
        return run_id

    def find_trial(self, number: int) -> str | None:
        """The id of a trial's run, if it is there."""
        if number in self._trials:
            return self._trials[number]
        search = self.search()
        run_id = self._deliveries.known_id(self._trial_key(number))
        if run_id is None:
            key = translation.trial_key(translation.uuid_of(search.data.tags), number)
            run = self._find(search.info.experiment_id, key)
            run_id = run.info.run_id if run else None
        if run_id is not None:
            self.remember_trial(number, run_id)
        return run_id

    def remember_trial(self, number: int, run_id: str) -> None:
        """A trial's run was made or found."""
        self._trials[number] = run_id
        self._store(self._trial_key(number), run_id)

    def revive(self, number: int) -> Literal["active", "restored", "gone", "unknown"]:
        """Restore a trial's run that somebody deleted.

        Returns:
            How the run was found: well, deleted and now restored, deleted for good, or never
            told of.
        """
        run_id = self._trials.get(number)
        if run_id is None:
            return "unknown"
        run = self._run(run_id)
        if run is None:
            return "gone"
        if run.info.lifecycle_stage == "active":
            return "active"
        self._client.restore_run(run_id)
        return "restored"

    def _trial_key(self, number: int) -> str:
        """What the record calls a trial's run; runs under an earlier parent do not count."""
        return f"{self.search().info.run_id}/trial-{number}"

    def _store(self, key: str, run_id: str) -> None:
        if self._deliveries.known_id(key) != run_id:
            self._deliveries.store_id(key, run_id)

    def search_all(self, experiment_id: str, conditions: str) -> list[str]:
        """The ids of all active runs of an experiment that fulfil a condition.

        An answer has at most a page of them; none is changed before all are known, since runs
        that no longer fulfil the condition would move later pages.
        """
        found: list[str] = []
        token = None
        while True:
            page = self._client.search_runs([experiment_id], conditions, page_token=token)
            found += [run.info.run_id for run in page]
            token = page.token
            if not token:
                return found

    def _find(self, experiment_id: str, key: str) -> Run | None:
        runs = self._client.search_runs(
            [experiment_id], f"tags.`{translation.UNIQUE_TAG}` = '{key}'", max_results=1
        )
        return runs[0] if runs else None

    def _run(self, run_id: str) -> Run | None:
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_run(run_id)
        except MlflowException as error:
            if is_missing(error):
                return None
            raise


def ensure_experiment(
    client: MlflowClient,
    store: TrackingStore,
    name: str,
    objective: Objective,
    description: str = "",
) -> str:
    """The id of a space's experiment, made or restored if need be.

    Args:
        client: Of that store.
        store: Where the client points.
        name: Of the space.
        objective: Of its searches.
        description: For the top of its page, unless somebody has written one.
    """
    from mlflow.exceptions import MlflowException

    tags = translation.experiment_tags(objective) | {translation.SPACE_TAG: name}
    experiment = client.get_experiment_by_name(name) or _renamed(client, name)
    if experiment is None:
        try:
            client.create_experiment(name, store.artifact_location(name), tags)
        except MlflowException as error:
            # Another search of this space may have been first.
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            raise UnknownRunError(f"the experiment {name!r} was made, but it is not there")
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    if description and not experiment.tags.get("mlflow.note.content"):
        client.set_experiment_tag(experiment.experiment_id, "mlflow.note.content", description)
    for key, value in tags.items():
        if experiment.tags.get(key) != value:
            client.set_experiment_tag(experiment.experiment_id, key, value)
    return str(experiment.experiment_id)


def _renamed(client: MlflowClient, space: str) -> Experiment | None:
    """The experiment of a space that somebody gave another name, if any."""
    condition = f"tags.`{translation.SPACE_TAG}` = '{space}'"
    found = client.search_experiments(filter_string=condition)
    return found[0] if found else None
