from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from archsearch.errors import UsageError
from archsearch.storage import LocalPath, ObjectPath, StoragePath, check_storage, storage_path

NAMES = st.sampled_from(["a", "b.ckpt", "worker.log", "0001", "é ü", "x+y=z", "50%"])
CONTENTS = st.binary(max_size=300)


class AsADictionary(RuleBasedStateMachine):
    """A folder of a storage is a dictionary from paths to bytes, whatever it lies on."""

    home: StoragePath

    def __init__(self) -> None:
        super().__init__()
        self.folder = self.home / uuid.uuid4().hex
        self.folder.make_folder(parents=True)
        self.expected: dict[str, bytes] = {}
        self.folders_seen: set[str] = set()

    def place(self, path: str) -> StoragePath:
        place = self.folder
        for name in path.split("/"):
            place = place / name
        return place

    @rule(path=st.lists(NAMES, min_size=1, max_size=2).map("/".join), content=CONTENTS)
    def write(self, path: str, content: bytes) -> None:
        if self.fits(path):
            half = len(content) // 2
            self.place(path).write(content[:half], content[half:])
            self.expected[path] = content

    @rule(name=NAMES, content=CONTENTS)
    def append(self, name: str, content: bytes) -> None:
        if self.fits(name):
            self.place(name).append(content)
            self.expected[name] = self.expected.get(name, b"") + content

    @rule(path=st.lists(NAMES, min_size=1, max_size=2).map("/".join))
    def remove(self, path: str) -> None:
        if path in self.expected or self.fits(path):
            self.place(path).remove()
            self.expected.pop(path, None)

    def fits(self, path: str) -> bool:
        """Whether no file would be a folder; a store would allow it, a disk does not."""
        above = path.rpartition("/")[0]
        below = any(known.startswith(f"{path}/") for known in self.expected)
        return not below and above not in self.expected and path not in self.folders_seen

    @invariant()
    def what_is_there_is_what_was_written(self) -> None:
        self.folders_seen |= {path.rpartition("/")[0] for path in self.expected}
        assert self.folder.tree() == {path: len(told) for path, told in self.expected.items()}
        here = {path: len(told) for path, told in self.expected.items() if "/" not in path}
        assert self.folder.files() == here
        for path, told in self.expected.items():
            place = self.place(path)
            assert place.read() == told
            assert place.name == path.rpartition("/")[2]
            with place.open() as handle:
                handle.seek(1)
                rest = hashlib.file_digest(handle, "sha256").digest()  # type: ignore[arg-type]
            assert rest == hashlib.sha256(told[1:]).digest()
            with place.local_copy() as copy:
                assert copy.read_bytes() == told


FEW = settings(
    max_examples=25,
    stateful_step_count=12,
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.mark.parametrize("kind", ["disk", "mock"])
def test_a_folder_is_a_dictionary(kind: str, tmp_path: Path) -> None:
    home = LocalPath(tmp_path) if kind == "disk" else storage_path("mock://box/pre fix")
    run_state_machine_as_test(type("OnOne", (AsADictionary,), {"home": home}), settings=FEW)


@pytest.fixture(params=["disk", "mock"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> StoragePath:
    if request.param == "disk":
        return LocalPath(tmp_path)
    return storage_path(f"mock://box/{uuid.uuid4()}")


def test_files_go_there_and_come_back_whole(folder: StoragePath, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * 100)
    (folder / "copy").publish(source)
    (folder / "copy").fetch(tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == source.read_bytes()


def test_what_is_not_there_is_told_by_its_place(folder: StoragePath) -> None:
    missing = folder / "none"
    for ask in (missing.read, lambda: missing.local_copy().__enter__()):
        with pytest.raises(FileNotFoundError) as caught:
            ask()
        assert caught.value.filename in (str(missing), Path(str(missing)))
        assert caught.value.strerror == "No such file or directory"
    missing.remove()
    assert missing.tree() == missing.files() == {}


def test_a_place_that_can_be_used_is_left_as_it_was(folder: StoragePath) -> None:
    check_storage(folder / "inner")
    assert folder.tree() == {}


@given(st.text(alphabet="abcé /+%?#", min_size=1, max_size=12).filter(lambda t: t.strip(" /?#")))
def test_a_path_is_absolute_and_names_the_same_place_again(text: str) -> None:
    place = storage_path(text)
    assert isinstance(place, LocalPath)
    assert place.path.is_absolute()
    assert storage_path(str(place)) == place


@pytest.mark.parametrize(
    ("uri", "child"),
    [
        ("s3://bucket", "s3://bucket/one"),
        ("s3://bucket/pre/fix/", "s3://bucket/pre/fix/one"),
        ("s3://b/p?endpoint_override=h:1&scheme=http", "s3://b/p/one?endpoint_override=h:1&scheme=http"),
        ("gs://bucket/p", "gs://bucket/p/one"),
    ],
)  # fmt: skip
def test_options_of_a_store_stay_behind_the_path(uri: str, child: str) -> None:
    place = storage_path(uri) / "one"
    assert isinstance(place, ObjectPath)
    assert str(place) == child
    assert storage_path(child) == place
    assert place.absolute() == place


def test_a_file_uri_is_a_path() -> None:
    assert storage_path("file:///mnt/shared%20folder") == LocalPath(Path("/mnt/shared folder"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "names no storage"),
        ("s3:///prefix", "no bucket"),
        ("'s3://quoted/twice'", "no scheme"),
        ("s3://key:verysecret@bucket", "leave the credentials out"),
        ("s3://bucket?secret_key=verysecret", "leave the credentials out"),
        ("s3://bucket?access_key=verysecret", "leave the credentials out"),
    ],
)
def test_what_is_no_storage_is_refused_without_its_secret(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        storage_path(text)
    assert "verysecret" not in str(caught.value)


@pytest.mark.parametrize("uri", ["nothing://bucket/a", "s3://bucket/a?colour=red"])
def test_a_uri_that_pyarrow_cannot_read_is_refused_when_it_is_used(uri: str) -> None:
    with pytest.raises(UsageError, match="give a folder, or a URI such as"):
        check_storage(storage_path(uri))
