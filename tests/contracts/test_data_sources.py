"""What every kind of data source owes a search."""

from __future__ import annotations

from pathlib import Path

import pytest

from archsearch.data import DataSpec, load_resident, prepare
from archsearch.data.preparation import source_of
from archsearch.data.source import DataSource
from archsearch.errors import UnfitError, UsageError
from tests.unit.data import formats

MODULE = """
import numpy as np

class Shapes:
    classes = ["dark", "light"]

    def __len__(self):
        return 60

    def __getitem__(self, index):
        return np.full((8, 8), index % 2 * 150 + index, np.uint8), index % 2
"""

Asked = tuple[str, Path | None]


@pytest.fixture(params=["embedded", "files", "module"])
def asked(request: pytest.FixtureRequest, tmp_path: Path) -> Asked:
    """Data as a user names it, of each kind: its name, and the folder of its files."""
    match request.param:
        case "embedded":
            return "digits", None
        case "files":
            form, (name, _) = next(iter(formats.FORMS.items()))
            formats.write_form(form, tmp_path / "source", num_train=200, num_test=30)
            return name, tmp_path / "source"
        case _:
            (tmp_path / "shapes.py").write_text(MODULE)
            return f"{tmp_path / 'shapes.py'}:Shapes", None


def source(asked: Asked, image_size: int | None = None) -> DataSource:
    name, data_dir = asked
    return source_of(DataSpec(name=name, image_size=image_size), data_dir, download=False)


def test_asked_again_it_gives_the_same_file_and_makes_none(asked: Asked, tmp_path: Path) -> None:
    first = source(asked).arrow_file(tmp_path / "cache")
    made = first.path.stat().st_mtime_ns
    assert source(asked).arrow_file(tmp_path / "cache") == first
    assert first.path.stat().st_mtime_ns == made


def test_the_same_data_elsewhere_has_the_same_digests(asked: Asked, tmp_path: Path) -> None:
    one, two = (source(asked).arrow_file(tmp_path / name).header for name in ("a", "b"))
    assert (one.digest, one.split_digest) == (two.digest, two.split_digest)


def test_another_size_is_another_file_of_the_same_splits(asked: Asked, tmp_path: Path) -> None:
    whole, small = (source(asked, size).arrow_file(tmp_path / "cache") for size in (None, 6))
    assert whole.path != small.path
    assert whole.header.digest != small.header.digest
    assert whole.header.split_digest == small.header.split_digest


def test_a_damaged_file_is_made_again(asked: Asked, tmp_path: Path) -> None:
    first = source(asked).arrow_file(tmp_path / "cache")
    content = first.path.read_bytes()
    first.path.write_bytes(content[: len(content) // 2])
    assert source(asked).arrow_file(tmp_path / "cache") == first
    assert first.path.read_bytes() == content


def test_what_it_gives_can_be_trained_on(asked: Asked, tmp_path: Path) -> None:
    name, data_dir = asked
    prepared = prepare(DataSpec(name=name), cache_dir=tmp_path / "cache", data_dir=data_dir)
    assert len(load_resident(prepared).train.images) == prepared.num_train


@pytest.mark.parametrize("name", ["digitz", "nowhere.py:Shapes"])
def test_data_that_is_not_there_is_a_usage_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=name.partition(":")[0]):
        source((name, None)).arrow_file(tmp_path / "cache")


def test_a_folder_that_cannot_be_written_is_told(asked: Asked, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(UnfitError, match="cache"):
        source(asked).arrow_file(tmp_path / "cache")
