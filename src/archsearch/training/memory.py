"""Running out of memory: how it is recognised, and how a batch is cut into micro-batches."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from archsearch.errors import UnfitError
from archsearch.models.network import is_frozen

_TOLD_AS_RUNTIME_ERRORS = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "CUDA error: out of memory",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
"""Of the processor's allocator, of CUDA itself, of cuDNN before and since its version 9."""


class OutOfMemoryDuringTrainingError(UnfitError):
    """A trial does not fit in the smallest micro-batches: its outcome is `out_of_memory`."""


def is_out_of_memory(error: BaseException) -> bool:
    """Does `error` say that memory ran out, of a device or of the process?

    Torch raises `OutOfMemoryError` for a GPU but a plain `RuntimeError` when the processor's
    allocator or a vendor's library fails.
    """
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(
        text in str(error) for text in _TOLD_AS_RUNTIME_ERRORS
    )


@contextlib.contextmanager
def told_as_running_out(message: str) -> Iterator[None]:
    """A block that cannot be tried again with less memory.

    Raises:
        OutOfMemoryDuringTrainingError: Memory ran out, with this message.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryDuringTrainingError(message) from error


def share_of(batch_size: int, num_workers: int) -> int:
    """Images of a batch that a worker gets, the first one if they cannot all get as many."""
    return -(-batch_size // num_workers)


def half_of(
    micro_batch: int, batch_size: int, *, needs_pairs: bool, num_workers: int = 1
) -> int | None:
    """The next smaller micro-batch that a worker's share can be cut into, or None.

    Args:
        micro_batch: Most images that went through the network at once.
        batch_size: Images of one optimizer step.
        needs_pairs: Whether the network cannot learn from single images, see `needs_pairs`.
        num_workers: How many share a batch.
    """
    half = -(-micro_batch // 2)
    fits = half < micro_batch and can_be_cut(half, batch_size, needs_pairs, num_workers)
    return half if fits else None


def can_be_cut(micro_batch: int, batch_size: int, needs_pairs: bool, num_workers: int = 1) -> bool:
    """Would every part of every worker's share of a batch have enough images?

    All workers cut their shares into as many parts.
    """
    num_parts = -(-share_of(batch_size, num_workers) // micro_batch)
    total_parts = num_parts * num_workers
    if total_parts == 1:
        return True
    return batch_size // num_workers // num_parts >= (2 if needs_pairs else 1)


def needs_pairs(network: nn.Module) -> bool:
    """Whether BatchNorm would have to normalise single images by themselves.

    That takes away what tells an image from others: accuracy was seen to stay at chance, while
    pairs of images trained.
    """
    return any(learns_statistics(module) for module in network.modules())


def learns_statistics(module: nn.Module) -> bool:
    """Whether a layer normalises by its batch; a frozen one does so by what it knows."""
    return isinstance(module, _BatchNorm) and module.momentum is not None and not is_frozen(module)


def release_memory(device: torch.device) -> None:
    """Give cached blocks back to the device, so that its other users and the retry find them."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
