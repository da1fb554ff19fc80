"""Names and archives that users and strangers give cannot reach beyond their folders."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from archsearch.data.reading import read_members
from archsearch.errors import UnfitError, UsageError
from archsearch.record.paths import NOT_SEARCHES, RunsFolder
from archsearch.registry.versions import check_names
from archsearch.storage import storage_path
from archsearch.tracking.store import tracking_store
from pipeline.export import _plain

ROOT = Path("/runs/of/somebody")
RUNS = RunsFolder(ROOT)

# Pieces of which attacks are made, and every other text.
NAMES = st.one_of(
    st.text(max_size=120),
    st.lists(
        st.sampled_from(
            [
                "..",
                ".",
                "/",
                "\\",
                "~",
                "a",
                "%2e%2e",
                "%2f",
                "\0",
                "\n",
                "-",
                "_",
                "é",
                "C:",
                "//",
            ]
        ),
        min_size=1,
        max_size=8,
    ).map("".join),
)


@given(NAMES)
@example("..")
@example("../other")
@example("a/../../b")
@example("-rf")
def test_a_search_is_a_folder_right_in_the_runs_folder(name: str) -> None:
    try:
        paths = RUNS.search(name)
    except UsageError:
        return
    assert paths.root.parent == ROOT
    assert paths.root == Path(str(paths.root)).resolve()
    assert paths.name not in NOT_SEARCHES
    assert paths.name[0] not in ".-"
    assert paths.name.isascii()
    assert paths.name.isprintable()
    for path in (paths.database, paths.report, paths.trial(3).log.absolute()):
        assert Path(str(path)).resolve().is_relative_to(paths.root)


@given(NAMES)
def test_a_search_s_files_in_a_storage_stay_below_its_prefix(name: str) -> None:
    try:
        paths = RUNS.search(name, "file:///shared/prefix")
    except UsageError:
        return
    below = storage_path("file:///shared/prefix")
    assert str(paths.trials).startswith(f"{str(below).rstrip('/')}/{name}/")
    assert ".." not in str(paths.trials).split("/")


@given(NAMES)
def test_an_exported_file_is_named_in_its_folder(stem: str) -> None:
    name = f"{_plain(stem)}.onnx"
    assert (ROOT / name).parent == ROOT
    assert (ROOT / name).resolve().parent == ROOT


@given(NAMES)
def test_the_files_of_an_experiment_stay_with_the_store(experiment: str) -> None:
    store = tracking_store(RUNS)
    folder = Path(unquote(urlsplit(str(store.artifact_location(experiment))).path))
    assert store.artifacts is not None
    assert folder.resolve().parent == store.artifacts


@given(NAMES)
def test_a_registered_model_s_name_is_no_path(name: str) -> None:
    try:
        check_names(name, "champion")
    except UsageError:
        return
    assert not set(name) & set("/\\:'\"\0\n ")
    assert name not in (".", "..")


def archive(path: Path, members: list[tuple[str, bytes, bytes]]) -> None:
    """A `.tar.gz` of members (name, type, content or the target of a link)."""
    with gzip.open(path, "wb") as stream, tarfile.open(fileobj=stream, mode="w|") as tar:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                info.linkname = content.decode()
                tar.addfile(info)
            else:
                info.size = len(content) if kind == tarfile.REGTYPE else 0
                tar.addfile(info, io.BytesIO(content))


MEMBERS = st.lists(
    st.tuples(
        st.sampled_from(["../wanted", "/etc/wanted", "a/../../wanted", "wanted", "x/wanted"]),
        st.sampled_from([tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE,
                         tarfile.CHRTYPE, tarfile.FIFOTYPE]),
        st.sampled_from([b"/etc/passwd", b"../../secret", b"content"]),
    ),
    max_size=4,
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(MEMBERS)
@example([("../../wanted", tarfile.REGTYPE, b"content")])
@example([("wanted", tarfile.SYMTYPE, b"/etc/passwd")])
def test_an_archive_gives_contents_of_regular_files_and_touches_no_path(
    tmp_path: Path, members: list[tuple[str, bytes, bytes]]
) -> None:
    folder = tmp_path / "data"
    folder.mkdir(exist_ok=True)
    path = folder / "data.tar.gz"
    archive(path, members)
    regular = [
        content
        for name, kind, content in members
        if kind == tarfile.REGTYPE and name.rpartition("/")[2] == "wanted"
    ]
    if len(regular) == 1:
        assert read_members(path, ("wanted",)) == {"wanted": regular[0]}
    else:
        with pytest.raises(UnfitError, match=r"lacks|doubled"):
            read_members(path, ("wanted",))
    assert list(tmp_path.iterdir()) == [folder]
    assert list(folder.iterdir()) == [path]


def test_folders_with_other_names_are_no_searches(tmp_path: Path) -> None:
    """Somebody who shares the runs folder may have made them; commands paste names."""
    for name in ("fine", "-rf", "a b", "a\nb", "$(id)", ".hidden", "mlflow"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "search.db").touch()
    assert RunsFolder(tmp_path).names() == ["fine"]
