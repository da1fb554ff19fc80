from __future__ import annotations

from pathlib import Path

import pytest

from archsearch.search.request import SearchRequest
from tests.search_support import NO_TRACKING

SPACE = """
families:
  wrn:
    depth: {choice: [10, 16]}
    widen_factor: {choice: [1, 2, 4]}
  resnext:
    depth: {choice: [20, 29]}
    cardinality: {choice: [1, 2]}
    bottleneck_width: {choice: [2, 4]}
training:
  learning_rate: {float: [0.01, 0.5], log: true}
fidelity: {max_epochs: 9, grace_period_epochs: 1, reduction_factor: 3}
baselines: [WRN-10-1]
"""


@pytest.fixture
def request_in(tmp_path: Path, data_cache: Path) -> SearchRequest:
    """24 trials of two families, in a folder of their own, without confirm runs."""
    (tmp_path / "space.yaml").write_text(SPACE)
    runs = tmp_path / "runs"
    runs.mkdir()
    (runs / "data").symlink_to(data_cache)
    return SearchRequest(
        space=str(tmp_path / "space.yaml"),
        trials=24,
        runs_dir=runs,
        tracking_uri=NO_TRACKING,
        confirm="none",
    )
