"""The commands as a user runs them: real processes, read line by line."""

from __future__ import annotations

import importlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline._main import run

TIMEOUT_SECONDS = 400


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    code: int
    out: str
    err: str


def call_here(command: str, *args: object) -> Answer:
    """Run a command in this process: as in its own, but without seconds of imports."""
    app = importlib.import_module(f"pipeline.{command}").app
    out, err, code = io.StringIO(), io.StringIO(), 0
    given, sys.argv = sys.argv, [command, *map(str, args)]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            run(app)
    except SystemExit as ending:
        code = int(ending.code or 0)
    finally:
        sys.argv = given
    return Answer(code, out.getvalue(), err.getvalue())


# What every command of a test session is given; a fixture names the tracking store here.
shared_environment: dict[str, str] = {}


def environment(**changes: str) -> dict[str, str]:
    """Ours, without what points commands at somebody's servers or is for the `make` around us."""
    foreign = ("MLFLOW_", "ARCHSEARCH_", "MAKE", "MFLAGS", "ARGS")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    return kept | {"COLUMNS": "140"} | shared_environment | changes


def call(command: str, *args: object, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m pipeline.COMMAND` to its end."""
    return subprocess.run(
        [sys.executable, "-m", f"pipeline.{command}", *map(str, args)],
        cwd=cwd,
        env=environment(**env),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )


@dataclass
class RunningSearch:
    """A search in a process of its own, seen through its `--json` events."""

    process: subprocess.Popen[str]

    def wait_for(self, kind: str, count: int = 1) -> list[dict[str, Any]]:
        """Read events until so many of a kind have come; all that were read.

        Raises:
            AssertionError: The process ended before.
        """
        seen: list[dict[str, Any]] = []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            seen.append(json.loads(line))
            if sum(event["event"] == kind for event in seen) >= count:
                return seen
        assert self.process.stderr is not None
        raise AssertionError(f"it ended first: {seen[-3:]} {self.process.stderr.read()}")

    def end(self, within: float = TIMEOUT_SECONDS) -> tuple[int, str]:
        """Wait so many seconds for its end; exit code and error output."""
        _, errors = self.process.communicate(timeout=within)
        return self.process.returncode, errors


@contextmanager
def start_search(*args: object, cwd: Path, **env: str) -> Iterator[RunningSearch]:
    """Start a search; whatever is left of it is killed with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.search", "--json", *map(str, args)],
        cwd=cwd,
        env=environment(**env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield RunningSearch(process)
    finally:
        process.kill()
        process.communicate()


def status(cwd: Path, name: str) -> dict[str, Any]:
    """`pipeline.status NAME --json`."""
    done = call("status", name, "--json", cwd=cwd)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
