from __future__ import annotations

import errno
import logging
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from archsearch.data import DATA_SETS, DataSpec, PreparedData, load_resident, load_test, prepare
from archsearch.data.conversion import channel_statistics
from archsearch.errors import UnfitError, UsageError
from archsearch.schema import InputSpec
from tests.requirements import skip_or_fail
from tests.unit.data import formats

DIGITS = DataSpec(name="digits")
DIGITS_DIGEST = "58bb98f54e858b34c4b0e2353b8580c895e0fe127e46a34a9322430ac0e016f4"
DIGITS_SPLIT_DIGEST = "cf35bfdd94e098275ff989034fe393614f09cccbb7687073ab9beaf051890e96"
FASHION_DIGEST = "e81cfd568a048538fa9762a62916ebfdac63c41ba7b4d0e59dd63a719f933c78"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with the digits in it, for tests that do not change it."""
    folder = tmp_path_factory.mktemp("cache")
    prepare(DIGITS, cache_dir=folder)
    return folder


def arrow_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_the_digits_are_what_the_record_may_rely_on(cache: Path) -> None:
    prepared = prepare(DIGITS, cache_dir=cache)

    # Equal on every machine: a changed digest would make every recorded search refuse to resume.
    assert (prepared.digest, prepared.split_digest) == (DIGITS_DIGEST, DIGITS_SPLIT_DIGEST)
    assert (prepared.num_train, prepared.num_val, prepared.num_test) == (1150, 288, 359)
    assert prepared.input_spec == InputSpec(in_channels=1, image_size=8, num_classes=10)
    assert prepared.path == str(cache / "digits-8.arrow")
    assert not prepared.flip
    train = load_resident(prepared).train.images.double() / 255
    assert prepared.mean == pytest.approx((train.mean().item(),), abs=1e-12)
    assert prepared.std == pytest.approx((train.std(correction=0).item(),), abs=1e-12)


def test_fashion_mnist_from_the_system_package(tmp_path: Path) -> None:
    folder = DATA_SETS["fashion_mnist"].system_folders[0]
    if not folder.is_dir():
        skip_or_fail(f"{folder} is missing (Debian's dataset-fashion-mnist)")
    spec = DataSpec(name="fashion_mnist", train_size=10_000)

    prepared = prepare(spec, cache_dir=tmp_path, download=False)

    assert prepared.digest == FASHION_DIGEST
    assert (prepared.num_train, prepared.num_val, prepared.num_test) == (10_000, 6_000, 10_000)
    data = load_resident(prepared)
    assert data.train.labels.bincount().tolist() == [1000] * 10
    assert data.val.labels.bincount().tolist() == [600] * 10
    assert load_test(prepared).labels[:8].tolist() == [9, 2, 1, 1, 6, 1, 4, 6]


def test_it_is_json_and_back(cache: Path) -> None:
    prepared = prepare(DIGITS, cache_dir=cache)
    assert PreparedData.model_validate_json(prepared.model_dump_json()) == prepared


def test_it_is_made_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "archsearch.data.named_source.convert", lambda *_: pytest.fail("made again")
    )
    prepare(DIGITS, cache_dir=cache)
    prepare(DIGITS.model_copy(update={"train_size": 12}), cache_dir=cache)
    assert arrow_files(cache) == ["digits-8.arrow"]


def test_a_train_size_is_a_prefix_of_every_larger_one(cache: Path) -> None:
    def train(size: int | None) -> list[list[int]]:
        spec = DataSpec(name="digits", train_size=size)
        prepared = prepare(spec, cache_dir=cache)
        data = load_resident(prepared)
        assert len(data.train) == prepared.num_train
        assert len(data.val) == 288
        return [
            [*image.flatten().tolist(), int(label)]
            for image, label in zip(data.train.images, data.train.labels, strict=True)
        ]

    everything = train(None)
    assert train(500) == everything[:500]
    assert train(40) == everything[:40]
    assert np.bincount([row[-1] for row in train(40)]).tolist() == [4] * 10


def test_neither_train_size_nor_image_size_changes_the_split(tmp_path: Path) -> None:
    plain = prepare(DIGITS, cache_dir=tmp_path)
    fewer = prepare(DataSpec(name="digits", train_size=99), cache_dir=tmp_path)
    larger = prepare(DataSpec(name="digits", image_size=16), cache_dir=tmp_path)
    assert (fewer.digest, fewer.split_digest, fewer.mean) == (
        plain.digest,
        plain.split_digest,
        plain.mean,
    )
    assert larger.split_digest == plain.split_digest
    assert larger.digest != plain.digest
    assert load_resident(larger).train.images.shape == (1150, 1, 16, 16)
    assert load_test(larger).labels.equal(load_test(plain).labels)


def test_a_train_size_above_what_there_is_is_a_usage_error(cache: Path) -> None:
    with pytest.raises(UsageError, match=r"`train_size <= 1150` must hold .* train_size=1151"):
        prepare(DataSpec(name="digits", train_size=1151), cache_dir=cache)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "other"])
def test_a_damaged_file_is_noticed_and_made_again(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = Path(prepare(DIGITS, cache_dir=tmp_path).path)
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    damaged = {"cut": content[:-100], "empty": b"", "other": b"something else"}
    path.write_bytes(bytes(damaged.get(damage, content)))

    with caplog.at_level(logging.WARNING):
        prepared = prepare(DIGITS, cache_dir=tmp_path)

    assert prepared.digest == DIGITS_DIGEST
    assert "digits-8.arrow: damaged" in caplog.text
    assert caplog.text.count("made again") == 1
    assert arrow_files(tmp_path) == ["digits-8.arrow"]


def test_a_damaged_file_whose_source_is_gone_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, cache = tmp_path / "source", tmp_path / "cache"
    formats.write_form("svhn plain", source)
    spec = DataSpec(name="svhn")
    path = Path(prepare(spec, cache_dir=cache, data_dir=source).path)
    path.write_bytes(path.read_bytes()[:-1])
    shutil.rmtree(source)
    with pytest.raises(UnfitError, match="does not exist"):
        prepare(spec, cache_dir=cache, data_dir=source)
    (cache / "svhn-32.arrow").write_bytes(b"damaged")
    with pytest.raises(UnfitError, match=r"`svhn` was not found: .*\(downloads are off\)"):
        prepare(spec, cache_dir=cache, download=False)


def test_data_folders_with_other_contents_are_never_mixed_up(tmp_path: Path) -> None:
    formats.write_form("cifar10 plain", tmp_path / "one", seed=1)
    formats.write_form("cifar10 plain", tmp_path / "two", seed=2)
    spec, cache = DataSpec(name="cifar10"), tmp_path / "cache"
    one = prepare(spec, cache_dir=cache, data_dir=tmp_path / "one")
    two = prepare(spec, cache_dir=cache, data_dir=tmp_path / "two")
    assert one.path != two.path
    assert one.digest != two.digest
    assert prepare(spec, cache_dir=cache, data_dir=tmp_path / "one") == one


def test_channel_statistics_are_exact_and_never_zero() -> None:
    images = np.random.default_rng(0).integers(0, 256, (50, 3, 5, 5), dtype=np.uint8)
    images[:, 2] = 51
    mean, std = channel_statistics(images)
    plain = images.astype(np.float64) / 255
    assert mean == pytest.approx(plain.mean(axis=(0, 2, 3)), abs=1e-14)
    assert std[:2] == pytest.approx(plain.std(axis=(0, 2, 3))[:2], abs=1e-14)
    assert std[2] == 1 / 255


_PREPARE = """
import sys
from pathlib import Path
from archsearch.data import DataSpec, prepare
spec = DataSpec(name="digits", image_size=int(sys.argv[2]))
print(prepare(spec, cache_dir=Path(sys.argv[1])).digest)
"""


def started(folder: Path, image_size: int, code: str = _PREPARE) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, str(folder), str(image_size)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_at_once_make_one_file(tmp_path: Path) -> None:
    counted = textwrap.dedent("""
        import archsearch.data.named_source as module
        make = module.convert
        def counting(path, *rest):
            with (path.parent / "made.txt").open("a") as handle:
                handle.write("x")
            return make(path, *rest)
        module.convert = counting
    """)
    processes = [started(tmp_path, 16, counted + _PREPARE) for _ in range(2)]
    answers = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], answers
    assert answers[0][0] == answers[1][0]
    assert (tmp_path / "made.txt").read_text() == "x"
    assert arrow_files(tmp_path) == ["digits-16.arrow", "made.txt"]


def test_a_killed_process_leaves_nothing_that_hinders_the_next(tmp_path: Path) -> None:
    stalling = textwrap.dedent("""
        import time
        import archsearch.data.arrow_file as module
        class Stalling(module.pa.ipc.RecordBatchFileWriter):
            def write_batch(self, batch):
                super().write_batch(batch)
                time.sleep(600)
        module.pa.ipc.new_file = lambda sink, schema: Stalling(sink, schema)
    """)
    process = started(tmp_path, 8, stalling + _PREPARE)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("*.tmp")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    assert list(tmp_path.glob(".digits-8.arrow.*.tmp")), "it was killed while writing"

    assert prepare(DIGITS, cache_dir=tmp_path).digest == DIGITS_DIGEST

    assert arrow_files(tmp_path) == ["digits-8.arrow"]


def test_a_cache_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(UnfitError, match="Not a directory"):
        prepare(DIGITS, cache_dir=tmp_path / "file" / "cache")
    with pytest.raises(UnfitError, match="/proc/cache: cannot be written"):
        prepare(DIGITS, cache_dir=Path("/proc/cache"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        skip_or_fail("needs the right to mount a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.root
def test_a_full_disk_is_refused_and_leaves_nothing(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = DataSpec(name="digits", image_size=32)
    with pytest.raises(UnfitError, match=r"need \d\.\d MiB, but there are \d.\d MiB of space in"):
        prepare(spec, cache_dir=small_disk)
    # The disk may also fill up while the file is written.
    monkeypatch.setattr("archsearch.data.conversion._require_room", lambda *_: None)
    with pytest.raises(UnfitError, match=r"small: cannot be written \(No space left on device\)"):
        prepare(spec, cache_dir=small_disk)
    assert arrow_files(small_disk) == []
    assert prepare(DIGITS, cache_dir=small_disk).digest == DIGITS_DIGEST


@pytest.mark.root
def test_a_valid_file_in_a_folder_that_cannot_be_written_is_used(small_disk: Path) -> None:
    prepare(DIGITS, cache_dir=small_disk)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert prepare(DIGITS, cache_dir=small_disk).digest == DIGITS_DIGEST
    with pytest.raises(UnfitError, match=r"small: cannot be written \(Read-only file system\)"):
        prepare(DataSpec(name="digits", image_size=9), cache_dir=small_disk)


def test_a_disk_that_fills_up_is_one_clear_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("archsearch.files.os.fsync", full)
    with pytest.raises(UnfitError, match=r"cannot be written \(No space left on device\)"):
        prepare(DIGITS, cache_dir=tmp_path)
    assert arrow_files(tmp_path) == []


def test_images_that_would_not_fit_into_memory_are_refused_before_they_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("archsearch.data.conversion._available_memory", lambda: 10 * 2**20)
    with pytest.raises(
        UnfitError, match=r"512 × 512 need 44\d.\d MiB, but there are 10.0 MiB of mem"
    ):
        prepare(DataSpec(name="digits", image_size=512), cache_dir=tmp_path)


def test_all_that_is_wrong_with_a_spec_comes_at_once() -> None:
    with pytest.raises(UsageError) as refusal:
        DataSpec(name="digts", train_size=0, image_size=513)
    message = str(refusal.value)
    assert "unknown data set `digts`; did you mean digits?" in message
    assert "`train_size >= 1` must hold, but got train_size=0" in message
    assert "`1 <= image_size <= 512` must hold, but got image_size=513" in message


def test_fewer_training_images_than_classes_are_refused(cache: Path) -> None:
    with pytest.raises(UsageError, match="`train_size >= 10` must hold for `digits`, one image"):
        prepare(DIGITS.model_copy(update={"train_size": 9}), cache_dir=cache)
