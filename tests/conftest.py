"""Shared by all tests: one cache of prepared data, quiet libraries."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of Arrow files, made once for all tests."""
    return tmp_path_factory.mktemp("data")
