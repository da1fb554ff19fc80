# (pyarrow is untyped: its names count as not exported)

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsearch.data.arrow_file import (
    FORMAT_VERSION,
    SPLIT_NAMES,
    ArrowFile,
    DamagedFileError,
    DataHeader,
    SplitArrays,
    SplitName,
    verify_arrow,
    write_arrow,
)


def tiny() -> tuple[DataHeader, dict[SplitName, SplitArrays]]:
    rng = np.random.default_rng(0)
    splits = {
        name: SplitArrays(
            rng.integers(0, 256, (rows, 1, 2, 2), dtype=np.uint8),
            np.arange(rows, dtype=np.int64) % 2,
            np.arange(rows, dtype=np.int64),
        )
        for name, rows in zip(SPLIT_NAMES, (3, 1, 2), strict=True)
    }
    header = DataHeader(
        version=FORMAT_VERSION,
        name="tiny",
        shape=(1, 2, 2),
        class_names=("a", "b"),
        flip=False,
        mean=(0.5,),
        std=(0.25,),
        train=splits["train"].header(),
        val=splits["val"].header(),
        test=splits["test"].header(),
    )
    return header, splits


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("arrow") / "tiny.arrow"
    write_arrow(path, *tiny())
    return path.read_bytes()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    header, splits = tiny()
    write_arrow(tmp_path / "tiny.arrow", header, splits)

    assert verify_arrow(tmp_path / "tiny.arrow") == header
    arrow_file = ArrowFile(tmp_path / "tiny.arrow")
    for name in SPLIT_NAMES:
        read = arrow_file.read(name)
        np.testing.assert_array_equal(read.images, splits[name].images)
        np.testing.assert_array_equal(read.labels, splits[name].labels)
        np.testing.assert_array_equal(read.indices, splits[name].indices)


def test_it_is_an_arrow_file_to_others(whole: bytes) -> None:
    table = pa.ipc.open_file(pa.BufferReader(whole)).read_all()
    assert table.column_names == ["image", "label", "index"]
    assert table.num_rows == 6
    assert table.schema.field("image").type == pa.binary(4)


@given(data=st.data())
@settings(max_examples=200)
def test_a_changed_byte_is_noticed_or_is_one_that_nothing_reads(
    whole: bytes, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[place] ^= data.draw(st.integers(1, 255))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "changed.arrow"
        path.write_bytes(changed)
        header, splits = tiny()
        with contextlib.suppress(DamagedFileError):  # and nothing else is ever raised
            assert verify_arrow(path) == header
            arrow_file = ArrowFile(path)
            for name in SPLIT_NAMES:
                np.testing.assert_array_equal(arrow_file.read(name).images, splits[name].images)


def test_every_bit_of_the_data_is_covered(whole: bytes, tmp_path: Path) -> None:
    _, splits = tiny()
    for name in SPLIT_NAMES:
        start = whole.index(splits[name].images.tobytes())
        for place in range(start, start + splits[name].images.nbytes):
            changed = bytearray(whole)
            changed[place] ^= 1
            (tmp_path / "changed.arrow").write_bytes(changed)
            with pytest.raises(DamagedFileError, match=f"the {name} split's bytes"):
                verify_arrow(tmp_path / "changed.arrow")


def test_a_file_cut_anywhere_is_damaged(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cut.arrow"
    for length in range(0, len(whole), 13):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedFileError):
            verify_arrow(path)


def test_another_format_version_is_not_taken_for_ours(tmp_path: Path) -> None:
    header, splits = tiny()
    newer = header.model_copy(update={"version": FORMAT_VERSION + 1})
    write_arrow(tmp_path / "newer.arrow", newer, splits)
    with pytest.raises(DamagedFileError, match="format version"):
        verify_arrow(tmp_path / "newer.arrow")


def test_digests_tell_data_from_split() -> None:
    header, splits = tiny()
    other_images = SplitArrays(
        255 - splits["train"].images, splits["train"].labels, splits["train"].indices
    )
    changed = header.model_copy(update={"train": other_images.header()})
    assert changed.digest != header.digest
    assert changed.split_digest == header.split_digest
    other_split = SplitArrays(
        splits["train"].images, splits["train"].labels, splits["train"].indices[::-1]
    )
    changed = header.model_copy(update={"train": other_split.header()})
    assert changed.digest != header.digest
    assert changed.split_digest != header.split_digest
