"""Exporting a network: a file is written only after it was loaded again and gave equal logits."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass
from pathlib import Path

import torch

from archsearch.errors import ArchsearchError, UnfitError
from archsearch.files import write_atomic
from archsearch.training.exportable import Exportable
from archsearch.training.model_files import Format, encode, load
from archsearch.training.standalone import StandaloneModel

TOLERANCE = 1e-4
"""Largest difference between the logits of a file and of its network that is let through."""
_MOST_ONNX_BYTES = 2**31 - 2**24
"""What protobuf can hold, less some room for the graph."""


class ParityError(ArchsearchError):
    """An exported file does not answer as its network does; it is not written."""


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    Attributes:
        difference: Largest difference between its logits and the network's.
        limit: Largest difference that was let through.
        num_compared: On so many images.
    """

    path: Path
    num_bytes: int
    difference: float
    limit: float
    num_compared: int


def export(
    model: Exportable, path: Path, format: Format, *, batch_size: int | None = None
) -> Exported:
    """Write a network as a file that needs nothing of this package.

    Untrained weights may differ by more than 1e-4: by twice what rounding to float32 does to the
    network itself. Deep networks of random weights are chaotic (1e-3 for ResNet-152, from rounding
    alone), and training ends that.

    Args:
        model: What is written.
        path: Where; replaced as a whole if it is there.
        format: `onnx` or `pt2`.
        batch_size: The only number of images that the file takes at once; None leaves it free.

    Raises:
        ParityError: The loaded file's logits differ by more than that; nothing is written.
        UnfitError: The file cannot be written, or the format cannot hold it; nothing is left
            behind.
    """
    _require_folder(path.parent)
    standalone = StandaloneModel(model.network, model.mean, model.std).eval()
    num_bytes = sum(t.numel() * t.element_size() for t in standalone.state_dict().values())
    if format == "onnx" and num_bytes > _MOST_ONNX_BYTES:
        raise UnfitError(
            f"{model.spec.name} has {num_bytes:,} bytes of weights, more than the 2 GiB of an "
            "ONNX file; use --format pt2"
        )
    standalone.requires_grad_(False)
    images = _compared(model.images, batch_size)
    example = images[: batch_size or 2]
    contents = encode(format, standalone, example, model.metadata(), any_batch=batch_size is None)
    # A free batch is tried with one image and with many, a fixed one as it is.
    answer = load(format, contents)
    parts = images.split(batch_size) if batch_size else (images[:1], images[1:])
    with torch.inference_mode():
        expected = standalone(images)
        difference = _largest_difference(torch.cat([answer(part) for part in parts]), expected)
    limit = TOLERANCE
    if model.is_untrained and difference > TOLERANCE:
        limit = max(limit, 2 * _rounding(standalone, images, expected))
    if not difference <= limit:
        raise ParityError(
            f"the exported logits differ from the network's by {difference:.3g}, more than "
            f"{limit:.2g} (on {len(images)} {model.compared_on}; the largest logit is "
            f"{float(expected.abs().max()):.3g}): {path} is not written"
        )
    try:
        write_atomic(path, contents)
    except OSError as error:
        raise UnfitError(f"{path}: cannot be written: {error.strerror or error}") from error
    return Exported(path, len(contents), difference, limit, len(images))


@torch.inference_mode()
def _rounding(model: StandaloneModel, images: torch.Tensor, logits: torch.Tensor) -> float:
    """Largest difference between a model's logits and those that it has in float64."""
    exact = copy.deepcopy(model).double()(images.double())
    return float((exact - logits).abs().max())


def _compared(images: torch.Tensor, batch_size: int | None) -> torch.Tensor:
    """The images to compare on: whole batches of a fixed size, repeated where there are fewer."""
    if batch_size is None:
        return images if len(images) > 1 else images.repeat(2, 1, 1, 1)
    number = max(1, len(images) // batch_size) * batch_size
    return images.repeat(-(-number // len(images)), 1, 1, 1)[:number]


def _largest_difference(answers: torch.Tensor, expected: torch.Tensor) -> float:
    if answers.shape != expected.shape:
        raise ParityError(
            f"the exported model answers {tuple(answers.shape)}, its network "
            f"{tuple(expected.shape)}: it is not written"
        )
    return float((answers - expected).abs().max())


def _require_folder(folder: Path) -> None:
    """Refuse a folder that cannot be written before minutes are spent on what goes there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnfitError(f"{folder}: cannot be made: {error.strerror}") from error
    if not os.access(folder, os.W_OK):
        raise UnfitError(f"{folder}: cannot be written; choose another --output")
