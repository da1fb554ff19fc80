"""A model that answers images, whatever it was loaded from, and its most likely classes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from archsearch.errors import UnfitError
from archsearch.schema import InputSpec
from archsearch.training.exportable import Exportable
from archsearch.training.model_files import (
    Answerer,
    Format,
    input_shape,
    load,
    read_metadata,
)
from archsearch.training.pt2_check import refuse_pickles
from archsearch.training.standalone import StandaloneModel

FORMATS: dict[str, Format] = {".onnx": "onnx", ".pt2": "pt2"}
"""By a file's suffix."""
_BATCH_SIZE = 64


@dataclass(frozen=True)
class Answering:
    """A model that takes images as they are.

    Attributes:
        name: Of its architecture.
        origin: Where it comes from, in a few words.
        class_names: Label to name, in the order of the logits.
        input_spec: Of its images.
        multi_label: Whether an image may have several classes.
        answer: Images (N, C, H, W) of float32 in 0..1 to logits (N, classes).
        batch_size: The only N that it takes; None if any.
    """

    name: str
    origin: str
    class_names: tuple[str, ...]
    input_spec: InputSpec
    multi_label: bool
    answer: Answerer
    batch_size: int | None = None

    def probabilities(self, images: torch.Tensor) -> torch.Tensor:
        """(N, classes) of float32, for images (N, C, H, W) of uint8.

        They sum to 1 over the classes, unless an image may have several: then each is the
        probability of its own question.
        """
        logits = torch.cat(list(self._answers(images.to(torch.float32) / 255)))
        return logits.sigmoid() if self.multi_label else logits.softmax(1)

    def _answers(self, images: torch.Tensor) -> Iterator[torch.Tensor]:
        size = self.batch_size or _BATCH_SIZE
        for part in images.split(size):
            count = len(part)
            if self.batch_size is not None and count < size:
                part = part.repeat(-(-size // count), 1, 1, 1)[:size]
            yield self.answer(part)[:count]


@dataclass(frozen=True)
class Guess:
    """One class of an image's most likely ones."""

    label: int
    class_name: str
    probability: float


def top_classes(model: Answering, images: torch.Tensor, count: int) -> list[tuple[Guess, ...]]:
    """The most likely classes of each image, best first.

    Args:
        model: Which answers.
        images: (N, C, H, W) of uint8, N > 0.
        count: How many classes; fewer if it has fewer.
    """
    best = model.probabilities(images).topk(min(count, len(model.class_names)), dim=1)
    return [
        tuple(
            Guess(label, model.class_names[label], probability)
            for label, probability in zip(labels, probabilities, strict=True)
        )
        for labels, probabilities in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]


def of_exportable(model: Exportable, origin: str) -> Answering:
    """A network of this package."""
    standalone = StandaloneModel(model.network, model.mean, model.std).eval()

    def answer(images: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            logits: torch.Tensor = standalone(images)
        return logits

    return Answering(
        name=model.spec.name,
        origin=origin,
        class_names=model.class_names,
        input_spec=model.input_spec,
        multi_label=bool(model.facts.get("multi_label")),
        answer=answer,
    )


def of_file(path: Path) -> Answering:
    """A file that `pipeline.export` wrote, or another ONNX or pt2 model of images to logits.

    Raises:
        UnfitError: It cannot be read, is damaged, may hold code, or answers no images.
    """
    format = FORMATS[path.suffix.lower()]
    try:
        contents = path.read_bytes()
    except OSError as error:
        raise UnfitError(f"{path}: cannot be read: {error.strerror or error}") from error
    if format == "pt2":
        refuse_pickles(str(path), contents)
    try:
        answer, metadata = load(format, contents), read_metadata(format, contents)
        shape = input_shape(format, contents)
        batch_size, in_channels, height, width = shape
        if in_channels is None or height is None or height != width:
            raise ValueError(f"it takes {shape}, not square images of a known size")
        probe = answer(torch.zeros(batch_size or 1, in_channels, height, height))
        names = _class_names(metadata.get("class_names"), probe.shape[1])
        spec = InputSpec(in_channels=in_channels, image_size=height, num_classes=len(names))
    except Exception as error:  # the readers of both libraries raise whatever they meet
        line = " ".join(str(error).split())[:200]
        raise UnfitError(f"{path}: cannot be used as a model of images: {line}") from error
    return Answering(
        name=metadata.get("name", path.stem),
        origin=str(path),
        class_names=names,
        input_spec=spec,
        multi_label=metadata.get("multi_label") == "true",
        answer=answer,
        batch_size=batch_size,
    )


def _class_names(told: str | None, num_classes: int) -> tuple[str, ...]:
    """The file's own names, or numbers where it has none."""
    names: Sequence[object] = json.loads(told) if told else range(num_classes)
    if len(names) != num_classes:
        raise ValueError(f"it names {len(names)} classes and answers {num_classes}")
    return tuple(map(str, names))
