"""What only a GPU shows; skipped, in CI too, where there is none that torch can use."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from archsearch.data import DataSpec, PreparedData, prepare


@pytest.fixture(scope="session", autouse=True)
def gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU that torch can use")


@pytest.fixture(scope="session")
def digits(gpu: None, data_cache: Path) -> PreparedData:
    """330 training images: ten batches of 33, which two workers cannot share equally."""
    return prepare(DataSpec(name="digits", train_size=330), cache_dir=data_cache)


@pytest.fixture(scope="session")
def large_digits(gpu: None, data_cache: Path) -> PreparedData:
    """As large as CIFAR's images, so that activations outweigh weights."""
    return prepare(DataSpec(name="digits", train_size=640, image_size=32), cache_dir=data_cache)


@pytest.fixture(autouse=True)
def one_thread(gpu: None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def free_memory() -> Iterator[None]:
    """What a test has left in torch's cache is nobody else's room."""
    yield
    gc.collect()  # a caught exception's frames hold on to a network
    torch.cuda.empty_cache()
