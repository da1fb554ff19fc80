"""How much memory training takes, known before any is taken: one step on the meta device.

Predicted are the bytes of tensors that are alive at once, which is what a GPU's allocator reports
as allocated (`torch.cuda.max_memory_allocated`). What a device or library adds of its own is not
in it: workspaces of convolutions, and on a processor the gaps that malloc leaves between blocks.
One H100 80GB (torch 2.11, 32×32 images, batches of 32, 128 and 512) allocated 1.00 times as much
in the median of 60 trainings in either precision, nine of ten at most 1.05 times. More where
workspaces weigh more than a small network (33 MiB beside 28), once 2 GiB of them; less with
dropout (0.85 to 0.95), whose mask is of bytes on a GPU. On a processor, a process grew by 1.4
(float32) and 1.7 (bfloat16) times as much, in the median of 50 random members
(`benchmarks/cost_model.py`: torch 2.14, glibc, Xeon with AMX, one thread).
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from archsearch.models import FamilySpec, build_model
from archsearch.models.network import is_frozen
from archsearch.schema import Frozen, InputSpec
from archsearch.training.memory import half_of, needs_pairs, share_of
from archsearch.training.precision import Precision

MIB = 2**20


class TrainingMemory(Frozen):
    """Bytes that a training's tensors take.

    `peak` is less than the sum of the parts: the backward pass frees activations while it makes
    gradients. It is more than the parts without gradients, by what a layer needs in passing.
    """

    weights: int
    """Parameters and BatchNorm statistics, float32 whatever the precision."""
    momentum: int
    """The optimizer's velocities, of what is not frozen."""
    average: int
    """The moving average of parameters and statistics, of what is not frozen."""
    gradients: int
    """Of all parameters that are not frozen, float32."""
    exchange: int
    """The message in which several workers add their gradients; nothing for one."""
    images: int
    """One batch, float32."""
    activations: int
    """Alive when the loss is known: all that the backward pass needs."""
    peak: int
    """Most that is alive at once in a step."""

    @property
    def peak_mib(self) -> float:
        """`peak` in MiB, to a tenth."""
        return round(self.peak / MIB, 1)


@functools.lru_cache(maxsize=256)
def training_memory(
    spec: FamilySpec,
    input_spec: InputSpec,
    batch_size: int,
    precision: Precision = "float32",
    num_workers: int = 1,
) -> TrainingMemory:
    """Predict the memory of training a network; nothing is allocated; cached.

    A step (forward, loss, backward) runs on the meta device, where tensors have sizes but no
    contents, and every tensor is counted from when it is made until it is freed. So whatever a
    network does (shared buffers, in-place activations, recomputation) is counted as it is.

    Args:
        spec: Which network.
        input_spec: Of its images.
        batch_size: Images that go through the network at once (a micro-batch, if there is one).
        precision: Of its arithmetic; `bfloat16` means autocast, as in training.
        num_workers: How many train it together; the prediction is of one of them.

    Raises:
        ArchitectureError: the images are too small for the network.
    """
    side = input_spec.image_size
    with torch.device("meta"):
        network = build_model(spec, input_spec).train()
        images = torch.empty(batch_size, input_spec.in_channels, side, side)
        labels = torch.empty(batch_size, dtype=torch.int64)
    weights = _num_bytes(t for t in network.state_dict().values() if t.is_floating_point())
    frozen = _num_bytes(
        t
        for module in network.modules()
        if is_frozen(module)
        for t in (*module.parameters(recurse=False), *module.buffers(recurse=False))
        if t.is_floating_point()
    )
    trained = _num_bytes(p for p in network.parameters() if p.requires_grad)
    average = weights - frozen
    exchange = trained if num_workers > 1 else 0
    activations, peak = _step(network, images, labels, precision)
    return TrainingMemory(
        weights=weights,
        momentum=trained,
        average=average,
        gradients=trained,
        exchange=exchange,
        images=_num_bytes([images]),
        activations=activations,
        peak=weights + trained + average + exchange + _num_bytes([images]) + peak,
    )


@functools.lru_cache(maxsize=1024)
def smallest_micro_batch_of(
    spec: FamilySpec, input_spec: InputSpec, batch_size: int, num_workers: int = 1
) -> int:
    """The parts that a worker's share is cut into when memory runs out, in the end; cached.

    Raises:
        ArchitectureError: the images are too small for the network.
    """
    with torch.device("meta"):
        pairs = needs_pairs(build_model(spec, input_spec))
    micro_batch = share_of(batch_size, num_workers)
    cut = functools.partial(half_of, needs_pairs=pairs, num_workers=num_workers)
    while (half := cut(micro_batch, batch_size)) is not None:
        micro_batch = half
    return micro_batch


def _step(
    network: nn.Module, images: Tensor, labels: Tensor, precision: Precision
) -> tuple[int, int]:
    """(bytes alive after the forward pass, most bytes alive) of what the step itself makes."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.forward = _QuickNorm.apply  # type: ignore[method-assign]
        elif isinstance(module, nn.Conv2d | nn.Linear) and precision == "bfloat16":
            module.forward = functools.partial(_autocast, module)  # type: ignore[method-assign]
    with LiveBytes() as live:
        loss = functional.cross_entropy(network(images).float(), labels)
        activations = live.now
        loss.backward()
    return activations, live.peak


def _num_bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of storages made under it, from their making until they are freed.

    Attributes:
        now: Bytes alive.
        peak: Most bytes that were alive at once.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = 0
        self.peak = 0
        self._alive: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple | list) else (made,):
            if isinstance(tensor, Tensor):
                self._note(tensor.untyped_storage())
        return made

    def _note(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._alive:
            return

        def freed(_: object) -> None:
            del self._alive[key]
            self.now -= size

        self._alive[key] = weakref.ref(storage, freed)
        self.now += size
        self.peak = max(self.peak, self.now)


class _QuickNorm(torch.autograd.Function):
    """BatchNorm's memory without its arithmetic: keeps its input, makes an output like it.

    Torch's own takes twenty times as long as a convolution on the meta device. The statistics
    of a batch, two numbers a channel, are left out.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """(N, C, H, W) → the same shape."""
        ctx.save_for_backward(x)
        return torch.empty_like(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """(N, C, H, W) → the same shape."""
        (x,) = ctx.saved_tensors
        return torch.empty_like(x)


def _autocast(layer: nn.Conv2d | nn.Linear, x: Tensor) -> Tensor:
    """What a layer does under `torch.autocast(..., bfloat16)`, which knows no meta device."""
    x, weight = x.to(torch.bfloat16), layer.weight.to(torch.bfloat16)
    bias = None if layer.bias is None else layer.bias.to(torch.bfloat16)
    if isinstance(layer, nn.Linear):
        return functional.linear(x, weight, bias)
    out: Tensor = layer._conv_forward(x, weight, bias)
    return out
