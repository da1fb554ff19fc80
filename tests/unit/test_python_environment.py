"""Commands mind neither what lies in the working folder nor what Python is told by variables."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SHADOWS = ["secrets", "random", "dataclasses", "json/__init__", "torch/__init__",
           "mlflow/__init__",
           "numpy/__init__", "ray/__init__", "archsearch/__init__", "yaml/__init__"]  # fmt: skip


def shadowed(folder: Path) -> None:
    """Fill a folder with modules of libraries' names, which fail when they are imported."""
    for name in SHADOWS:
        path = folder / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text("raise RuntimeError('taken from ' + __file__)\n")


def called(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_libraries_are_not_taken_from_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shadowed(tmp_path)
    for command in (["status"], ["spaces", "describe", "WRN-10-1"], ["spaces", "list"]):
        done = called("-m", f"pipeline.{command[0]}", *command[1:])
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""


@pytest.mark.parametrize("words", [[], ["-W", "error"]])
def test_warnings_of_libraries_end_no_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    variables = {} if words else {"PYTHONWARNINGS": "error"}
    done = called(*words, "-m", "pipeline.status", **variables)
    assert done.returncode == 0, done.stderr
    told = "-W error" if words else "PYTHONWARNINGS=error"
    assert done.stderr.startswith(f"{told} is passed over")


@pytest.mark.slow
@pytest.mark.parametrize(
    "variables",
    [{"PYTHONWARNINGS": "error"}, {"PYTHONOPTIMIZE": "2"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}],
    ids=str,
)
def test_a_search_runs_whatever_the_folder_holds_and_python_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shadowed(tmp_path)
    words = ["--space", "smoke", "--trials", "1", "--max-epochs", "1", "--confirm", "1x1"]
    done = called("-m", "pipeline.search", *words, "--name", "first", **variables)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "warning" not in done.stderr
    assert "test split: " in done.stdout
