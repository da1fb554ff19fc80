"""A search as MLflow is told of it, and what people do to it in MLflow's pages meanwhile."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import Any

import pytest

from archsearch.errors import UnfitError
from archsearch.record.deliveries import Deliveries
from archsearch.tracking.courier import Courier
from archsearch.tracking.mlflow_tracker import MlflowTracker
from archsearch.tracking.sender import Delivery, Sender, deliver
from archsearch.tracking.sender_lease import SenderLease
from archsearch.tracking.store import TrackingStore
from archsearch.tracking.tracker import Tracker
from tests.tracking_support import IDENTITY, Recorded, mlflow_contents, of_search, whole_search

STORE = TrackingStore("http://127.0.0.1:1", "http://127.0.0.1:1", "fake")


@pytest.fixture
def client() -> Any:
    from tests.fake_mlflow import FakeMlflow

    return FakeMlflow()


def opened(client: Any) -> Callable[[TrackingStore, Deliveries, int], Tracker]:
    return lambda store, deliveries, seconds: MlflowTracker(client, store, deliveries)


def told(record: Recorded, client: Any, *, rebuild: bool = False) -> Delivery:
    """What `pipeline.track` does."""
    return deliver(
        record.database,
        record.search.id,
        STORE,
        rebuild=rebuild,
        open_destination=opened(client),
    )


def deliveries_of(record: Recorded) -> Deliveries:
    return Deliveries(record.database, record.search.id, STORE.key)


def statuses(known: dict[str, Any]) -> dict[str, str]:
    return {name: run["status"] for name, run in known.items()}


def run_of(client: Any, record: Recorded, key: str) -> str:
    """The id of the active run with our unique tag."""
    (experiment,) = client.search_experiments()
    tag = f"tags.`archsearch.id` = '{record.search.uuid}/{key}'"
    (run,) = client.search_runs([experiment.experiment_id], tag)
    return str(run.info.run_id)


class KilledError(BaseException):
    """Stands for SIGKILL: nothing catches it."""


class Dying:
    """A client whose n-th call is its process's last act: made, or made and not answered."""

    def __init__(self, client: Any, dies_at: int, *, after_the_call: bool) -> None:
        self._client = client
        self._left = dies_at
        self._after = after_the_call

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._after:
                raise KilledError
            answer = method(*args, **kwargs)
            if self._left == 0:
                raise KilledError
            return answer

        return call


@pytest.mark.parametrize("after_the_call", [True, False])
def test_killed_between_any_two_calls_nothing_is_missing_or_twice(
    record: Recorded, client: Any, after_the_call: bool
) -> None:
    whole_search(record)
    outbox = deliveries_of(record)
    dies_at, kills = 1, 0
    while outbox.count_waiting():
        # A new process each time; one call further than the last, so that every call is hit.
        dying: Any = Dying(client, dies_at, after_the_call=after_the_call)
        courier = Courier(MlflowTracker(dying, STORE, outbox), outbox, may_send=lambda: True)
        before = outbox.count_waiting()
        try:
            courier.round()
        except KilledError:
            kills += 1
            dies_at = 1 if outbox.count_waiting() < before else dies_at + 1
    assert kills > 30
    known = mlflow_contents(client, record)
    told(record, client, rebuild=True)
    assert mlflow_contents(client, record) == known
    assert statuses(known)["first"] == "FINISHED"
    assert len(known) == 4
    assert [s for s, _, _ in known["trial-0000-WRN-16-0"]["metrics"]["val_accuracy"]] == [1, 2, 3]


def test_an_interrupted_search_is_not_left_running_and_ends_well_when_continued(
    record: Recorded, client: Any
) -> None:
    record.start()
    record.add_trial(0)
    record.add_epochs(0, 1, 2)
    record.finish(finished=False)
    told(record, client)
    known = mlflow_contents(client, record)
    assert set(statuses(known).values()) == {"KILLED"}
    assert "interrupted" in known["trial-0000-WRN-16-0"]["tags"]["reason"]
    record.start()
    record.add_epochs(0, 3, 3)
    told(record, client)
    assert set(statuses(mlflow_contents(client, record)).values()) == {"RUNNING"}
    record.end_trial(0, "completed")
    record.finish()
    told(record, client)
    known = mlflow_contents(client, record)
    assert set(statuses(known).values()) == {"FINISHED"}
    assert known["trial-0000-WRN-16-0"]["tags"]["reason"] == "it completed"
    assert [s for s, _, _ in known["trial-0000-WRN-16-0"]["metrics"]["val_accuracy"]] == [1, 2, 3]


def test_runs_that_were_deleted_come_back_whole(record: Recorded, client: Any) -> None:
    whole_search(record)
    told(record, client)
    known = mlflow_contents(client, record)
    for run in client.search_runs(
        [client.get_experiment_by_name("wrn_vs_resnext").experiment_id],
        of_search(record),
    ):
        client.delete_run(run.info.run_id)
    record.start()  # continued: the next message finds the search's run gone
    record.finish()
    told(record, client)
    again = mlflow_contents(client, record)
    assert statuses(again) == statuses(known)
    name = "trial-0000-WRN-16-0"
    assert again[name]["metrics"] == known[name]["metrics"]


def test_a_refused_message_is_parked_with_one_warning_and_the_rest_arrives(
    record: Recorded, client: Any
) -> None:
    whole_search(record)
    told(record, client)
    record.start(
        identity=IDENTITY | {"seed": 1}
    )  # MLflow refuses a changed parameter, now and for ever
    record.start(identity=IDENTITY | {"seed": 2})
    record.add_trial(3)
    record.add_epochs(3, 1, 1)
    warnings: list[str] = []
    sender = Sender(
        record.database,
        record.search.id,
        STORE,
        warn=warnings.append,
        command="track",
        open_destination=opened(client),
    )
    sender.start()
    assert sender.close(30) == 0
    assert len(warnings) == 1
    assert "search_started" in warnings[0]
    assert len(deliveries_of(record).parked()) == 2
    assert mlflow_contents(client, record)["trial-0003-WRN-16-3"]["metrics"]["val_accuracy"]


def test_a_record_without_its_first_message_is_refused_and_not_sent_for_ever(
    record: Recorded, client: Any
) -> None:
    whole_search(record)
    with record.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM outbox WHERE kind = 'search_started'")
    with pytest.raises(UnfitError, match="the search's first message is missing"):
        told(record, client)


def test_a_start_that_is_refused_waits_with_all_that_follows(
    record: Recorded, client: Any
) -> None:
    whole_search(record)
    with contextlib.closing(record.database._engine.raw_connection()) as connection:
        connection.execute(  # the name of an experiment that MLflow does not take
            "UPDATE outbox SET payload = json_set(payload, '$.space_name', '') "
            "WHERE kind = 'search_started'"
        )
        connection.commit()
    before = deliveries_of(record).count_waiting()
    with pytest.raises(UnfitError, match="messages wait in the record"):
        told(record, client)
    outbox = deliveries_of(record)
    assert (outbox.count_waiting(), outbox.parked()) == (before, [])


def test_only_one_delivers_at_a_time(record: Recorded, client: Any) -> None:
    record.start()
    driver = SenderLease(record.database, record.search.id, STORE.key)
    assert driver.hold()
    with pytest.raises(UnfitError, match=f"process {os.getpid()}"):
        told(record, client)
    driver.release()
    assert told(record, client).sent == 1


def test_all_waiting_runs_are_ended_however_many_pages_they_fill(
    record: Recorded, client: Any
) -> None:
    client.page = 3
    record.start()
    for number in range(10):
        record.add_trial(number)
    record.finish(finished=False)
    told(record, client)
    known = mlflow_contents(client, record, page=100)
    assert len(known) == 11
    assert set(statuses(known).values()) == {"KILLED"}


def test_a_trials_run_that_is_deleted_in_the_pages_is_restored_and_goes_on(
    record: Recorded, client: Any
) -> None:
    record.start()
    record.add_trial(0)
    record.add_epochs(0, 1, 2)
    told(record, client)
    client.delete_run(run_of(client, record, "trial-0"))
    record.add_epochs(0, 3, 3)
    assert told(record, client).parked == []
    trial = mlflow_contents(client, record)["trial-0000-WRN-16-0"]
    assert [step for step, _, _ in trial["metrics"]["val_accuracy"]] == [1, 2, 3]


def test_a_trials_run_that_is_deleted_for_good_is_made_anew_whole(
    record: Recorded, client: Any
) -> None:
    record.start()
    record.add_trial(0)
    record.add_epochs(0, 1, 2)
    told(record, client)
    client.gone(run_of(client, record, "trial-0"))
    record.add_epochs(0, 3, 3)
    assert told(record, client).parked == []
    trial = mlflow_contents(client, record)["trial-0000-WRN-16-0"]
    assert [step for step, _, _ in trial["metrics"]["val_accuracy"]] == [1, 2, 3]


def test_trials_follow_a_parent_that_was_deleted_alone(record: Recorded, client: Any) -> None:
    whole_search(record)
    told(record, client)
    before = mlflow_contents(client, record)
    client.delete_run(run_of(client, record, "search"))
    told(record, client)
    assert statuses(mlflow_contents(client, record)) == statuses(before)
    parent = run_of(client, record, "search")
    for number in range(3):
        trial = client.get_run(run_of(client, record, f"trial-{number}"))
        assert trial.data.tags["mlflow.parentRunId"] == parent


@pytest.mark.parametrize("harm", ["delete_experiment", "rename_experiment"])
def test_an_experiment_that_was_deleted_or_renamed_goes_on(
    record: Recorded, client: Any, harm: str
) -> None:
    record.start()
    record.add_trial(0)
    told(record, client)
    number = client.get_experiment_by_name("wrn_vs_resnext").experiment_id
    names = ("mine",) if harm == "rename_experiment" else ()
    getattr(client, harm)(number, *names)
    record.add_epochs(0, 1, 1)
    record.end_trial(0, "completed")
    record.start()
    record.finish()
    assert told(record, client).parked == []
    (experiment,) = client.search_experiments()
    name = "mine" if names else "wrn_vs_resnext"
    assert (experiment.experiment_id, experiment.name) == (number, name)
    assert len(client.search_runs([number])) == 2
    told(record, client, rebuild=True)
    (experiment,) = client.search_experiments()
    assert len(client.search_runs([number])) == 2


def test_a_run_that_was_renamed_keeps_its_name_and_the_command_names_the_search(
    record: Recorded, client: Any
) -> None:
    whole_search(record)
    told(record, client)
    client.update_run(run_of(client, record, "search"), name="my favourite")
    client.update_run(run_of(client, record, "trial-0"), name="my trial")
    told(record, client, rebuild=True)
    known = mlflow_contents(client, record)
    assert {"my favourite", "my trial"} < set(known)
    note = known["my favourite"]["tags"]["mlflow.note.content"]
    assert "pipeline.promote first`" in note
