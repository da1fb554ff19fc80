"""A data set that is known by name: found on this machine, or downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from archsearch.data.arrow_file import DataHeader
from archsearch.data.conversion import convert, whole_or_made
from archsearch.data.locate import (
    SourceFiles,
    find_in_data_dir,
    find_or_download,
    fingerprint,
)
from archsearch.data.raw import RawData, check_raw
from archsearch.data.source import ArrowFile
from archsearch.data.sources import DataSet, data_set_named
from archsearch.errors import UnfitError


@dataclass(frozen=True)
class NamedSource:
    """A `DataSource` of a data set in `DATA_SETS`.

    Attributes:
        name: The data set's.
        image_size: The side in pixels that images are made to; None keeps theirs.
        data_dir: A folder that holds the source's files; then nothing else is looked at, nothing
            is downloaded, and the Arrow file is named by their contents, so that it is never
            mixed up with the published data or another folder's.
        download: Whether files that are nowhere may be downloaded.
    """

    name: str
    image_size: int | None = None
    data_dir: Path | None = None
    download: bool = True

    def arrow_file(self, cache_dir: Path) -> ArrowFile:
        """See `DataSource.arrow_file`."""
        data_set = data_set_named(self.name)
        image_size = self.image_size or data_set.shape[1]
        stem = f"{self.name}-{image_size}"
        named = None
        if self.data_dir is not None:
            named = find_in_data_dir(data_set, self.data_dir.absolute())
        if named is not None and named.paths:
            stem += f"-{fingerprint(named)}"

        def make(path: Path) -> DataHeader:
            downloads = cache_dir / "downloads"
            files = named or find_or_download(data_set, downloads, may_download=self.download)
            return convert(path, data_set, image_size, _read(data_set, files))

        return whole_or_made(cache_dir / f"{stem}.arrow", make)


def _read(data_set: DataSet, files: SourceFiles) -> RawData:
    try:
        raw = data_set.read(files.paths)
        num_classes = len(data_set.class_names)
        num_labels = 2**num_classes if data_set.multi_label else num_classes
        check_raw(raw, name=data_set.name, shape=data_set.shape, num_labels=num_labels)
    except UnfitError as error:
        raise UnfitError(f"{error}; {files.remedy}") from error
    return raw
