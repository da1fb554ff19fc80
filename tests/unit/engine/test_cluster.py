"""What goes to a cluster with a search, and what must not."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from archsearch.engine.client import join
from archsearch.engine.cluster import check_command_line, workers_environment
from archsearch.errors import UsageError


def test_the_code_that_goes_is_this_package_whole_and_nothing_else() -> None:
    with workers_environment() as sent:
        (code,) = map(Path, sent["py_modules"])
        assert code.name == "archsearch"
        assert not list(code.rglob("__pycache__"))
        words = [sys.executable, "-S", "-c", "import archsearch; print(archsearch.__file__)"]
        done = subprocess.run(
            words, cwd=code.parent, capture_output=True, text=True, check=True, env={}
        )
        assert Path(done.stdout.strip()).parent == code
        source = Path(importlib.import_module("archsearch").__file__ or "").parent
        ours = {p.relative_to(source) for p in source.rglob("*") if "__pycache__" not in p.parts}
        assert {p.relative_to(code) for p in code.rglob("*")} >= ours
    assert not code.exists()
    assert set(sent["env_vars"]) == {
        "RAY_CHDIR_TO_TRIAL_DIR",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO",
    }


@pytest.mark.parametrize(
    "word",
    [
        "postgresql+psycopg://archsearch:secret1@db/archsearch",
        "--tracking-uri=https://user:secret1@mlflow",
        "https://mlflow/?token=secret1",
    ],
)
def test_a_command_line_with_a_secret_does_not_join(
    word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["search", "--database", word])
    with pytest.raises(UsageError, match="in the environment") as caught:
        check_command_line()
    assert "secret1" not in str(caught.value)


def test_a_command_line_without_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["search", "--database", "postgresql+psycopg://archsearch@db:5432/archsearch"]
    words += ["--storage", "s3://bucket/a?endpoint_override=127.0.0.1:1&scheme=http"]
    monkeypatch.setattr(sys, "argv", words)
    check_command_line()


def test_a_client_server_that_died_at_its_start_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[dict[str, Any]] = []

    def init(**options: Any) -> None:
        asked.append(options)
        if len(asked) < 3:
            raise ConnectionAbortedError("RuntimeError: Starting Ray client server failed. See …")

    monkeypatch.setattr("ray.init", init)
    monkeypatch.setattr("archsearch.engine.client.START_AGAIN_SECONDS", 0.0)
    join({"address": "ray://there:1"})
    assert asked == [{"address": "ray://there:1"}] * 3

    def refuse(**options: Any) -> None:
        asked.append(options)
        raise ConnectionError("no")

    monkeypatch.setattr("ray.init", refuse)
    with pytest.raises(ConnectionError):
        join({"address": "ray://there:1"})
    assert len(asked) == 4
