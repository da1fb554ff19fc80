"""Data of a user's own that goes wrong is told before there is a search."""

from __future__ import annotations

from pathlib import Path

import pytest

from archsearch.search.request import SearchRequest
from tests.chaos.conftest import NewRequest
from tests.chaos.drivers import start
from tests.chaos.fault_table import FaultTable, account_of, snapshot

MODULE = """
import numpy as np

class Squares:
    def __init__(self, wrong=lambda index: None):
        self.wrong = wrong

    def __len__(self):
        return 60

    def __getitem__(self, index):
        sample = np.full((8, 8), 40 * (index % 4), np.uint8), index % 4
        return self.wrong(index) or sample

def at_41(sample):
    return Squares(lambda index: sample if index == 41 else None)

def raises():
    return Squares(lambda index: {}["gone"] if index == 41 else None)

def of_another_shape():
    return at_41((np.zeros((8, 9), np.uint8), 0))

def out_of_range():
    data = at_41((np.zeros((8, 8), np.uint8), 4))
    data.classes = ["a", "b", "c", "d"]
    return data

def normalised():
    return at_41((np.full((8, 8), -1.0), 0))

def right():
    return Squares()
"""
WRONG = {
    "raises": "sample 41 of its train part raises KeyError: 'gone'",
    "of_another_shape": "sample 41 of its train part has an image of 1 channel, 8 high and 9 wide",
    "out_of_range": "sample 41 of its train part has the label 4; labels must lie in 0..3",
    "normalised": "sample 41 of its train part has values from -1 to -1; real numbers must lie in",
}


@pytest.fixture
def own_request(new_request: NewRequest, tmp_path: Path) -> SearchRequest:
    """Asks for data of a module that is there."""
    (tmp_path / "squares.py").write_text(MODULE)
    request = new_request(trials=3)
    (request.runs_dir / "data").unlink()  # the tests' common one
    return request


def test_a_wrong_sample_is_named_before_any_trial_and_mended_data_is_searched(
    own_request: SearchRequest, tmp_path: Path, faults: FaultTable
) -> None:
    for name, sentence in WRONG.items():
        data = f"{tmp_path / 'squares.py'}:{name}"
        end = start(own_request.model_copy(update={"data": data})).wait()
        assert end.code == 3, end.told
        assert sentence in end.told
        assert not list(own_request.runs_dir.glob("*/*"))
    data = f"{tmp_path / 'squares.py'}:right"
    request = own_request.model_copy(update={"data": data})
    assert start(request).wait().code == 0
    now = snapshot(request.runs_dir)
    assert now.recorded.paths.name.startswith("space-squares.right-")
    assert all(trial.is_finished for trial in now.recorded.trials)
    assert start(request).wait().code == 0
    assert snapshot(request.runs_dir) == now
    faults.add(
        "data-wrong",
        "one's own data set raises at its 42nd sample; gives another shape, an unknown label, "
        "values out of range there",
        len(WRONG),
        "exit 3 naming the sample; no search was begun; mended, the command runs",
        account_of([], now),
    )
