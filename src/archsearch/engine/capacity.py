"""Compares what is asked for with the machine and the cluster, before anything starts."""

from __future__ import annotations

import os
import socket

from archsearch.errors import UnfitError
from archsearch.search.parsing import host_and_port
from archsearch.search.request import SearchRequest
from archsearch.search.slots import TrialShape

_CONNECT_SECONDS = 5.0


def check_machine(request: SearchRequest, shape: TrialShape) -> None:
    """Refuse what this machine cannot run.

    Ray counts again when it has started: it knows a container's limits.

    Raises:
        UnfitError: Too few processors or GPUs.
    """
    if request.address is not None:
        return  # a cluster may still grow
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    check_capacity(shape, cores or 1, torch.cuda.device_count())


def check_capacity(shape: TrialShape, num_cpus: float, num_gpus: float) -> None:
    """Refuse a trial that is larger than the machine.

    Raises:
        UnfitError: It is.
    """
    is_by_workers = shape.num_workers > 1 and shape.num_cpus == 1
    of_cpus = "--workers-per-trial" if is_by_workers else "--cpus-per-trial"
    for option, wanted, there, kind in (
        (of_cpus, shape.total_cpus, num_cpus, "CPUs"),
        ("--gpus-per-trial", shape.total_gpus, num_gpus, "GPUs"),
    ):
        if wanted > there:
            raise UnfitError(
                f"{option} {wanted:g} does not fit: this machine has {there:g} {kind}; ask for "
                "less, or join a cluster by --address"
            )


def check_answers(address: str) -> None:
    """Refuse an address at which nothing listens: Ray would wait for minutes, deaf to signals.

    Raises:
        UnfitError: Nothing does, or `auto` finds no cluster.
    """
    at, source = _named_address(address)
    listens_at = host_and_port(at)
    if listens_at is None:
        raise UnfitError(f"{source} is {at!r}: give HOST:PORT or ray://HOST:PORT")
    try:
        socket.create_connection(listens_at, timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise UnfitError(
            f"no Ray cluster answers at {at} ({error.strerror or error}), which {source} names; "
            f"start one (`ray start --head`), correct {source}, or leave --address out to run on "
            "this machine"
        ) from error


def _named_address(address: str) -> tuple[str, str]:
    """An address without `auto`, and what names it."""
    if address != "auto":
        return address, "--address"
    named = os.environ.get("RAY_ADDRESS")
    if named:
        return named, "the variable RAY_ADDRESS"
    from archsearch.engine.ray_private import resolved_address

    try:
        return resolved_address(address), "the file of the last `ray start` on this machine"
    except ConnectionError as error:
        raise UnfitError(
            "--address auto finds no Ray cluster on this machine, and the variable RAY_ADDRESS is "
            "not set: start one (`ray start --head`), give its HOST:PORT, or leave --address out "
            "to run on this machine"
        ) from error
