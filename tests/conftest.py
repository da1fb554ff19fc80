"""Shared by all tests: one cache of prepared data, quiet libraries."""

from __future__ import annotations

import sys
from pathlib import Path

import hypothesis
import pytest

# A deadline times the machine. All else stays as it was chosen: in CI, Hypothesis' profile for it.
hypothesis.settings.register_profile("untimed", hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session")
def data_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of Arrow files, made once for all tests."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(autouse=True)
def no_reports(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches of this process write no report, which takes a second, unless a test wants it."""
    for module in ("run", "settling"):
        loaded = sys.modules.get(f"archsearch.search.{module}")
        if loaded is not None and request.node.get_closest_marker("reports") is None:
            monkeypatch.setattr(loaded, "write_final_report", lambda *args: [])
