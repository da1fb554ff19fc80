"""The outbox and a real MLflow: its SQLite store, its server, and servers that misbehave."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from archsearch.errors import UnfitError
from archsearch.record import lease
from archsearch.record.deliveries import Deliveries
from archsearch.record.messages import SearchEnded, WinnerRead
from archsearch.record.outbox import Outbox
from archsearch.record.paths import RunsFolder
from archsearch.tracking.client import open_client
from archsearch.tracking.exposure import Exposure
from archsearch.tracking.sender import Sender, deliver
from archsearch.tracking.server import TrackingServer
from archsearch.tracking.store import TrackingStore, tracking_store
from archsearch.tracking.views import TRIALS, view_links, view_path
from tests.requirements import skip_or_fail
from tests.tracking_support import (
    ENDED,
    WINNER,
    Recorded,
    call,
    mlflow_contents,
    new_record,
    whole_search,
)

# MLflow and what it is made of warn of their own future; errors here would hit its threads.
pytestmark = pytest.mark.filterwarnings("default", "ignore:The ``noload`` loader")


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Recorded]:
    record = new_record(tmp_path / "runs")
    yield record
    record.database.close()


def statuses(known: dict[str, Any]) -> dict[str, str]:
    return {name: run["status"] for name, run in known.items()}


def test_a_search_reads_as_people_browse_it(store: TrackingStore, record: Recorded) -> None:
    whole_search(record)
    delivery = deliver(record.database, record.search.id, store)
    assert delivery.parked == []
    client = open_client(store)
    known = mlflow_contents(client, record)
    assert statuses(known) == {
        "first": "FINISHED",
        "trial-0000-WRN-16-0": "FINISHED",
        "trial-0001-RESNEXT-16-1": "KILLED",
        "trial-0002-WRN-16-2": "FAILED",
    }
    stopped = known["trial-0001-RESNEXT-16-1"]
    assert stopped["tags"]["mlflow.parentRunId"] == "first"
    assert {k: stopped["tags"][k] for k in ("family", "outcome", "reason", "rung", "arm")} == {
        "family": "resnext",
        "outcome": "stopped",
        "reason": "it stopped",
        "rung": "3",
        "arm": "sampler",
    }
    assert stopped["params"] == {"family": "resnext", "depth": "16", "learning_rate": "0.1"}
    assert [step for step, _, _ in stopped["metrics"]["val_accuracy"]] == [1, 2, 3]
    assert [step for step, _, _ in stopped["metrics"]["val_loss"]] == [1, 3]  # 2: not finite
    assert known["first"]["data"] == stopped["data"] == ["digits"]
    assert known["first"]["artifacts"] == ["leaderboard.json", "settings.yaml", "space.yaml"]
    assert "width or cardinality?" in known["first"]["tags"]["mlflow.note.content"]
    assert "WRN-16-0" in known["first"]["tags"]["mlflow.note.content"]
    experiment = client.get_experiment_by_name("wrn_vs_resnext")
    assert experiment is not None
    assert experiment.tags["mlflow.experiment.primaryMetric.name"] == "val_accuracy"
    assert experiment.tags["mlflow.note.content"] == "width or cardinality?"
    view = json.loads(experiment.tags[f"mlflow.sharedViewState.{TRIALS}"])
    columns = [
        c.rpartition(".")[2].strip("`") for c in json.loads(view["state"])["selectedColumns"]
    ]
    known_columns = {*stopped["params"], *stopped["tags"], *stopped["metrics"]}
    assert set(columns) <= known_columns
    charts = json.loads(view["state"])["compareRunCharts"]
    drawn = {c["metricKey"] for c in charts if c["type"] == "LINE"}
    assert drawn <= set(stopped["metrics"])
    links = view_links(client, "http://127.0.0.1:5000")
    assert links[links.index("wrn_vs_resnext") + 1].endswith(
        f"http://127.0.0.1:5000{view_path(experiment.experiment_id, TRIALS)}"
    )
    assert stopped["metrics"]["system/cpu_utilization_percentage"][0][2] == 50.0
    assert stopped["tags"]["worker"] == "node-1/4711"


def test_the_leaderboard_is_a_table(
    store: TrackingStore, record: Recorded, tmp_path: Path
) -> None:
    whole_search(record)
    deliver(record.database, record.search.id, store)
    client = open_client(store)
    run_id = Deliveries(record.database, record.search.id, store.key).known_id("search")
    assert run_id is not None
    path = client.download_artifacts(run_id, "leaderboard.json", str(tmp_path))
    table = json.loads(Path(path).read_text())
    assert table["columns"][:2] == ["number", "name"]
    assert table["data"] == [[0, "WRN-16-0", "wrn", 0.3, 1000, 5000]]


def test_sending_everything_again_changes_nothing(store: TrackingStore, record: Recorded) -> None:
    whole_search(record)
    deliver(record.database, record.search.id, store)
    before = mlflow_contents(open_client(store), record)
    again = deliver(record.database, record.search.id, store, rebuild=True)
    assert again.sent == 17
    assert mlflow_contents(open_client(store), record) == before
    assert deliver(record.database, record.search.id, store).sent == 0


def test_checkpoints_of_the_best_are_artifacts_of_their_trials(
    store: TrackingStore, record: Recorded, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "e0003-a1.ckpt"
    checkpoint.write_bytes(b"weights")
    record.start()
    record.add_trial(0)
    record.end_trial(0, "completed")
    gone = {"number": 0, "path": str(tmp_path / "gone.ckpt")}
    record.finish(checkpoints=[{"number": 0, "path": str(checkpoint)}, gone])
    assert deliver(record.database, record.search.id, store).parked == []
    known = mlflow_contents(open_client(store), record)
    assert known["trial-0000-WRN-16-0"]["artifacts"] == ["checkpoints"]


def test_a_reading_of_the_test_split_after_the_end_reaches_the_search_and_changes_nothing_else(
    store: TrackingStore, record: Recorded
) -> None:
    whole_search(record)
    deliver(record.database, record.search.id, store)
    client = open_client(store)
    before = mlflow_contents(client, record)
    board = [{"number": 0, "name": "WRN-16-0", "family": "wrn", "val_accuracy": 0.3}]
    message = ENDED | {"leaderboard": board, "winner": WINNER | {"test_accuracy": 0.28}}
    outbox = Outbox(record.database, record.search.id)
    kinds = (SearchEnded.KIND, WinnerRead.KIND)
    assert outbox.add(WinnerRead.model_validate(message), after=outbox.last(*kinds), among=kinds)
    waiting = Deliveries(record.database, record.search.id, store.key).waiting()
    assert outbox.last(*kinds) == waiting[-1]
    deliver(record.database, record.search.id, store)
    after = mlflow_contents(client, record)
    first = after["first"]
    assert [value for _, _, value in first["metrics"].pop("winner_test_accuracy")] == [0.28]
    note = first["tags"].pop("mlflow.note.content")
    assert note.startswith("**Result:** **WRN-16-0** wins (trial 0): validation accuracy 0.2900")
    assert "0.2800 of the test images right" in note
    assert "width or cardinality?" in note
    before["first"]["tags"].pop("mlflow.note.content")
    assert after == before
    told_once = mlflow_contents(client, record)
    deliver(record.database, record.search.id, store, rebuild=True)
    assert mlflow_contents(client, record) == told_once


def test_the_report_is_an_artifact_of_the_search(
    store: TrackingStore, record: Recorded, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    page.write_text("<!doctype html>")
    record.start()
    record.finish(reports=[str(page), str(tmp_path / "gone.md")])
    assert deliver(record.database, record.search.id, store).parked == []
    client = open_client(store)
    run_id = Deliveries(record.database, record.search.id, store.key).known_id("search")
    assert run_id is not None
    assert [found.path for found in client.list_artifacts(run_id, "report")] == [
        "report/report.html"
    ]


def left_behind(away: Path, artifacts: Path) -> None:
    """A link into a file system that is not mounted now."""
    artifacts.symlink_to(away / "not mounted")


def in_the_way(away: Path, artifacts: Path) -> None:
    artifacts.write_text("no folder")


@pytest.mark.parametrize("replace", [left_behind, in_the_way])
def test_while_the_artifacts_folder_is_away_messages_wait_and_then_all_arrives(
    record: Recorded, tmp_path: Path, replace: Callable[[Path, Path], None]
) -> None:
    """Put aside, the leaderboard and the report would be missing until somebody rebuilds."""
    store = tracking_store(RunsFolder(tmp_path / "tracked"))
    page = tmp_path / "report.html"
    page.write_text("<!doctype html>")
    outbox = Deliveries(record.database, record.search.id, store.key)
    record.start()
    deliver(record.database, record.search.id, store)
    assert store.artifacts is not None
    away = store.artifacts.rename(tmp_path / "away")
    replace(away, store.artifacts)
    record.finish(reports=[str(page)])
    warnings: list[str] = []
    sender = Sender(
        record.database, record.search.id, store, warn=warnings.append, command="track first"
    )
    sender.start()
    assert sender.close(30) == 1
    assert "track first" in warnings[-1]
    with pytest.raises(UnfitError, match="1 messages wait"):
        deliver(record.database, record.search.id, store)
    store.artifacts.unlink()
    away.rename(store.artifacts)
    delivery = deliver(record.database, record.search.id, store)
    assert (delivery.sent, delivery.parked, outbox.count_waiting()) == (1, [], 0)
    known = mlflow_contents(open_client(store), record)["first"]
    assert known["artifacts"] == ["leaderboard.json", "report", "settings.yaml", "space.yaml"]


def test_a_file_that_cannot_be_read_is_told_of_and_nothing_waits_for_it(
    store: TrackingStore, record: Recorded, tmp_path: Path
) -> None:
    """It would fail again, however well the folder of artifacts is."""
    unreadable = Path("/proc/sys/vm/compact_memory")  # by anybody, root too
    if not unreadable.exists():
        skip_or_fail(f"there is no {unreadable}")
    page = tmp_path / "report.html"
    page.symlink_to(unreadable)
    record.start()
    record.finish(reports=[str(page)])
    record.start()
    delivery = deliver(record.database, record.search.id, store)
    assert delivery.sent == 3
    (told,) = delivery.parked
    assert "Permission denied" in told


def test_opened_twice_in_a_process_beside_others_the_store_stays_whole(tmp_path: Path) -> None:
    """A descriptor that is closed takes the locks of all others of its process with it."""
    store = tracking_store(RunsFolder(tmp_path / "runs"))
    client = open_client(store)
    experiment = client.create_experiment("ours")
    client.create_run(experiment)
    script = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); "
        "c.execute('CREATE TABLE IF NOT EXISTS theirs (x)'); "
        "c.executemany('INSERT INTO theirs VALUES (?)', [('x' * 500,)] * 200); "
        "c.commit(); c.close()"
    )
    for _ in range(3):
        again = open_client(store)
        subprocess.run([sys.executable, "-c", script, str(store.sqlite)], check=True)
        client.create_run(experiment)
        assert len(again.search_runs([experiment])) == len(client.search_runs([experiment]))
    assert len(client.search_runs([experiment])) == 4
    with contextlib.closing(sqlite3.connect(str(store.sqlite))) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_new_store_is_made_once_by_many_processes(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from archsearch.record.paths import RunsFolder;"
        "from archsearch.tracking.store import tracking_store;"
        f"tracking_store(RunsFolder(Path({str(tmp_path)!r}))).prepare()"
    )
    racers = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [racer.wait(60) for racer in racers] == [0, 0]
    assert [p.name for p in tmp_path.rglob("*.new")] == []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def served(runs: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """`python -m pipeline.ui`, ready to answer."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.ui", f"--port={port}", f"--runs-dir={runs}"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
        assert f"http://127.0.0.1:{port}" in lines[1], lines
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()


def wait_until(done: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def test_a_server_that_is_down_dies_and_comes_back_gets_everything_once_in_order(
    store: TrackingStore, record: Recorded, capfd: pytest.CaptureFixture[str]
) -> None:
    assert store.sqlite is not None
    runs, port = store.sqlite.parent.parent, free_port()
    remote = tracking_store(RunsFolder(runs), f"http://ann:s3cret@127.0.0.1:{port}")
    outbox = Deliveries(record.database, record.search.id, remote.key)
    warnings: list[str] = []
    sender = Sender(
        record.database, record.search.id, remote, warn=warnings.append, command="track first"
    )
    record.start()
    record.add_trial(0)
    sender.start()  # nobody listens
    wait_until(lambda: bool(warnings))
    record.add_epochs(0, 1, 3)
    with served(runs, port) as server:
        record.add_trial(1)
        record.end_trial(1, "failed")
        wait_until(lambda: outbox.count_waiting() == 0)
        record.add_epochs(0, 4, 5)
        server.send_signal(signal.SIGINT)  # Ctrl-C in its terminal
        assert server.wait(30) == 130
    record.add_epochs(0, 6, 8)
    record.end_trial(0, "completed")
    record.finish()
    started = time.monotonic()
    left = sender.close(30)
    assert time.monotonic() - started < 20
    # Down at the end: said, with what to do.
    assert left == outbox.count_waiting() > 0
    assert len(warnings) == 2
    assert "track first" in warnings[1]
    assert "s3cret" not in str(warnings)
    # What `pipeline.track` does, once somebody has started the server again. Delivered to the
    # same store without a server here, so the test waits for one start less.
    key = remote.key
    direct = TrackingStore(store.uri, "direct", key, store.artifacts, store.sqlite)
    deliver(record.database, record.search.id, direct)
    known = mlflow_contents(open_client(store), record)
    assert statuses(known) == {
        "first": "FINISHED",
        "trial-0000-WRN-16-0": "FINISHED",
        "trial-0001-WRN-16-1": "FAILED",
    }
    said = capfd.readouterr()
    assert "s3cret" not in said.out + said.err
    assert "View run" not in said.out
    curve = known["trial-0000-WRN-16-0"]["metrics"]["val_accuracy"]
    assert [step for step, _, _ in curve] == list(range(1, 9))
    assert [time for _, time, _ in curve] == sorted(time for _, time, _ in curve)
    assert known["first"]["artifacts"] == ["leaderboard.json", "settings.yaml", "space.yaml"]


def test_a_server_that_accepts_and_never_answers_holds_nobody_up(record: Recorded) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        warnings: list[str] = []
        store = tracking_store(RunsFolder(Path("runs")), url)
        sender = Sender(
            record.database, record.search.id, store, warn=warnings.append, command="track"
        )
        started = time.monotonic()
        record.start()
        sender.start()
        whole = time.monotonic() - started
        assert whole < 1.0  # nobody waited for MLflow's import either
        started = time.monotonic()
        assert sender.close(3.0) == 1
        assert time.monotonic() - started < 4.0
        assert warnings[-1].startswith("1 messages")


class Refusing(threading.Thread):
    """A server that answers every request with one status, and counts."""

    def __init__(self, status: str, body: str) -> None:
        super().__init__(daemon=True)
        self._answer = (
            f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen()
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.asked = 0

    def run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                with connection:
                    connection.recv(65536)
                    self.asked += 1
                    connection.sendall(self._answer)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        ("503 Service Unavailable", "{}"),
        ("401 Unauthorized", "no"),
        ("404 Not Found", "<html>not MLflow</html>"),
    ],
)
def test_a_server_that_is_not_well_costs_no_message(
    record: Recorded, status: str, body: str
) -> None:
    server = Refusing(status, body)
    server.start()
    record.start()
    store = tracking_store(RunsFolder(Path("runs")), server.url)
    with pytest.raises(UnfitError, match="1 messages wait"):
        deliver(record.database, record.search.id, store)
    server.socket.close()
    assert server.asked
    assert Deliveries(record.database, record.search.id, store.key).parked() == []
    assert Deliveries(record.database, record.search.id, store.key).count_waiting() == 1


def test_the_commands_deliver_and_refuse_in_sentences(
    store: TrackingStore, record: Recorded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole_search(record)
    record.writer.release()
    options = [f"--runs-dir={tmp_path / 'runs'}", f"--tracking-uri={store.uri}"]
    assert call("pipeline.track", "first", *options) == 0
    assert capsys.readouterr().out.startswith("17 messages delivered")
    assert call("pipeline.track", "frist", *options) == 2
    assert "did you mean first?" in capsys.readouterr().err
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        assert call("pipeline.ui", f"--port={port}", options[0]) == 3
    assert f"port {port}" in capsys.readouterr().err


def test_the_lease_of_the_driver_is_not_touched(store: TrackingStore, record: Recorded) -> None:
    record.start()
    deliver(record.database, record.search.id, store)
    record.add_trial(0)  # still the writer
    assert lease.is_live(record.database, record.search.id)


def test_pages_of_a_store_that_was_removed_end_with_what_to_do(tmp_path: Path) -> None:
    runs = RunsFolder(tmp_path / "runs")
    store = tracking_store(runs)
    with TrackingServer(store, free_port(), Exposure(), runs.mlflow) as server:
        server.wait_until_ready()
        shutil.rmtree(runs.mlflow)
        with pytest.raises(UnfitError, match=r"removed or replaced.* start them again"):
            server.wait()
