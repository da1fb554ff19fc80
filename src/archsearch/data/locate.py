"""Finding a data set's files: in the folder that was named, in the system's, or by download."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from archsearch.data.download import download
from archsearch.data.sources import DataSet, Layout, PublishedFile
from archsearch.errors import UnfitError
from archsearch.files import sha256_of


@dataclass(frozen=True)
class SourceFiles:
    """The files of one layout, found.

    Attributes:
        paths: In the layout's order.
        remedy: What to do if they turn out to be damaged.
    """

    paths: tuple[Path, ...]
    remedy: str


def find_in_data_dir(data_set: DataSet, data_dir: Path) -> SourceFiles:
    """Find the files in the folder that a person named, and nowhere else.

    A file that has a published file's name and size but not its SHA-256 is refused; files of other
    sizes (another compression, a part of the data) are taken and checked by content.

    Raises:
        UnfitError: If the folder or a file is missing, or a published file is damaged.
    """
    if not data_dir.is_dir():
        problem = "is not a folder" if data_dir.exists() else "does not exist"
        raise UnfitError(
            f"--data-dir {data_dir}: {problem}; name the folder that holds the files of "
            f"`{data_set.name}`" + _or_leave_out(data_set)
        )
    if not data_set.layouts:
        return SourceFiles((), "reinstall scikit-learn, which brings it")
    places = [data_dir, *(data_dir / folder for folder in data_set.folders)]
    found = _first_whole(data_set, places)
    if found is None:
        raise UnfitError(_missing(data_set, places) + _or_leave_out(data_set))
    layout, paths = found
    for file, path in zip(layout, paths, strict=True):
        _refuse_changed(file, path)
    return SourceFiles(paths, f"replace it{_or_leave_out(data_set)}")


def find_or_download(data_set: DataSet, downloads: Path, *, may_download: bool) -> SourceFiles:
    """Find the files where a system package puts them, or among downloads, or download them.

    Raises:
        UnfitError: If they are nowhere and cannot or may not be downloaded.
    """
    if not data_set.layouts:
        return SourceFiles((), "reinstall scikit-learn, which brings it")
    found = _first_whole(data_set, list(data_set.system_folders))
    if found is not None:
        folder = found[1][0].parent
        return SourceFiles(
            found[1], f"reinstall the package that brought {folder}, or name another --data-dir"
        )
    files = data_set.layouts[0]
    advice = f"; {data_set.advice}" if data_set.advice else ""
    otherwise = f"; bring {_names(files)} to a folder yourself and pass --data-dir FOLDER{advice}"
    if not may_download:
        places = [*data_set.system_folders, downloads]
        if (found := _first_whole(data_set, [downloads])) is None:
            raise UnfitError(_missing(data_set, places) + " (downloads are off)" + otherwise)
        for file, path in zip(*found, strict=True):
            _refuse_changed(file, path)
        return SourceFiles(found[1], "delete it and allow the download")
    try:
        paths = tuple(download(file, downloads) for file in files)
    except UnfitError as error:
        raise UnfitError(
            f"`{data_set.name}` is not on this machine: {error}{otherwise}"
        ) from error
    return SourceFiles(paths, "delete it, and it is downloaded again")


def fingerprint(source: SourceFiles) -> str:
    """A short hexadecimal name for the files' contents."""
    digests = "".join(sha256_of(path) for path in source.paths)
    return hashlib.sha256(digests.encode()).hexdigest()[:12]


def _first_whole(data_set: DataSet, places: list[Path]) -> tuple[Layout, tuple[Path, ...]] | None:
    for place in places:
        for layout in data_set.layouts:
            paths = tuple(place / file.name for file in layout)
            if all(path.is_file() for path in paths):
                return layout, paths
    return None


def _refuse_changed(file: PublishedFile, path: Path) -> None:
    if path.stat().st_size == file.size and sha256_of(path) != file.sha256:
        raise UnfitError(
            f"{path}: damaged: it has the size of the published file, but not its SHA-256 "
            f"({file.sha256}); replace it"
        )


def _missing(data_set: DataSet, places: list[Path]) -> str:
    forms = ", or ".join(_names(layout) for layout in data_set.layouts)
    partly = [
        f"; {place} has {', '.join(there)} but lacks {', '.join(lacking)}"
        for place in places
        for layout in data_set.layouts
        if (there := [f.name for f in layout if (place / f.name).is_file()])
        and (lacking := [f.name for f in layout if not (place / f.name).is_file()])
    ]
    return (
        f"`{data_set.name}` was not found: expected {forms}, looked in "
        f"{', '.join(map(str, places))}{''.join(partly)}"
    )


def _names(layout: Layout) -> str:
    return " + ".join(file.name for file in layout)


def _or_leave_out(data_set: DataSet) -> str:
    if not data_set.layouts:
        return f", or leave --data-dir out (`{data_set.name}` comes with scikit-learn)"
    advice = f" ({data_set.advice})" if data_set.advice else ""
    return f", or leave --data-dir out to have it found or downloaded{advice}"
