"""Running out of memory: how it is recognised, and how a batch is cut into micro-batches."""

from __future__ import annotations

import torch

from archsearch.errors import UnfitError

_TOLD_AS_RUNTIME_ERRORS = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
)


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


def release_memory(device: torch.device) -> None:
    """Give cached blocks back to the device, so that its other users and the retry find them."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
