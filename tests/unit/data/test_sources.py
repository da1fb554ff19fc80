from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsearch.data import DATA_SETS, DataSpec, PreparedData, prepare
from archsearch.data.arrow_file import ArrowFile, SplitName
from archsearch.errors import UnfitError
from tests.unit.data import formats

PARTS: tuple[SplitName, ...] = ("train", "val")


def prepared_from(form: str, folder: Path, cache: Path) -> PreparedData:
    return prepare(DataSpec(name=formats.FORMS[form][0]), cache_dir=cache, data_dir=folder)


@pytest.mark.parametrize("form", formats.FORMS)
def test_every_form_is_read_as_it_was_written(form: str, tmp_path: Path) -> None:
    written = formats.write_form(form, tmp_path / "source")

    arrow_file = ArrowFile(Path(prepared_from(form, tmp_path / "source", tmp_path / "c").path))

    for name in PARTS:
        split = arrow_file.read(name)
        np.testing.assert_array_equal(split.images, written.train_images[split.indices])
        np.testing.assert_array_equal(split.labels, written.train_labels[split.indices])
    test = arrow_file.read("test")  # an official test set keeps its order
    np.testing.assert_array_equal(test.images, written.test_images)
    np.testing.assert_array_equal(test.labels, written.test_labels)


def test_forms_of_the_same_data_have_the_same_digest(tmp_path: Path) -> None:
    for name in ("fashion_mnist", "cifar10", "cifar100", "svhn"):
        digests = set()
        for form in (f for f, (of, _) in formats.FORMS.items() if of == name):
            formats.write_form(form, tmp_path / form)
            digests.add(prepared_from(form, tmp_path / form, tmp_path / "cache").digest)
        assert len(digests) == 1


@pytest.mark.parametrize("name", [n for n, data_set in DATA_SETS.items() if data_set.folders])
def test_files_are_found_in_the_folders_in_which_they_usually_lie(
    name: str, tmp_path: Path
) -> None:
    form = next(form for form, (of, _) in formats.FORMS.items() if of == name)
    for folder in DATA_SETS[name].folders:
        formats.write_form(form, tmp_path / folder.replace("/", "-") / folder)
        prepared_from(form, tmp_path / folder.replace("/", "-"), tmp_path / "cache")


@pytest.mark.parametrize("form", formats.FORMS)
@given(data=st.data())
@settings(max_examples=12)
def test_a_source_cut_anywhere_is_refused(form: str, data: st.DataObject) -> None:
    name, files_of = formats.FORMS[form]
    files = files_of(formats.contents_of(name, num_train=20, num_test=3))
    victim = data.draw(st.sampled_from(sorted(files)))
    length = data.draw(st.integers(0, len(files[victim]) - 1))
    if form == "cifar100 plain" and length and length % 3074 == 0:
        return  # whole records of a file of any size: nothing tells that more were meant
    if form == "cifar10 plain" and victim == "test_batch.bin" and length % 3073 == 0 < length:
        return
    with tempfile.TemporaryDirectory() as folder:
        formats.write_files(Path(folder), files | {victim: files[victim][:length]})
        with pytest.raises(UnfitError, match=r"damaged|lacks|cut short") as refusal:
            prepared_from(form, Path(folder), Path(folder) / "cache")
        assert victim in str(refusal.value) or name in str(refusal.value)
        assert "leave --data-dir out" in str(refusal.value)
        assert not list((Path(folder) / "cache").glob("*.arrow"))


@pytest.mark.parametrize("form", formats.FORMS)
@given(data=st.data())
@settings(max_examples=15)
def test_a_flipped_bit_is_refused_or_changes_nothing_that_is_covered(
    form: str, data: st.DataObject
) -> None:
    name, files_of = formats.FORMS[form]
    contents = formats.contents_of(name, num_train=20, num_test=3)
    files = files_of(contents)
    victim = data.draw(st.sampled_from(sorted(files)))
    place = data.draw(st.integers(0, len(files[victim]) - 1))
    flipped = bytearray(files[victim])
    flipped[place] ^= 1 << data.draw(st.integers(0, 7))
    with tempfile.TemporaryDirectory() as folder:
        good, bad, cache = (Path(folder) / part for part in ("good", "bad", "cache"))
        formats.write_files(good, files)
        formats.write_files(bad, files | {victim: bytes(flipped)})
        expected = prepared_from(form, good, cache)
        try:
            prepared = prepared_from(form, bad, cache)
        except UnfitError:
            return
        assert prepared.path != expected.path  # never taken for the undamaged data
        if form in formats.CHECKSUMMED_FORMS:
            assert prepared.digest == expected.digest


@given(content=st.binary(max_size=300), form=st.sampled_from(sorted(formats.FORMS)))
@settings(max_examples=40)
def test_arbitrary_bytes_are_refused(content: bytes, form: str) -> None:
    name, files_of = formats.FORMS[form]
    with tempfile.TemporaryDirectory() as folder:
        names = files_of(formats.contents_of(name, num_train=20, num_test=3))
        formats.write_files(Path(folder), dict.fromkeys(names, content))
        with pytest.raises(UnfitError, match="damaged"):
            prepared_from(form, Path(folder), Path(folder) / "cache")


def test_a_file_of_the_published_size_must_have_its_checksum(tmp_path: Path) -> None:
    written = formats.contents_of("fashion_mnist", num_train=40, num_test=10_000)
    formats.write_files(tmp_path, formats.fashion_files(written))

    with pytest.raises(UnfitError, match=r"t10k-images-idx3-ubyte: damaged.* SHA-256"):
        prepared_from("fashion_mnist plain", tmp_path, tmp_path / "cache")


def test_labels_outside_the_classes_are_refused(tmp_path: Path) -> None:
    written = formats.contents_of("cifar10")
    written.train_labels[7] = 10
    formats.write_files(tmp_path, formats.cifar10_files(written))
    with pytest.raises(UnfitError, match=r"labels must lie in 0\.\.9, but go from 0 to 10"):
        prepared_from("cifar10 plain", tmp_path, tmp_path / "cache")

    written = formats.contents_of("svhn")
    written.test_labels[0] = 11
    formats.write_files(tmp_path, formats.svhn_files(written))
    with pytest.raises(UnfitError, match=r"test_32x32.mat: labels must be .* in 1\.\.10"):
        prepared_from("svhn plain", tmp_path, tmp_path / "cache")


def test_counts_that_do_not_match_are_refused(tmp_path: Path) -> None:
    written = formats.contents_of("fashion_mnist")
    files = formats.fashion_files(written)
    files["train-labels-idx1-ubyte"] = formats.idx_bytes(written.train_labels[1:])
    formats.write_files(tmp_path, files)
    with pytest.raises(UnfitError, match="one label an image, but there are 40 images"):
        prepared_from("fashion_mnist plain", tmp_path, tmp_path / "cache")


def test_images_of_another_size_are_refused(tmp_path: Path) -> None:
    written = formats.contents_of("fashion_mnist")
    files = formats.fashion_files(written)
    files["t10k-images-idx3-ubyte"] = formats.idx_bytes(written.test_images[:, 0, 1:, 1:])
    formats.write_files(tmp_path, files)
    with pytest.raises(UnfitError, match=r"must be uint8 of shape \(N, 1, 28, 28\)"):
        prepared_from("fashion_mnist plain", tmp_path, tmp_path / "cache")


def test_missing_files_are_named_with_the_places_that_were_searched(tmp_path: Path) -> None:
    files = formats.cifar10_files(formats.contents_of("cifar10"))
    del files["data_batch_3.bin"]
    formats.write_files(tmp_path, files)

    with pytest.raises(UnfitError) as refusal:
        prepared_from("cifar10 plain", tmp_path, tmp_path / "cache")

    message = str(refusal.value)
    assert "expected cifar-10-binary.tar.gz, or data_batch_1.bin + " in message
    assert f"{tmp_path} has data_batch_1.bin, " in message
    assert "but lacks data_batch_3.bin" in message
    assert str(tmp_path / "cifar-10-batches-bin") in message


@pytest.mark.parametrize("name", DATA_SETS)
def test_a_data_folder_that_is_none_is_refused_whatever_the_data_set(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    for wrong, problem in (("file", "is not a folder"), ("nowhere", "does not exist")):
        with pytest.raises(UnfitError, match=f"--data-dir .*{wrong}: {problem}"):
            prepare(DataSpec(name=name), cache_dir=tmp_path / "c", data_dir=tmp_path / wrong)


def test_an_archive_that_claims_to_be_huge_fills_no_memory(tmp_path: Path) -> None:
    header = bytes([0, 0, 8, 3]) + b"\xff" * 12
    written = formats.fashion_files(formats.contents_of("fashion_mnist"))
    formats.write_files(tmp_path, written | {"train-images-idx3-ubyte": header})
    with pytest.raises(UnfitError, match="but holds 0"):
        prepared_from("fashion_mnist plain", tmp_path, tmp_path / "cache")
