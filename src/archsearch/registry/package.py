"""A candidate as a model that stands alone: images in, logits out, nothing pickled."""

from __future__ import annotations

import statistics
import time
import warnings
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from archsearch.errors import UnfitError
from archsearch.registry.foreign_model import refuse_code
from archsearch.schema import PreparedData
from archsearch.training.export import TOLERANCE
from archsearch.training.standalone import StandaloneModel

if TYPE_CHECKING:
    from mlflow.models import Model

_EXAMPLES = 2  # a single one would fix the batch dimension at 1
_COMPARED = 256
_BATCH = 256
_WARM_UP = 10
_TIMED = 100
_MOST_SECONDS = 5.0


def save_package(
    folder: Path, network: nn.Module, data: PreparedData, images: torch.Tensor, card: Model
) -> None:
    """Write an MLflow model of format `pt2` into a new folder.

    Args:
        folder: Does not exist yet.
        network: On the processor, in evaluation mode.
        data: What it was trained on.
        images: (N, C, H, W) of uint8, two or more; two become the input example.
        card: MLflow's description of the model, completed and written here.
    """
    import numpy as np

    with warnings.catch_warnings():
        # Both libraries warn of their own future while they export.
        warnings.simplefilter("ignore")
        import mlflow.pytorch
        from mlflow.models import ModelSignature
        from mlflow.types import Schema, TensorSpec

        number = np.dtype(np.float32)
        given, answered = _shapes(data)
        mlflow.pytorch.save_model(
            StandaloneModel(network, data.mean, data.std).eval(),
            str(folder),
            mlflow_model=card,
            serialization_format="pt2",
            signature=ModelSignature(
                Schema([TensorSpec(number, given)]), Schema([TensorSpec(number, answered)])
            ),
            input_example=_in_unit_range(images[:_EXAMPLES]).numpy(),
            pip_requirements=_requirements(),
        )


@dataclass(frozen=True)
class Latency:
    """How long a package takes to answer one image, on one thread of this machine.

    Attributes:
        median_ms: Milliseconds.
        p95_ms: Milliseconds that 95 % of the answers stay below.
        repetitions: How many were timed.
    """

    median_ms: float
    p95_ms: float
    repetitions: int


class Package:
    """A saved MLflow model, loaded as a stranger would load it.

    Args:
        folder: The model's files.

    Raises:
        UnfitError: It cannot be loaded, or only by running code of whoever wrote it.
    """

    def __init__(self, folder: Path) -> None:
        from mlflow.exceptions import MlflowException

        refuse_code(folder, "the registered model")
        self._folder = folder
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import mlflow.pyfunc

            try:
                self._model: Any = mlflow.pyfunc.load_model(
                    str(folder), model_config={"device": "cpu"}
                )
            except (MlflowException, OSError, RuntimeError, ImportError) as error:
                line = " ".join(str(error).split())[:200]
                raise UnfitError(f"the registered model cannot be loaded: {line}") from error

    @property
    def size_bytes(self) -> int:
        """Of the files that hold the network."""
        return sum(p.stat().st_size for p in (self._folder / "data").rglob("*") if p.is_file())

    @property
    def metadata(self) -> dict[str, Any]:
        """What the model says of itself."""
        return dict(self._model.metadata.metadata or {})

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """What its signature says of images and logits, -1 for what is free; empty without one."""
        signature = self._model.metadata.signature
        return tuple(
            tuple(schema.inputs[0].shape)
            for schema in ((signature.inputs, signature.outputs) if signature else ())
            if schema is not None and schema.is_tensor_spec() and len(schema.inputs) == 1
        )

    def answer(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (N, classes) of float32 for images (N, C, H, W) of uint8."""
        return torch.cat([self.answer_numbers(p) for p in _in_unit_range(images).split(_BATCH)])

    def answer_numbers(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (N, classes) of float32 for images (N, C, H, W) of float32 in 0..1."""
        return torch.as_tensor(self._model.predict(images.numpy()))

    def check_signature(self, data: PreparedData) -> None:
        """Refuse a model that does not say what it takes and answers, or says another thing.

        Raises:
            UnfitError: It is so.
        """
        found = self.shapes
        if found != _shapes(data):
            told = " and ".join(map(str, found)) or "none"
            given, answered = _shapes(data)
            raise UnfitError(
                f"the registered model's signature says {told}, not images of {given} and logits "
                f"of {answered}: it is not registered as what was trained"
            )

    def check_parity(self, network: nn.Module, data: PreparedData, images: torch.Tensor) -> float:
        """The largest difference between its logits and the network's own.

        Args:
            network: What it should agree with.
            data: Its normalisation.
            images: (N, C, H, W) of uint8.

        Raises:
            UnfitError: It is above 1e-4.
        """
        from archsearch.data import Split
        from archsearch.training.predict import predict

        images = images[:_COMPARED]
        labels = torch.zeros(len(images), dtype=torch.int64)
        expected = predict(network, Split(images, labels), mean=data.mean, std=data.std)
        difference = float((self.answer(images) - expected).abs().max())
        if not difference <= TOLERANCE:
            raise UnfitError(
                f"the exported model's logits differ from the trial's by {difference:.2g}, more "
                f"than {TOLERANCE:g}: it is not registered as what it was measured to be"
            )
        return difference

    def latency(self, images: torch.Tensor) -> Latency:
        """Time its answers to one image at a time; a few seconds at most.

        Args:
            images: (N, C, H, W) of uint8; the first is asked.
        """
        image = _in_unit_range(images[:1]).numpy()
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            for _ in range(_WARM_UP):
                self._model.predict(image)
            seconds: list[float] = []
            while len(seconds) < _TIMED and sum(seconds) < _MOST_SECONDS:
                started = time.perf_counter()
                self._model.predict(image)
                seconds.append(time.perf_counter() - started)
        finally:
            torch.set_num_threads(threads)
        ordered = sorted(seconds)
        p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
        return Latency(statistics.median(ordered) * 1e3, p95 * 1e3, len(ordered))


def _shapes(data: PreparedData) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Of the images and of the logits; -1 is a free batch."""
    side = data.image_size
    return (-1, data.in_channels, side, side), (-1, data.num_classes)


def _in_unit_range(images: torch.Tensor) -> torch.Tensor:
    return images.to(torch.float32) / 255


def _requirements() -> list[str]:
    """Pinned; without a build's suffix such as `+cpu`, which PyPI does not know."""
    return [f"{name}=={version(name).partition('+')[0]}" for name in ("mlflow", "numpy", "torch")]
