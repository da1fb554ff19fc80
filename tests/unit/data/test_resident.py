from __future__ import annotations

from pathlib import Path

import pytest
import torch

from archsearch.data import DataSpec, PreparedData, load_resident, load_test, prepare
from archsearch.data.arrow_file import ArrowFile, SplitArrays, SplitName
from archsearch.errors import UnfitError


@pytest.fixture
def digits(tmp_path: Path) -> PreparedData:
    return prepare(DataSpec(name="digits"), cache_dir=tmp_path)


def test_tensors_have_the_promised_types_and_shapes(digits: PreparedData) -> None:
    data, test = load_resident(digits), load_test(digits)
    for split, rows in ((data.train, 1150), (data.val, 288), (test, 359)):
        assert (split.images.dtype, split.labels.dtype) == (torch.uint8, torch.int64)
        assert split.images.shape == (rows, 1, 8, 8)
        assert split.labels.shape == (rows,)
        assert len(split) == rows
        assert split.images.is_contiguous()


def test_tensors_are_views_on_the_mapped_file(digits: PreparedData) -> None:
    images = load_resident(digits).train.images
    maps = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    mapped = [row[0].split("-") for row in maps if row[-1] == digits.path]
    assert any(int(low, 16) <= images.data_ptr() < int(high, 16) for low, high in mapped)


def test_writing_into_a_tensor_never_reaches_the_file(digits: PreparedData) -> None:
    before = Path(digits.path).read_bytes()
    mine = load_resident(digits).train.images
    mine.fill_(7)
    assert Path(digits.path).read_bytes() == before
    assert not load_resident(digits).train.images.equal(mine)


def test_the_test_split_is_not_read_by_search(
    digits: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(digits.path)
    test_images = ArrowFile(path).read("test").images.tobytes()
    whole = path.read_bytes()
    place = whole.index(test_images)
    path.write_bytes(whole[:place] + bytes(len(test_images)) + whole[place + len(test_images) :])

    asked: list[str] = []
    read = ArrowFile.read

    def noting(arrow_file: ArrowFile, name: SplitName) -> SplitArrays:
        asked.append(name)
        return read(arrow_file, name)

    monkeypatch.setattr(ArrowFile, "read", noting)
    load_resident(digits)  # cannot notice what it does not read

    assert asked == ["train", "val"]
    with pytest.raises(UnfitError, match="the test split's bytes"):
        load_test(digits)


def test_a_file_changed_since_it_was_prepared_is_refused(digits: PreparedData) -> None:
    path = Path(digits.path)
    content = bytearray(path.read_bytes())
    place = content.index(ArrowFile(path).read("val").images.tobytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(UnfitError, match=r"digits-8\.arrow: damaged: the val split's bytes"):
        load_resident(digits)


def test_a_file_with_other_data_is_refused(digits: PreparedData, tmp_path: Path) -> None:
    other = prepare(DataSpec(name="digits", image_size=9), cache_dir=tmp_path)
    mixed = digits.model_copy(update={"path": other.path})
    with pytest.raises(UnfitError, match="holds other data than was prepared"):
        load_resident(mixed)


@pytest.mark.parametrize("content", [None, b"", b"ARROW1"])
def test_a_missing_or_broken_file_is_one_clear_message(
    digits: PreparedData, content: bytes | None
) -> None:
    Path(digits.path).unlink()
    if content is not None:
        Path(digits.path).write_bytes(content)
    with pytest.raises(UnfitError, match=r"digits-8\.arrow: (damaged|cannot be read)"):
        load_resident(digits)


def test_a_replaced_file_leaves_those_who_mapped_it_alone(digits: PreparedData) -> None:
    images = load_resident(digits).train.images
    before = images.clone()
    Path(digits.path).unlink()
    prepare(DataSpec(name="digits"), cache_dir=Path(digits.path).parent)
    assert images.equal(before)
