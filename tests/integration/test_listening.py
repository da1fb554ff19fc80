"""What a search and the pages start listens on loopback only, as the system itself tells."""

from __future__ import annotations

import contextlib
import ipaddress
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.cli_support import environment, start_search
from tests.clusters import free_port


def listening(pid: int) -> dict[str, set[str]]:
    """The addresses on which a process and all below it accept connections, by process name.

    UDP has no listening state: a socket that is bound without a peer counts.
    """
    found: dict[str, set[str]] = {}
    for process in (top := psutil.Process(pid), *top.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            for connection in process.net_connections(kind="inet"):
                if connection.laddr and not connection.raddr:
                    found.setdefault(process.name(), set()).add(connection.laddr.ip)
    return found


def is_loopback(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None)
    return bool((mapped or found).is_loopback)


def reachable(found: dict[str, set[str]]) -> dict[str, set[str]]:
    """What of it others could reach."""
    open_at = {name: {a for a in at if not is_loopback(a)} for name, at in found.items()}
    return {name: at for name, at in open_at.items() if at}


def test_the_finder_sees_sockets_that_others_could_reach() -> None:
    script = (
        "import socket, time\n"
        "sockets = [socket.create_server((host, 0)) for host in ('', '127.0.0.1')]\n"
        "print('open', flush=True)\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        found = listening(process.pid)
        assert set().union(*found.values()) == {"0.0.0.0", "127.0.0.1"}
        assert set().union(*reachable(found).values()) == {"0.0.0.0"}
    finally:
        process.kill()
        process.communicate()


def test_a_running_search_is_reached_from_this_machine_alone(tmp_path: Path) -> None:
    search = (
        "--space", "smoke", "--trials", 4, "--max-epochs", 20, "--concurrency", 2,
        "--confirm", "none",
    )  # fmt: skip
    with start_search(*search, cwd=tmp_path) as running:
        running.wait_for("epoch_finished", 2)
        found = listening(running.process.pid)
    assert {"gcs_server", "raylet"} <= set(found)
    assert any("Train" in name or "TrialActor" in name for name in found), found
    assert reachable(found) == {}


@pytest.mark.slow
def test_the_pages_are_reached_from_this_machine_alone(tmp_path: Path) -> None:
    port = free_port()
    pages = subprocess.Popen(
        [sys.executable, "-m", "pipeline.ui", "--port", str(port)],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert pages.stdout is not None
        for line in pages.stdout:
            if "Ctrl-C" in line:
                break
        found = listening(pages.pid)
        assert found, "nothing listens"
        assert reachable(found) == {}
    finally:
        with contextlib.suppress(psutil.Error):
            for process in psutil.Process(pages.pid).children(recursive=True):
                process.terminate()
        pages.terminate()
        pages.communicate(timeout=60)
