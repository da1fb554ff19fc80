"""What a trial needs against what there is: the impossible is refused, not waited for."""

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

    Ray's own count, which knows a container's limits, is compared when Ray has started.

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
    """Refuse an address at which nothing listens: Ray itself would wait for minutes.

    Raises:
        UnfitError: Nothing does.
    """
    listens_at = host_and_port(address)
    if listens_at is None:
        return  # auto: Ray looks for it on this machine
    try:
        socket.create_connection(listens_at, timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise UnfitError(
            f"no Ray cluster answers at {address} ({error.strerror or error}); start one "
            "(`ray start --head`), correct --address, or leave it out to run on this machine"
        ) from error
