"""SQLite files by URL: the file that is opened is the one that a path names."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa


def sqlite_uri(path: Path) -> str:
    """The URL of an SQLite file, as SQLAlchemy and MLflow read it back to the very same path.

    In a URL that is formatted from a path, `?` would end it and `%41` would be an `A`.
    """
    uri = sa.URL.create("sqlite", database=str(path)).render_as_string()
    if "%" in uri:
        # Of a URL that begins with `sqlite:///` MLflow makes the folders without decoding it.
        return uri.replace("sqlite:", "sqlite+pysqlite:", 1)
    return uri
