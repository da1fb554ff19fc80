"""Hosts that ask: a user's laptop, and one that may look into the databases."""

from __future__ import annotations

import base64
import contextlib
import json
import pickle
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.chaos.fault_table import Snapshot
from tests.cluster.container import REPOSITORY, Container
from tests.cluster.stack import Stack

RAY = "http://ray-head:8265"
MLFLOW = "http://mlflow:5000"
_WAIT_SECONDS = 240.0


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    status: int
    body: str

    @property
    def json(self) -> Any:
        """The body as data."""
        return json.loads(self.body)


class Laptop:
    """A user's machine: it has the token and a password, and reaches what the host publishes."""

    def __init__(self, stack: Stack) -> None:
        head = stack.file.services["ray-head"]
        keys = ["RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH"]
        keys += ["MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD_FILE"]
        service = head.model_copy(
            update={
                "command": ["sleep", "infinity"],
                "networks": ["cluster"],
                "secrets": ["ray_token", "mlflow_tracking_password"],
                "environment": {k: head.environment[k] for k in keys} | {"RAY_ADDRESS": RAY},
                "volumes": [],
                "healthcheck": None,
            }
        )
        more = {"/srv/ask.py": Path(__file__).with_name("ask.py")}
        self._container = stack.add("laptop", service, mounts=more)

    def ask(self, who: str, method: str, url: str, body: Any = None, **env: str) -> Answer:
        """Ask a server over HTTP."""
        words = [who, method, url] + ([] if body is None else [json.dumps(body)])
        done = self._container.run("python", "/srv/ask.py", *words, variables=env)
        assert done.returncode == 0, done.stderr
        return Answer(**json.loads(done.stdout))

    def submit(self, job: str, *command: str) -> None:
        """`ray job submit`, without waiting for the job's end."""
        options = ("--no-wait", f"--submission-id={job}")
        done = self._container.run(
            "ray", "job", "submit", *options, "--", "python", "-m", *command, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def stop(self, job: str) -> None:
        """`ray job stop`, which waits for the job's end."""
        done = self._container.run("ray", "job", "stop", job, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr

    def job(self, name: str) -> str:
        """A job's status."""
        return str(self.ask("ray", "GET", f"{RAY}/api/jobs/{name}").json["status"])

    def wait_for(self, job: str) -> str:
        """A job's status when it has ended."""
        wait_until(lambda: self.job(job) in ("SUCCEEDED", "FAILED", "STOPPED"), f"{job} ends")
        return self.job(job)

    def printed(self, job: str) -> str:
        """What a job has printed."""
        return str(self.ask("ray", "GET", f"{RAY}/api/jobs/{job}/logs").json["logs"])

    def run(self, *command: str, **env: str) -> tuple[int, str]:
        """Any command; its exit code and output."""
        done = self._container.run(*command, timeout=120, variables=env)
        return done.returncode, done.stdout + done.stderr


class Observer:
    """A host that sees record and storage."""

    def __init__(self, stack: Stack) -> None:
        head = stack.file.services["ray-head"]
        update = {"command": ["sleep", "infinity"], "volumes": [], "healthcheck": None}
        path = str(REPOSITORY / "tests")
        mounts = {path: Path(path)}
        self._container = stack.add("observer", head.model_copy(update=update), mounts=mounts)
        self._postgres = stack.containers["postgres"]

    def snapshot(self, search: str) -> Snapshot:
        """A search's record, and how many epochs were begun."""
        words = ["/srv/archsearch/entrypoint.sh", "python", "-m", "tests.cluster.observe", search]
        done = self._container.run(*words, timeout=120, variables={"PYTHONPATH": str(REPOSITORY)})
        assert done.returncode == 0, done.stderr
        snapshot = pickle.loads(base64.b64decode(done.stdout))
        assert isinstance(snapshot, Snapshot)
        return snapshot

    def number(self, query: str) -> int:
        """What the record's database answers, quickly."""
        psql = ("psql", "-U", "postgres", "-d", "archsearch", "-qtAc", query)
        done = self._postgres.run(*psql)
        return int(done.stdout) if done.returncode == 0 and done.stdout.strip() else 0

    def files(self) -> list[str]:
        """Keys of the record's bucket."""
        code = (
            "from pyarrow import fs; s, _ = fs.FileSystem.from_uri('s3://archsearch?"
            "endpoint_override=seaweedfs:8333&scheme=http'); [print(f.path) for f in "
            "s.get_file_info(fs.FileSelector('archsearch', recursive=True)) if f.is_file]"
        )
        done = self._container.run("python", "-c", code)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()


def wait_until(condition: Callable[[], bool], what: str, seconds: float = _WAIT_SECONDS) -> None:
    """Ask again until it is so.

    Raises:
        AssertionError: It takes too long.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.3)


@contextlib.contextmanager
def told_of(laptop: Laptop, job: str) -> Iterator[None]:
    """A failure in the block also tells what a job has printed."""
    try:
        yield
    except AssertionError as error:
        error.add_note(laptop.printed(job))
        raise


def can_connect(container: Container, host: str, port: int) -> bool:
    """Whether a port of another host answers."""
    code = f"import socket; socket.create_connection(({host!r}, {port}), 3)"
    return container.run("python", "-c", code).returncode == 0
