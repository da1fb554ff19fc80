"""A candidate as a model that stands alone: images in, logits out, nothing pickled."""

from __future__ import annotations

import warnings
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from archsearch.data import PreparedData
from archsearch.errors import UnfitError
from archsearch.training.export import TOLERANCE
from archsearch.training.standalone import StandaloneModel

if TYPE_CHECKING:
    from mlflow.models import Model

_EXAMPLES = 2  # a single one would fix the batch dimension at 1
_COMPARED = 256


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

        shape = (-1, data.in_channels, data.image_size, data.image_size)
        number = np.dtype(np.float32)
        mlflow.pytorch.save_model(
            StandaloneModel(network, data.mean, data.std).eval(),
            str(folder),
            mlflow_model=card,
            serialization_format="pt2",
            signature=ModelSignature(
                Schema([TensorSpec(number, shape)]),
                Schema([TensorSpec(number, (-1, data.num_classes))]),
            ),
            input_example=_in_unit_range(images[:_EXAMPLES]).numpy(),
            pip_requirements=_requirements(),
        )


def check_parity(
    folder: Path, network: nn.Module, data: PreparedData, images: torch.Tensor
) -> float:
    """The largest difference between a saved model's logits and the network's own.

    Args:
        folder: An MLflow model, loaded as a stranger would load it.
        network: What it should agree with.
        data: Its normalisation.
        images: (N, C, H, W) of uint8.

    Raises:
        UnfitError: It is above 1e-4, or the model cannot be loaded without unpickling.
    """
    from archsearch.data import Split
    from archsearch.training.predict import predict

    images = images[:_COMPARED]
    labels = torch.zeros(len(images), dtype=torch.int64)
    expected = predict(network, Split(images, labels), mean=data.mean, std=data.std)
    answers = torch.from_numpy(_load(folder).predict(_in_unit_range(images).numpy()))
    difference = float((answers - expected).abs().max())
    if not difference <= TOLERANCE:
        raise UnfitError(
            f"the exported model's logits differ from the trial's by {difference:.2g}, more than "
            f"{TOLERANCE:g}: it is not registered as what it was measured to be"
        )
    return difference


def _load(folder: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow.pyfunc

        return mlflow.pyfunc.load_model(str(folder), model_config={"device": "cpu"})


def _in_unit_range(images: torch.Tensor) -> torch.Tensor:
    return images.to(torch.float32) / 255


def _requirements() -> list[str]:
    """Pinned; without a build's suffix such as `+cpu`, which PyPI does not know."""
    return [f"{name}=={version(name).partition('+')[0]}" for name in ("mlflow", "numpy", "torch")]
