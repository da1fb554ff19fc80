"""What a user's code raises, as one sentence with the user's own lines below it."""

from __future__ import annotations

import contextlib
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path

from archsearch.errors import UnfitError

_NUM_FRAMES = 5
"""Of the innermost of the user's own calls, shown below the sentence."""

_THIS_PROJECT = str(Path(__file__).parent.parent)
_LIBRARIES = tuple(
    path for name in ("stdlib", "platstdlib", "purelib", "platlib")
    if (path := sysconfig.get_paths().get(name))
)  # fmt: skip


@contextlib.contextmanager
def explained(subject: str, what: str) -> Iterator[None]:
    """Turn whatever the user's code raises in the block into an `UnfitError` that says where.

    Args:
        subject: Whose code it is, such as `--data pets.py:load`.
        what: What raises; the sentence goes on with it.

    Raises:
        UnfitError: The block raised anything, `SystemExit` included.
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        raise UnfitError(f"{subject}: {what} raises {told(error)}") from error


def told(error: BaseException) -> str:
    """An exception's type, message and place, and below them the lines of the user's calls."""
    reason = " ".join(str(error).split())
    kind = type(error).__name__
    frames = _own_frames(error)
    sentence = f"{kind}: {reason}" if reason else kind
    if not frames:
        return sentence
    place = frames[-1]
    lines = (
        f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}\n    {frame.line}'
        for frame in frames[-_NUM_FRAMES:]
    )
    return "\n".join([f"{sentence} ({place.filename}, line {place.lineno})", *lines])


def _own_frames(error: BaseException) -> list[traceback.FrameSummary]:
    """The calls in the user's own files, outermost first; those of libraries if there are none."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((_THIS_PROJECT, "<"))
    ]
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        text = (error.text or "").strip()
        frames.append(traceback.FrameSummary(error.filename, error.lineno, "<module>", line=text))
    return [f for f in frames if not f.filename.startswith(_LIBRARIES)] or frames
