"""A runs folder that may only be read: what only reads works, and the report goes elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.conftest import Searched

READS = """
import sys
from archsearch import open_search
print(len(open_search("reported", runs_dir=sys.argv[1]).trials))
"""


@pytest.fixture
def read_only(searched: Searched, tmp_path: Path) -> Iterator[list[str]]:
    """A command's first words: it sees a copy of the search's runs folder as `runs`, read only."""
    shutil.copytree(searched.runs_dir, tmp_path / "runs", symlinks=True)
    if os.getuid() != 0:
        for path in [tmp_path / "runs", *(tmp_path / "runs").rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        yield []
        for path in [tmp_path / "runs", *(tmp_path / "runs").rglob("*")]:
            path.chmod(0o755)
        return
    mount = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    words = ["unshare", "-m", "sh", "-c", mount, str(tmp_path / "runs")]
    if subprocess.run([*words, "true"], capture_output=True).returncode:
        pytest.skip("mounts cannot be made here")
    yield words


def test_what_only_reads_works(read_only: list[str], tmp_path: Path) -> None:
    def called(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*read_only, sys.executable, *words],
            cwd=tmp_path, capture_output=True, text=True, timeout=300,
        )  # fmt: skip

    for words in (
        ["-c", READS, "runs"],
        ["-m", "pipeline.status"],
        ["-m", "pipeline.status", "reported"],
        ["-m", "pipeline.report", "reported", "--output", "elsewhere"],
    ):
        done = called(*words)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
    assert {path.name for path in (tmp_path / "elsewhere").iterdir()} == {
        "report.html", "report.md", "trials.parquet", "epochs.parquet",
    }  # fmt: skip
    refused = called("-m", "pipeline.report", "reported")
    assert refused.returncode == 3
    assert "Read-only file system" in refused.stderr or "Permission denied" in refused.stderr
