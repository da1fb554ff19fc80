"""What a trial needs against what there is: the impossible is refused, not waited for."""

from __future__ import annotations

import os
import socket

from archsearch.errors import UnfitError
from archsearch.search.request import SearchRequest, host_and_port

_CONNECT_SECONDS = 5.0


def check_machine(request: SearchRequest, gpus_per_trial: float) -> None:
    """Refuse what this machine, or a cluster that does not answer, cannot run.

    This costs no more than a connection; Ray's own count, which knows a container's limits, is
    compared when Ray has started.

    Raises:
        UnfitError: Too few processors or GPUs, or nothing listens at the address.
    """
    if request.address is not None:
        _check_answers(request.address)
        return
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    check_room(request.cpus_per_trial, gpus_per_trial, cores or 1, torch.cuda.device_count())


def check_room(
    cpus_per_trial: int, gpus_per_trial: float, num_cpus: float, num_gpus: float
) -> None:
    """Refuse a trial that is larger than the machine.

    Raises:
        UnfitError: It is.
    """
    for option, wanted, there, kind in (
        ("--cpus-per-trial", cpus_per_trial, num_cpus, "CPUs"),
        ("--gpus-per-trial", gpus_per_trial, num_gpus, "GPUs"),
    ):
        if wanted > there:
            raise UnfitError(
                f"{option} {wanted:g} does not fit: this machine has {there:g} {kind}; ask for "
                "less, or join a cluster by --address"
            )


def _check_answers(address: str) -> None:
    """Ray itself would wait for minutes."""
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
