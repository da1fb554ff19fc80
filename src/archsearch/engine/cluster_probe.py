"""Asks a Ray cluster whether it answers, with a token or without one.

It runs as a process of its own (`python -m archsearch.engine.cluster_probe ADDRESS`): Ray has one
way of authentication for a whole process, and a wrong token can end that process.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any, Literal

from archsearch.addresses import is_loopback
from archsearch.engine.client import join
from archsearch.engine.ray_private import living_nodes, ping_client_server, resolved_address

ANSWER_SECONDS = 10.0
_PROCESS_SECONDS = 90.0  # importing Ray on a loaded machine is most of it

Answer = Literal["open", "unauthenticated", "silent"]


@dataclass(frozen=True)
class ClusterAnswer:
    """What the cluster answered.

    Attributes:
        answer: `open` if the request was served, `unauthenticated` if it was refused for its
            token or for having none, `silent` if there was no answer that says either.
        addresses: Of the cluster's living nodes, as far as the cluster tells.
        error: Ray's own words for `silent`.
    """

    answer: Answer
    addresses: list[str] = field(default_factory=list)
    error: str = ""


def ask_cluster(address: str, *, with_token: bool) -> ClusterAnswer:
    """Ask the cluster at an address for its nodes.

    Args:
        address: `auto`, `HOST:PORT` or `ray://HOST:PORT`, as `ray.init` takes it.
        with_token: Send the token that Ray finds here; there must be one, or Ray aborts.
    """
    environment = {k: v for k, v in os.environ.items() if with_token or k != "RAY_AUTH_TOKEN"}
    environment["RAY_AUTH_MODE"] = "token" if with_token else "disabled"
    try:
        done = subprocess.run(
            [sys.executable, "-m", "archsearch.engine.cluster_probe", address],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PROCESS_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return ClusterAnswer("silent", error="no answer within a minute and a half")
    try:
        return ClusterAnswer(**json.loads(done.stdout.splitlines()[-1]))
    except (IndexError, ValueError, TypeError):
        last = (done.stderr.strip().splitlines() or ["no error output"])[-1]
        return ClusterAnswer("silent", error=last[:300])


def _ask(address: str) -> ClusterAnswer:
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS") or address
    if address.startswith("ray://"):
        return _ask_client_server(address)
    from ray.exceptions import AuthenticationError, RayError

    try:
        return ClusterAnswer("open", living_nodes(resolved_address(address), ANSWER_SECONDS))
    except AuthenticationError:
        return ClusterAnswer("unauthenticated")
    except (ConnectionError, RayError) as error:
        return ClusterAnswer("silent", error=_line(error))


def _ask_client_server(address: str) -> ClusterAnswer:
    """Ray's client server, which knows the token too and answers a ping without a session."""
    grpc: Any = importlib.import_module("grpc")  # has no types
    target = address.removeprefix("ray://")
    try:
        ping_client_server(target, ANSWER_SECONDS)
    except grpc.RpcError as error:
        if error.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
            return ClusterAnswer("unauthenticated")
        return ClusterAnswer("silent", error=_line(error.details()))
    host = target.rpartition(":")[0].strip("[]")
    return ClusterAnswer("open", _nodes_behind(address) if is_loopback(host) else [host])


def _nodes_behind(address: str) -> list[str]:
    """The nodes of a cluster whose client server is reached on loopback.

    That may be the end of a tunnel to a cluster which listens for everybody elsewhere.
    """
    import ray

    join({"address": address, "log_to_driver": False})
    try:
        return sorted({node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]})
    finally:
        ray.shutdown()


def _line(words: object) -> str:
    return " ".join(str(words).split())[:300]


if __name__ == "__main__":
    print(json.dumps(vars(_ask(sys.argv[1]))))
