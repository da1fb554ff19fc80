"""Hosts of a test: network namespaces on bridges of their own, and containers in them.

Nothing of it outlives the tests, whatever happens to them: no namespace, bridge or cable has a
name outside a process, and every process is killed by the kernel when its parent ends.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

_START_SECONDS = 10.0
_RANGE = "198.18.0.0/15"
"""Set aside for tests between network devices (RFC 2544): nobody's real addresses."""


class Namespace:
    """A network namespace that exists as long as a process of ours sleeps in it."""

    def __init__(self) -> None:
        sleeper = ["unshare", "--net", "sleep", "infinity"]
        self._process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *sleeper])
        ours = Path("/proc/self/ns/net").stat().st_ino
        deadline = time.monotonic() + _START_SECONDS
        while self.path.stat().st_ino == ours:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("no network namespace could be made")
            time.sleep(0.005)
        self.ip("link", "set", "lo", "up")

    @property
    def path(self) -> Path:
        """Names the namespace to `nsenter`."""
        return Path(f"/proc/{self._process.pid}/ns/net")

    @property
    def pid(self) -> int:
        """Names the namespace to `ip link`."""
        return self._process.pid

    def inside(self, *command: str) -> list[str]:
        """A command line that runs in the namespace."""
        return ["nsenter", f"--net={self.path}", "--", *command]

    def ip(self, *words: str) -> None:
        """The `ip` command in the namespace.

        Raises:
            subprocess.CalledProcessError: It fails.
        """
        subprocess.run(self.inside("ip", *words), check=True, capture_output=True)

    def close(self) -> None:
        """End the process; the namespace goes when nobody is in it."""
        self._process.kill()
        self._process.wait()


class Lab:
    """A namespace that holds the bridges: the switches of the test's networks.

    Args:
        networks: Names of the networks, and whether each has a way out. There is none in truth:
            its default route ends at the bridge.
    """

    def __init__(self, networks: dict[str, bool]) -> None:
        self._namespace = Namespace()
        subnets = ipaddress.IPv4Network(_RANGE).subnets(new_prefix=24)
        self._subnets = {name: next(subnets) for name in networks}
        self._has_gateway = networks
        self._given = dict.fromkeys(networks, 1)
        for name, subnet in self._subnets.items():
            bridge = _bridge(name)
            self._namespace.ip("link", "add", bridge, "type", "bridge")
            self._namespace.ip("addr", "add", f"{subnet[1]}/24", "dev", bridge)
            self._namespace.ip("link", "set", bridge, "up")

    def address(self, network: str) -> str:
        """A new address."""
        self._given[network] += 1
        return str(self._subnets[network][self._given[network]])

    def plug(self, host: Namespace, network: str, address: str, cable: str) -> None:
        """Connect a host with a network by a cable."""
        end = f"{cable}-h"
        here = self._namespace
        here.ip("link", "add", cable, "type", "veth", "peer", "name", end, "netns", str(host.pid))
        here.ip("link", "set", cable, "master", _bridge(network), "up")
        host.ip("addr", "add", f"{address}/24", "dev", end)
        host.ip("link", "set", end, "up")
        if self._has_gateway[network]:
            host.ip("route", "add", "default", "via", str(self._subnets[network][1]))

    def pull(self, cable: str) -> None:
        """Cut a cable: to its host and to all others, the other side falls silent."""
        with contextlib.suppress(subprocess.CalledProcessError):
            self._namespace.ip("link", "delete", cable)

    def close(self) -> None:
        """Take the networks down."""
        self._namespace.close()


def _bridge(network: str) -> str:
    return f"br-{network}"[:15]


def parents_of(paths: Iterable[str]) -> list[str]:
    """The folders above mounts, outermost first; left to `bwrap`, only root could enter them."""
    return sorted({str(parent) for path in paths for parent in Path(path).parents} - {"/"})


def children_of(pid: int) -> list[int]:
    """Process ids of a process's children; none when it is gone."""
    with contextlib.suppress(OSError):
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal, to a process that may be gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def tail(path: Path, lines: int = 30) -> str:
    """The last lines of a log."""
    if not path.exists():
        return f"{path.name}: nothing was written"
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
