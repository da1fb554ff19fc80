"""The processes that train one network together, as each of them sees the others.

Every exchange is one call here, after the backward pass, and none happens inside it. So a process
that runs out of memory in its pass says so, and all of them try again with smaller micro-batches;
with `torch.nn.parallel.DistributedDataParallel`, whose exchange is part of the backward pass, the
others would wait for it forever. And an exchange that fails can only mean that a process is gone.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import ParamSpec, TypeVar

import torch
import torch.distributed as dist
from torch import nn

from archsearch.errors import ArchsearchError
from archsearch.training.memory import (
    OutOfMemoryDuringTrainingError,
    is_out_of_memory,
    learns_statistics,
)

_P = ParamSpec("_P")
_T = TypeVar("_T")


class LostRankError(ArchsearchError):
    """A process that trains the same network is gone: this one cannot go on, nothing is wrong."""


def _exchange(method: Callable[_P, _T]) -> Callable[_P, _T]:
    """Tell a failed exchange by one error, whatever the library raises."""

    @functools.wraps(method)
    def guarded(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return method(*args, **kwargs)
        except RuntimeError as error:  # gloo raises just this, NCCL a subclass
            raise LostRankError(f"a process of this training is gone: {error}") from error

    return guarded


class Ranks:
    """The processes that train one network; every one of them calls the same methods in turn.

    A process alone has nothing to exchange: then no method touches `torch.distributed`. Else its
    default process group must be there, with a backend for tensors of the processor (gloo), and
    one for those of the training's device.

    Attributes:
        rank: This process's number, from 0; the first one publishes.
        size: How many there are.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        if not 0 <= rank < size:
            raise ValueError(f"`0 <= rank < size` must hold, but got (rank={rank}, size={size})")
        self.rank = rank
        self.size = size

    @classmethod
    def of_default_group(cls) -> Ranks:
        """Those of torch's default process group."""
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def is_first(self) -> bool:
        """Whether this process publishes what all have trained."""
        return self.rank == 0

    def part_of(self, total: int) -> slice:
        """This process's contiguous part of `total` items; parts differ by at most one item."""
        each, more = divmod(total, self.size)
        start = self.rank * each + min(self.rank, more)
        return slice(start, start + each + (self.rank < more))

    def any(self, flag: bool) -> bool:
        """Whether `flag` is set anywhere; waits for the processes, not for their GPUs."""
        if self.size == 1:
            return flag
        return self._largest(int(flag)) > 0

    @_exchange
    def _largest(self, value: int) -> int:
        told = torch.tensor(value)
        dist.all_reduce(told, dist.ReduceOp.MAX)
        return int(told)

    @contextlib.contextmanager
    def run_out_together(self, message: str) -> Iterator[None]:
        """A block in which memory may run out: a process that gives up must not be waited for.

        Raises:
            OutOfMemoryDuringTrainingError: It did, of this process or of another one.
        """
        failed: BaseException | None = None
        try:
            yield
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            failed = error
        except OutOfMemoryDuringTrainingError as error:
            failed, message = error, str(error)
        if self.any(failed is not None):
            raise OutOfMemoryDuringTrainingError(message) from failed

    @_exchange
    def sum_in_place(self, tensor: torch.Tensor) -> None:
        """Replace a tensor by its sum over all processes: the same bits everywhere."""
        if self.size > 1:
            dist.all_reduce(tensor)

    @torch.no_grad()
    @_exchange
    def copy_from_first(self, tensors: Sequence[torch.Tensor]) -> None:
        """Overwrite tensors by those of the first process."""
        if self.size > 1:
            for tensor in tensors:
                dense = tensor.contiguous()  # channels last is not dense enough for a message
                dist.broadcast(dense, src=0)
                tensor.copy_(dense)

    @_exchange
    def bytes_of_first(self, payload: bytes | None) -> bytes | None:
        """What the first process has, for all; what the others give is ignored."""
        if self.size == 1:
            return payload
        length = torch.tensor(-1 if payload is None or not self.is_first else len(payload))
        dist.broadcast(length, src=0)
        if int(length) < 0:
            return None
        if self.is_first and payload is not None:
            held = torch.frombuffer(bytearray(payload), dtype=torch.uint8)
        else:
            held = torch.empty(int(length), dtype=torch.uint8)
        if len(held):
            dist.broadcast(held, src=0)
        return held.numpy().tobytes()

    @_exchange
    def all_of(self, state: torch.Tensor) -> list[torch.Tensor]:
        """Every process's tensor of bytes, by rank; all are of one size, on the processor."""
        if self.size == 1:
            return [state]
        states = [torch.empty_like(state) for _ in range(self.size)]
        dist.all_gather(states, state)
        return states


ALONE = Ranks()
"""The one process of a training that is not shared."""


class GradientSum:
    """Adds gradients over all processes, in one message a step.

    Args:
        parameters: Those that get gradients.
        ranks: The processes.
        extra: How many more numbers travel with each message.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], ranks: Ranks, extra: int) -> None:
        self._parameters = list(parameters)
        self._ranks = ranks
        numel = sum(parameter.numel() for parameter in parameters)
        # There from the start, so that memory does not grow at the first step.
        self._message = parameters[0].new_zeros(numel + extra)
        self._extra = self._message[numel:]
        self._views = []
        start = 0
        for parameter in parameters:
            # As the parameter lies in memory (channels last): the fused update wants that.
            view = self._message.as_strided(parameter.shape, parameter.stride(), start)
            self._views.append(view)
            start += parameter.numel()

    @torch.no_grad()
    def exchange(self, extra: torch.Tensor) -> torch.Tensor:
        """Leave the sums in the parameters' gradients; the sums of the extra numbers come back.

        Raises:
            LostRankError: A process is gone.
        """
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        torch._foreach_copy_(self._views, gradients)  # refuses if one was left out
        self._extra.copy_(extra)
        self._ranks.sum_in_place(self._message)
        for parameter, view in zip(self._parameters, self._views, strict=True):
            parameter.grad = view
        return self._extra.clone()


def with_synchronised_norms(model: nn.Module) -> nn.Module:
    """The network with BatchNorm over the whole batch of all processes, names as they were.

    Each layer that learns statistics becomes `torch.nn.SyncBatchNorm`, which works on GPUs only.
    Frozen layers stay: they normalise by what they know.
    """
    if learns_statistics(model):
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return converted
    for name, child in model.named_children():
        synchronised = with_synchronised_norms(child)
        if synchronised is not child:
            setattr(model, name, synchronised)
    return model
