"""Too few images for a batch are told before a trial."""

from __future__ import annotations

from pathlib import Path

import pytest

from archsearch.driver.run import run_search
from archsearch.errors import UnfitError, UsageError
from archsearch.search.request import SearchRequest
from archsearch.spaces.recipe import Recipe
from archsearch.training.single import train_published
from tests.search_support import NO_TRACKING, SyntheticRunner

FOUR = """
import numpy as np

def load():
    part = [(np.full((8, 8, 3), i, np.uint8), i % 2) for i in range(4)]
    return part, part
"""


def test_fewer_images_than_two_for_each_worker_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("four.py").write_text(FOUR)
    request = SearchRequest(
        space="smoke", data="four.py:load", workers_per_trial=2, tracking_uri=NO_TRACKING
    )
    told = r"`four.load` leaves 3 images to train on, but BatchNorm needs two for each of 2 worker"
    with pytest.raises(UnfitError, match=told):
        run_search(request, run_trials=SyntheticRunner())
    assert not list(Path("runs").glob("*/search.db"))


def test_a_batch_of_one_image_is_refused_for_a_single_network(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="`batch_size >= 2` must hold"):
        train_published(
            "WRN-10-1", epochs=1, recipe=Recipe(batch_size=1), folder=tmp_path / "one",
            cache_dir=tmp_path,
        )  # fmt: skip
    assert not (tmp_path / "one").exists()
