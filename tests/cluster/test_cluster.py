"""A search on a cluster of hosts, with the faults of clusters, from the outside.

Every service is started as `docker/compose.yaml` says. A user submits a search; a worker's host is
lost, MLflow and PostgreSQL are started again, the job is stopped; then everything that was
promised is asked for.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import Any

import pytest

from tests.chaos.fault_table import Snapshot, account_of
from tests.cluster.clients import MLFLOW, RAY, Laptop, Observer, can_connect, told_of, wait_until
from tests.cluster.container import Container
from tests.cluster.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.timeout(900)]

RUNS = "/var/lib/archsearch/runs"
SEARCH = (
    "pipeline.search", "--space", "smoke", "--trials", "4", "--max-epochs", "120", "--confirm",
    "1x1", "--name", "first", "--address", "auto", "--runs-dir", RUNS,
)  # fmt: skip
_RESUMED = "SELECT count(*) FROM epochs WHERE attempt > 1"
_EPOCHS = "SELECT count(*) FROM epochs"
_ENDED = "SELECT count(*) FROM trials WHERE outcome IS NOT NULL"
# Epochs of the trial that has fewest among those that run; 0 while fewer than two run.
_BEHIND = """
  SELECT CASE WHEN count(*) < 2 THEN 0 ELSE min(n) END FROM (
    SELECT count(e.number) AS n FROM trials t LEFT JOIN epochs e USING (search_id, number)
    WHERE t.outcome IS NULL GROUP BY t.number) AS running
"""


@dataclass
class Story:
    """What happened, and what was seen.

    Attributes:
        stack: The hosts.
        laptop: Where the user is.
        observer: Who sees record and storage.
        between: The record whenever a driver has ended.
        end: The record at the end.
        jobs: The jobs that were submitted, with how they ended.
    """

    stack: Stack
    laptop: Laptop
    observer: Observer
    between: list[Snapshot]
    end: Snapshot
    jobs: dict[str, str]


@pytest.fixture(scope="module")
def story(stack: Stack) -> Story:
    laptop, observer = Laptop(stack), Observer(stack)
    jobs = {}
    laptop.submit("first", *SEARCH)
    with told_of(laptop, "first"):
        wait_until(lambda: observer.number(_BEHIND) >= 1, "two trials have an epoch")
        stack.containers["ray-worker-2"].lose(stack.lab)
        stack.start("ray-worker", 3)
        with stack.without("mlflow"):
            pass
        wait_until(lambda: observer.number(_RESUMED) >= 1, "the lost trial goes on elsewhere")
        wait_until(lambda: observer.number(_ENDED) >= 1, "a trial has ended")
        with stack.without("postgres"):  # until the driver has noticed: it survives a moment
            jobs["first"] = laptop.wait_for("first")
        stack.containers["postgres"].wait_until_healthy()
    between = [observer.snapshot("first")]
    num_epochs = observer.number(_EPOCHS)
    laptop.submit("second", *SEARCH)
    with told_of(laptop, "second"):
        wait_until(lambda: observer.number(_EPOCHS) > num_epochs, "it goes on")
        laptop.stop("second")
    jobs["second"] = laptop.wait_for("second")
    between.append(observer.snapshot("first"))
    laptop.submit("again", *SEARCH)
    jobs["again"] = laptop.wait_for("again")
    stack.containers["mlflow"].wait_until_healthy()
    laptop.submit("track", "pipeline.track", "first", "--runs-dir", RUNS)
    jobs["track"] = laptop.wait_for("track")
    return Story(stack, laptop, observer, between, observer.snapshot("first"), jobs)


def test_the_same_command_ends_the_search(story: Story) -> None:
    printed = story.laptop.printed("again")
    assert story.jobs["again"] == "SUCCEEDED", printed
    assert "first: finished; 4 trials" in printed


def test_a_driver_without_its_database_says_so(story: Story) -> None:
    printed = story.laptop.printed("first")
    assert story.jobs["first"] == "FAILED", printed
    told = story.laptop.ask("ray", "GET", f"{RAY}/api/jobs/first").body
    assert "check that it can be reached" in printed, told


def test_a_stopped_job_ends_by_itself(story: Story) -> None:
    printed = story.laptop.printed("second")
    assert story.jobs["second"] == "STOPPED", printed
    assert "first: interrupted" in printed


def test_nothing_is_lost_or_done_twice(story: Story) -> None:
    account = account_of(story.between, story.end)
    assert (account.lost, account.doubled) == (0, 0)
    # A host and two drivers went; each trial that ran there may have repeated one epoch.
    assert account.repeated <= 1 + 2 + 2
    assert any(trial.is_finished for trial in story.between[0].recorded.trials)
    assert all(trial.is_finished for trial in story.end.recorded.trials)


def test_a_lost_hosts_trial_goes_on_from_its_checkpoint(story: Story) -> None:
    lost = {
        trial.number: attempt
        for trial in story.end.recorded.trials
        for attempt, ended in trial.attempts.items()
        if ended == "lost"
    }
    assert len(lost) == 1  # one trial ran there
    ((number, attempt),) = lost.items()
    trial = story.end.recorded.trials[number]
    assert trial.outcome in ("completed", "stopped")
    made = [epoch.attempt for epoch in trial.epochs]
    assert made == sorted(made)
    assert made[0] == attempt < made[-1]  # its epochs before the loss are kept


def runs_of(story: Story) -> list[dict[str, Any]]:
    api = f"{MLFLOW}/api/2.0/mlflow"
    found = story.laptop.ask(
        "mlflow", "GET", f"{api}/experiments/get-by-name?experiment_name=smoke"
    )
    query = {"experiment_ids": [found.json["experiment"]["experiment_id"]], "max_results": 1000}
    told = story.laptop.ask("mlflow", "POST", f"{api}/runs/search", query).json
    return list(told["runs"])


def tags_of(run: dict[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in run["data"]["tags"]}


def test_mlflow_has_every_trial_once_and_no_run_goes_on(story: Story) -> None:
    runs = runs_of(story)
    children = [run for run in runs if "mlflow.parentRunId" in tags_of(run)]
    trials = story.end.recorded.trials
    assert len(runs) == len(children) + 1
    assert sorted(int(tags_of(run)["trial"]) for run in children) == [t.number for t in trials]
    ends = {"completed": "FINISHED", "stopped": "KILLED"}
    for run in children:
        outcome = trials[int(tags_of(run)["trial"])].outcome
        assert run["info"]["status"] == ends.get(str(outcome), "FAILED")
    (parent,) = [run for run in runs if run not in children]
    assert parent["info"]["status"] == "FINISHED"


def test_mlflow_has_every_epoch_once_and_in_order(story: Story) -> None:
    for run in runs_of(story):
        if "mlflow.parentRunId" not in tags_of(run):
            continue
        trial = story.end.recorded.trials[int(tags_of(run)["trial"])]
        query = f"run_id={run['info']['run_id']}&metric_key=val_accuracy&max_results=1000"
        url = f"{MLFLOW}/api/2.0/mlflow/metrics/get-history?{query}"
        points = story.laptop.ask("mlflow", "GET", url).json["metrics"]
        by_time = sorted(points, key=lambda point: int(point["timestamp"]))
        assert [int(p.get("step", 0)) for p in by_time] == [e.epoch for e in trial.epochs]
        assert [p["value"] for p in by_time] == pytest.approx([e.value for e in trial.epochs])


def test_checkpoints_are_in_s3_and_no_more_than_two_a_trial(story: Story) -> None:
    kept: dict[str, int] = {}
    for path in story.observer.files():
        match = re.search(r"/trials/(\d+)/e\d+-a\d+\.ckpt$", path)
        if match:
            kept[match[1]] = kept.get(match[1], 0) + 1
    assert set(map(int, kept)) == {t.number for t in story.end.recorded.trials}
    assert set(kept.values()) <= {1, 2}


def test_the_winner_is_promoted_and_served_from_the_registry(story: Story) -> None:
    story.laptop.submit("promote", "pipeline.promote", "first", "--runs-dir", RUNS)
    ended = story.laptop.wait_for("promote")
    assert ended == "SUCCEEDED", story.laptop.printed("promote")
    api = f"{MLFLOW}/api/2.0/mlflow"
    (model,) = story.laptop.ask("mlflow", "GET", f"{api}/registered-models/search").json[
        "registered_models"
    ]
    assert "champion" in {alias["alias"] for alias in model["aliases"]}
    name = model["name"]
    where = f"{api}/model-versions/get-download-uri?name={name}&version=1"
    assert story.laptop.ask("mlflow", "GET", where).status == 200


def test_the_report_is_on_the_heads_volume(story: Story) -> None:
    page = f"{RUNS}/first/report.html"
    done = story.stack.containers["ray-head"].run("head", "-c", "15", page)
    assert done.stdout.lower() == "<!doctype html>", done.stderr
    assert (story.stack.folder / "volumes" / "runs" / "runs" / "first" / "report.html").is_file()


def test_nobody_comes_in_without_a_password(story: Story) -> None:
    search = f"{MLFLOW}/api/2.0/mlflow/experiments/search"
    body = {"max_results": 1}
    assert story.laptop.ask("mlflow", "POST", search, body).status == 200
    assert story.laptop.ask("nobody", "POST", search, body).status == 401
    assert story.laptop.ask("mlflow:wrong", "POST", search, body).status == 401
    elsewhere = story.laptop.ask("mlflow", "POST", search, body, HOST_HEADER="evil.example")
    assert elsewhere.status == 403


def test_nobody_submits_a_job_without_the_token(story: Story) -> None:
    jobs = f"{RAY}/api/jobs/"
    assert story.laptop.ask("ray", "GET", jobs).status == 200
    assert story.laptop.ask("nobody", "GET", jobs).status in (401, 403)
    job = {"entrypoint": "true"}
    assert story.laptop.ask("nobody", "POST", jobs, job).status in (401, 403)
    code, said = story.laptop.run(
        "python", "-c", "import ray; ray.init('ray-head:6379')", RAY_AUTH_MODE="disabled"
    )
    assert code != 0, said


def test_workers_do_not_reach_the_database_or_the_inside_of_the_store(story: Story) -> None:
    worker, head = (story.stack.containers[n] for n in ("ray-worker-1", "ray-head"))
    postgres = story.stack.containers["postgres"].addresses["database"]
    assert can_connect(head, postgres, 5432)
    assert not can_connect(worker, postgres, 5432)
    assert can_connect(worker, "seaweedfs", 8333)
    for port in (8080, 8888, 9333):  # volumes, files and their master, which ask for no key
        assert not can_connect(worker, "seaweedfs", port)


def test_workers_cannot_touch_mlflows_files(story: Story) -> None:
    worker = story.stack.containers["ray-worker-1"]
    code = "import boto3; print(len(boto3.client('s3').list_objects_v2(Bucket={!r})['Contents']))"
    own = worker.run("python", "-c", code.format("archsearch"))
    assert int(own.stdout) > 0, own.stderr
    others = worker.run("python", "-c", code.format("mlflow"))
    assert others.returncode != 0
    assert "AccessDenied" in others.stderr, others.stderr


def test_no_secret_is_in_any_log(story: Story) -> None:
    secrets = {
        path.name: path.read_text().strip()
        for path in story.stack.secrets.iterdir()
        if path.suffix != ".json" and not path.name.startswith("aws_")
    }
    identities = json.loads((story.stack.secrets / "s3_users.json").read_text())["identities"]
    for identity in identities:
        (pair,) = identity["credentials"]
        secrets[f"{identity['name']}'s key"] = pair["secretKey"]
    said = [path.read_text(errors="replace") for path in story.stack.folder.glob("*.log")]
    said += [story.laptop.printed(job) for job in story.jobs]
    said.append(story.laptop.ask("ray", "GET", f"{RAY}/api/jobs/").body)
    for name in ("ray-head", "ray-worker-1", "ray-worker-3"):
        said.append(_ray_logs(story.stack.containers[name]))
    for name, secret in secrets.items():
        assert not any(secret in text for text in said), name


def _ray_logs(container: Container) -> str:
    done = container.run("sh", "-c", "cat /tmp/ray/session_latest/logs/* 2>/dev/null; true")
    assert len(done.stdout) > 1000, done.stderr
    return done.stdout


def test_every_service_ends_in_its_grace_period(story: Story) -> None:
    """The last test: nothing runs after it."""
    started = time.monotonic()
    containers = story.stack.containers
    for name in ("ray-worker-1", "ray-worker-3", "ray-head", "mlflow", "seaweedfs", "postgres"):
        seconds = containers[name].stop()
        assert seconds < containers[name].service.grace_seconds, name
    print(f"everything ended in {time.monotonic() - started:.0f} s")
