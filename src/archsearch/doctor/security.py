"""The doctor's security section: who could reach what, or read what they should not."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

from archsearch.addresses import is_loopback
from archsearch.doctor.check_result import CheckResult
from archsearch.engine.security import HOW_TO_CLOSE, readable_by_others, token_path
from archsearch.record.paths import RunsFolder

_UNPICKLING = "MLFLOW_ALLOW_PICKLE_DESERIALIZATION"
_UNPROTECTED = "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE"


def security_findings(runs: RunsFolder) -> Iterator[CheckResult]:
    """Tokens, open ports, the runs folder, MLflow's switches."""
    yield _token()
    yield _token_mode()
    yield from _listening()
    yield _runs_folder(runs.root)
    yield _switch(_UNPICKLING, "pickled models", "this project never loads them")
    yield _switch(_UNPROTECTED, "MLflow's own protection", "on in pages that are started here")


def _token() -> CheckResult:
    about, path = "Ray's token", token_path()
    if path is None:
        is_in_variable = bool(os.environ.get("RAY_AUTH_TOKEN"))
        none = "this user has no home folder: each search makes one for itself"
        return CheckResult(about, "in the variable RAY_AUTH_TOKEN" if is_in_variable else none)
    try:
        if readable_by_others(path):
            return CheckResult(about, f"others can read {path}", f"chmod 600 {path}")
    except (FileNotFoundError, NotADirectoryError):
        told = f"none yet: a search makes {path}, or one for itself where it cannot"
        return CheckResult(about, told)
    except OSError as error:
        return CheckResult(about, f"{path} cannot be read: {error.strerror}", f"chmod 600 {path}")
    return CheckResult(about, f"{path} is yours alone")


def _token_mode() -> CheckResult:
    mode = os.environ.get("RAY_AUTH_MODE", "")
    told = f"RAY_AUTH_MODE is {mode or 'not set'}"
    if mode.lower() == "disabled":
        told += ": others of this machine can run code as you while a search runs"
        return CheckResult("Ray's authentication", told, "unset RAY_AUTH_MODE")
    return CheckResult("Ray's authentication", f"{told}: a search asks for its token")


def _switch(variable: str, about: str, fine: str) -> CheckResult:
    is_on = os.environ.get(variable, "").lower() in ("true", "1")
    if not is_on:
        return CheckResult(about, fine)
    return CheckResult(about, f"{variable} is set: other programs obey it", f"unset {variable}")


def _runs_folder(root: Path) -> CheckResult:
    """Whoever can write there can change results; nothing in it is run or unpickled."""
    about = "runs folder's owners"
    try:
        mode = root.stat().st_mode
    except OSError:
        return CheckResult(about, f"{root} is not there yet")
    if mode & stat.S_IWOTH:
        return CheckResult(about, f"everybody can write to {root}", f"chmod o-w {root}")
    told = "you and its group" if mode & stat.S_IWGRP else "you alone"
    return CheckResult(about, f"{told} can write to {root}")


def _listening() -> Iterator[CheckResult]:
    """Servers of this user that other machines can reach, of the kinds that searches use."""
    about, found = "open ports", False
    for process in _own_processes():
        kind = _kind(process)
        addresses = sorted(_beyond_loopback(process)) if kind else []
        if not addresses:
            continue
        found = True
        told = f"{kind} (process {process.pid}) listens on {', '.join(addresses)}"
        if _asks_who_it_is(process):
            yield CheckResult(about, f"{told}, and asks who it is")
        elif kind == "Ray":
            yield CheckResult(about, f"{told} for everybody", HOW_TO_CLOSE)
        else:
            advice = "end it; `python -m pipeline.ui` listens on loopback, or with a password"
            yield CheckResult(about, f"{told} for everybody", advice)
    if not found:
        yield CheckResult(about, "no Ray or MLflow of yours is reached from other machines")


def _own_processes() -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.uids().real == os.getuid():
                yield process


def _kind(process: psutil.Process) -> str | None:
    """The service that a process serves; only the ones that let others in are looked for."""
    with contextlib.suppress(psutil.Error):
        words = process.cmdline()
        if process.name() == "gcs_server" or "ray.util.client.server" in words:
            return "Ray"
        if "mlflow" in " ".join(words[:4]) and "server" in words:
            return "MLflow"
    return None


def _beyond_loopback(process: psutil.Process) -> Iterable[str]:
    with contextlib.suppress(psutil.Error):
        family = [process, *process.children(recursive=True)]
        return {
            f"{at.laddr.ip}:{at.laddr.port}"
            for member in family
            for at in member.net_connections(kind="tcp")
            if at.status == psutil.CONN_LISTEN and not is_loopback(at.laddr.ip)
        }
    return ()


def _asks_who_it_is(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        is_mlflow = "basic-auth" in " ".join(process.cmdline())
        return is_mlflow or process.environ().get("RAY_AUTH_MODE", "").lower() == "token"
    return False
