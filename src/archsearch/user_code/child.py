"""The process in which a user's code runs: calls one function and writes its answer."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import signal
import sys
from typing import Any, NoReturn

from archsearch.errors import UnfitError, UsageError
from archsearch.user_code.raised import told

ERRORS = {kind.__name__: kind for kind in (UsageError, UnfitError)}
"""What the process answers by name, and its caller raises."""

_PR_SET_PDEATHSIG = 1


def main(request: dict[str, Any]) -> NoReturn:
    """Call what is asked for, write one line of JSON, and end.

    Args:
        request: `function` as `MODULE:NAME`, its `arguments`, the `subject` of sentences, the
            descriptor that takes the `answer`, and the process id of the `caller`.
    """
    _end_with(request["caller"])
    sys.argv[:] = [""]
    process = os.getpid()
    answer = _answer(request)
    if os.getpid() != process:  # a copy that the user's code made by `fork` and let run on
        os._exit(1)
    content = json.dumps(answer).encode() + b"\n"
    with contextlib.suppress(OSError), os.fdopen(request["answer"], "wb") as sink:
        sink.write(content)
    sys.exit(0)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    module, _, name = request["function"].partition(":")
    function = getattr(importlib.import_module(module), name)
    try:
        return {"value": function(**request["arguments"])}
    except tuple(ERRORS.values()) as error:
        kinds = (name for name, kind in ERRORS.items() if isinstance(error, kind))
        return {"error": next(kinds), "message": str(error)}
    except BaseException as error:  # nothing else may end this process without a word
        sentence = f"{request['subject']}: it fails by {told(error)}"
        return {"error": UnfitError.__name__, "message": sentence}


def _end_with(caller: int) -> None:
    """Let the system end this process when its caller is gone, by SIGKILL too (Linux only)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != caller:
        os._exit(1)
