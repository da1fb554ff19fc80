"""Calls a function that runs a user's code in a fresh process, and ends that with all it began."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any

from archsearch.errors import UnfitError
from archsearch.user_code.child import ERRORS

_LOOK_SECONDS = 0.2
_LEAVE_SECONDS = 5.0
"""How long the process may take to end when it has answered: its exit handlers may tidy up."""

_TERM_SECONDS = 1.0
"""How long it may take to end when it is told to; then it is killed."""

_BEGIN = (
    "import json, sys; request = json.loads(sys.argv[1]); sys.path[:] = request['path']; "
    "from archsearch.user_code.child import main; main(request)"
)


def call_in_process(function: str, arguments: Mapping[str, Any], *, subject: str) -> Any:
    """Call a function of this project, which runs a user's code, in a process of its own.

    What the process prints goes to this one's standard error. It has no standard input. It and
    all processes of its group are gone when this returns or raises: a signal that raises here
    ends them too.

    Args:
        function: As `MODULE:NAME`; it takes keyword arguments and returns a value, all of them
            what JSON can say.
        arguments: Its arguments.
        subject: How a sentence about the user's code begins, such as `--data pets.py:load`.

    Raises:
        UsageError: As the function does.
        UnfitError: As the function does; or it raises anything else, or the process ends without
            an answer.
    """
    reader, writer = os.pipe()
    request = {
        "function": function,
        "arguments": dict(arguments),
        "subject": subject,
        "answer": writer,
        "caller": os.getpid(),
        "path": [entry for entry in sys.path if entry],
    }
    try:
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", _BEGIN, json.dumps(request)],
                stdin=subprocess.DEVNULL,
                stdout=_standard_error(),
                pass_fds=(writer,),
                start_new_session=True,  # Ctrl-C reaches us alone, and we end its group
            )
        finally:
            os.close(writer)
        with _ended(process):
            content = _read(reader, process)
    finally:
        os.close(reader)
    return _value(content, process.returncode, subject)


def _value(content: bytes, code: int, subject: str) -> Any:
    """What the process answered; raises what it says."""
    try:
        answer = json.loads(content)
    except ValueError:
        raise UnfitError(f"{subject}: {_how_it_ended(code)}") from None
    if "error" in answer:
        raise ERRORS[answer["error"]](answer["message"])
    return answer["value"]


def _how_it_ended(code: int) -> str:
    if code == -signal.SIGKILL:
        return (
            "the process that runs its code was killed. The system does that when memory runs "
            "out: let its code take less, or free memory"
        )
    if code < 0:
        return f"the process that runs its code was ended by {signal.Signals(-code).name}"
    return f"its code ended its process (exit code {code}) before it was done"


def _read(reader: int, process: subprocess.Popen[bytes]) -> bytes:
    """The line that the process writes, or what there is when it has ended."""
    content = b""
    while not content.endswith(b"\n"):
        is_over = process.poll() is not None
        if select.select([reader], [], [], 0 if is_over else _LOOK_SECONDS)[0]:
            part = os.read(reader, 2**16)
            content += part
            if not part:  # the process has ended, or its code has closed the pipe
                process.wait()
                break
        elif is_over:
            break
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_LEAVE_SECONDS)
    return content


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End the process and its group when the block ends, and before SIGTERM ends this process."""

    def on_sigterm(number: int, _: FrameType | None) -> None:
        _end(process)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    is_main = threading.current_thread() is threading.main_thread()
    is_ours = is_main and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if is_ours:
        signal.signal(signal.SIGTERM, on_sigterm)
    try:
        yield
    finally:
        _end(process)
        if is_ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        _signal_group(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_TERM_SECONDS)
    _signal_group(process, signal.SIGKILL)  # what it has begun may outlive it
    process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # the latter of a zombie
        os.killpg(process.pid, number)


def _standard_error() -> int:
    """Where the process prints: lines of JSON on standard output must stay alone."""
    try:
        os.fstat(2)
    except OSError:
        return subprocess.DEVNULL
    return 2
