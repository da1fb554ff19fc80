from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from archsearch.data import DataSpec, PreparedData, prepare


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data-cache")


@pytest.fixture(scope="session")
def digits(cache_dir: Path) -> PreparedData:
    return prepare(DataSpec(name="digits"), cache_dir=cache_dir)


@pytest.fixture(scope="session")
def few_digits(cache_dir: Path) -> PreparedData:
    """70 training images: two steps of 32 and six images left over."""
    return prepare(DataSpec(name="digits", train_size=70), cache_dir=cache_dir)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
