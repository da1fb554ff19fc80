"""Processes that train one network together, without Ray; and what each of them does in a test."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Self, TypeVar
from unittest import mock

import torch
import torch.distributed as dist
from torch import nn

from archsearch.data import PreparedData, ResidentData, Split, load_resident
from archsearch.models import build_model
from archsearch.spaces.trial_config import TrialConfig
from archsearch.training import loop
from archsearch.training.distributed import ALONE, Ranks
from archsearch.training.loop import Training
from archsearch.training.result import EpochResult

T = TypeVar("T")


def _join(store: Path, rank: int, size: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=size)


class RankPool:
    """Runs functions in all processes of a gloo group, which stay from one to the next."""

    def __init__(self, store: Path, size: int = 2) -> None:
        context = get_context("spawn")
        self._pools = [
            ProcessPoolExecutor(1, context, initializer=_join, initargs=(store, rank, size))
            for rank in range(size)
        ]

    def start(self, function: Callable[..., T], *args: Any) -> list[Future[T]]:
        """The answers to come, by rank; `function` is a module's own."""
        return [pool.submit(function, *args) for pool in self._pools]

    def run(self, function: Callable[..., T], *args: Any) -> list[T]:
        """Every process's answer, by rank."""
        return [answer.result(timeout=240) for answer in self.start(function, *args)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pool in self._pools:
            pool.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True)
class Work:
    """A training, and what goes wrong in it.

    Attributes:
        epochs: How many to train now; None trains to the end.
        payload: A checkpoint's, to continue from.
        norms_evaluate: BatchNorm normalises by its running statistics, which stay.
        room: Images that fit into the last process's memory at once; the others have enough.
        room_to_answer: As `room`, but when it validates.
        nan_in_last: The last process's logits are NaN.
        num_val: Validation images, if not all of them.
        synchronise_norms, micro_batch, device: As for `Training`; processes may share a GPU.
    """

    config: TrialConfig
    prepared: PreparedData
    epochs: int | None = None
    payload: bytes | None = None
    norms_evaluate: bool = False
    room: int | None = None
    room_to_answer: int | None = None
    nan_in_last: bool = False
    num_val: int | None = None
    synchronise_norms: bool = False
    micro_batch: int | None = None
    device: str = "cpu"


@dataclass(frozen=True)
class Trained:
    """What a process has then.

    Attributes:
        payload: A checkpoint's; None where the training broke off.
        first_images: What it trained on first, augmented: (N, C, H, W).
        error: The exception that ended it, as text.
    """

    results: list[EpochResult]
    payload: bytes | None
    first_images: torch.Tensor | None
    error: str | None = None


def train(work: Work) -> Trained:
    """Train in this process, as one of its group or alone."""
    ranks = Ranks.of_default_group() if dist.is_initialized() else ALONE
    seen: list[torch.Tensor] = []
    results: list[EpochResult] = []
    with _prepared_networks(work, ranks, seen):
        try:
            data = load_resident(work.prepared)
            val = Split(data.val.images[: work.num_val], data.val.labels[: work.num_val])
            training = Training(
                work.config,
                work.prepared,
                ResidentData(data.train, val),
                device=work.device,
                precision="float32",
                micro_batch=work.micro_batch,
                ranks=ranks,
                synchronise_norms=work.synchronise_norms,
            )
            if work.payload is not None:
                training.load_state_bytes(work.payload)
            epochs = training.epochs()
            for _ in range(work.config.max_epochs if work.epochs is None else work.epochs):
                results += [result for result in [next(epochs, None)] if result is not None]
            payload, error = training.state_bytes(), None
        except Exception as caught:
            payload, error = None, f"{type(caught).__name__}: {caught}"
    return Trained(results, payload, seen[0] if seen else None, error)


class EvaluatingNorm(nn.BatchNorm2d):
    """Normalises by its running statistics, in training too."""

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode."""
        return super().train(False)


@contextlib.contextmanager
def _prepared_networks(work: Work, ranks: Ranks, seen: list[torch.Tensor]) -> Iterator[None]:
    is_last = ranks.rank == ranks.size - 1

    def look(module: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        room = work.room if module.training else work.room_to_answer
        if is_last and room is not None and len(inputs[0]) > room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        if module.training and not seen:
            seen.append(inputs[0].clone())

    def spoil(module: nn.Module, inputs: tuple[torch.Tensor], logits: torch.Tensor) -> object:
        return logits * float("nan") if is_last and work.nan_in_last and module.training else None

    def build(*arguments: Any) -> nn.Module:
        network = build_model(*arguments)
        for module in network.modules():
            if work.norms_evaluate and isinstance(module, nn.BatchNorm2d):
                module.__class__ = EvaluatingNorm
        network.register_forward_pre_hook(look)
        network.register_forward_hook(spoil)
        return network

    with mock.patch.object(loop, "build_model", build):
        yield
