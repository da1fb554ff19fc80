"""What commands share that work on one search's record and its tracking store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from archsearch.errors import UsageError, nearest_names
from archsearch.record.database import Database
from archsearch.record.paths import RunsFolder
from archsearch.record.reader import get_search
from archsearch.record.trial import SearchRow
from archsearch.tracking.store import tracking_uri_of as tracking_uri_of

SearchName = Annotated[str, typer.Argument(metavar="NAME", help="The search's name.")]


@contextmanager
def open_record(
    name: str, runs_dir: Path, database: str | None, *, read_only: bool = False
) -> Iterator[tuple[Database, SearchRow]]:
    """One search's record, open for the block.

    A person is told where opening it has migrated it, which `read_only` never does.

    Raises:
        UsageError: There is no such search.
        UnfitError: Its record cannot be used.
    """
    runs = RunsFolder(runs_dir)
    where: Path | str = runs.search(name).database if database is None else database
    if isinstance(where, Path) and not where.is_file():
        known = nearest_names(name, runs.names())
        raise UsageError(f"there is no search {name!r} in {runs_dir}: {known}")
    record = Database.open(where, create=False, read_only=read_only)
    try:
        if record.migrated is not None:
            typer.echo(record.migrated, err=True)
        yield record, get_search(record, name)
    finally:
        record.close()
