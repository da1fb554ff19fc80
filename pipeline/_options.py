"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from archsearch.errors import UsageError


def folder(text: str | Path) -> Path:
    """A folder's path as an option gives it; an empty one is a variable that was not set."""
    if not str(text).strip():
        raise typer.BadParameter("give the path of a folder (`.` is this one)")
    try:
        str(text).encode()
    except UnicodeEncodeError:  # neither the record nor Ray can write it down
        raise typer.BadParameter("a path must be UTF-8 text") from None
    return Path(text)


RunsDir = Annotated[
    Path, typer.Option(parser=folder, metavar="FOLDER", help="Folder of all searches.")
]
Data = Annotated[
    str,
    typer.Option(
        help="digits, digits_attributes (several labels an image), fashion_mnist, cifar10, "
        "cifar100 or svhn; or your own: FILE.py:NAME or PACKAGE.MODULE:NAME names a data set of "
        "(image, label) pairs, a tuple of two (train, test), or a function that returns either. "
        "That is code of yours: it is run here at each start, in a process of its own, to read "
        "and check every sample, and never on a worker.",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        parser=folder, metavar="FOLDER", help="Folder that holds the data set's own files."
    ),
]
Database = Annotated[
    str | None,
    typer.Option(
        envvar="ARCHSEARCH_DATABASE",
        help="PostgreSQL URL of the record; by default a file in the search's folder.",
    ),
]
Storage = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER|URI",
        envvar="ARCHSEARCH_STORAGE",
        help="Where trials keep their checkpoints: a folder that all nodes share, or s3://BUCKET/"
        "PREFIX, gs://BUCKET/PREFIX (credentials from the environment; another S3 server by "
        "?endpoint_override=HOST:PORT&scheme=http). By default the search's folder.",
    ),
]
TrackingUri = Annotated[
    str | None,
    typer.Option(
        envvar="MLFLOW_TRACKING_URI",
        help="MLflow server or database; by default a store in the runs folder.",
    ),
]

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def parsed_duration(option: str, text: str | None) -> float | None:
    """Seconds of `90`, `90s`, `30m`, `2h` or `1d`.

    Raises:
        UsageError: The text is none of these.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text.strip())
    if not match or float(match[1]) <= 0:
        raise UsageError(
            f"{option} {text!r} is no duration: give a positive number with s, m, h or d, "
            "such as 30m"
        )
    return float(match[1]) * _UNITS[match[2]]
