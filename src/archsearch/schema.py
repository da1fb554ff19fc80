"""The strict model at every door, and the descriptions that all layers share."""

from __future__ import annotations

import hashlib
import json

from pydantic import BaseModel, ConfigDict, Field


class Frozen(BaseModel):
    """Base of every description: immutable, hashable, unknown fields refused, no NaN."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )


class InputSpec(Frozen):
    """What a network is fed and must answer; images are square."""

    in_channels: int = Field(ge=1, le=64)
    image_size: int = Field(ge=1, le=4096)
    num_classes: int = Field(ge=2, le=100_000)


class DataDescription(Frozen):
    """Images that were prepared, without the place of their file: paths mean nothing elsewhere."""

    name: str
    num_classes: int = Field(ge=2)
    in_channels: int = Field(ge=1)
    image_size: int = Field(ge=1)
    class_names: tuple[str, ...]
    num_train: int = Field(ge=1)
    """Training images in use, after `train_size`."""
    num_val: int = Field(ge=1)
    num_test: int = Field(ge=1)
    train_size: int | None
    """What was asked for; None means the whole training split."""
    mean: tuple[float, ...]
    """Per channel, of the whole training split (whatever `train_size`), in 0..1."""
    std: tuple[float, ...]
    """Per channel, as `mean`; at least 1/255, so that a constant channel divides by no zero."""
    digest: str
    """SHA-256 of images, labels and splits, at this image size; `train_size` is not in it."""
    split_digest: str
    """SHA-256 of which image is in which split; the same at every image size."""
    flip: bool
    """Whether a mirrored image keeps its label (not so for digits and house numbers)."""
    multi_label: bool = False
    """Whether an image may have several of the classes, or none, so that each is a question."""


class PreparedData(DataDescription):
    """One Arrow file that is there and was verified; small, JSON-able, travels to workers."""

    path: str
    """Absolute path of the Arrow file."""

    @property
    def description(self) -> DataDescription:
        """All but the place of the file."""
        return DataDescription.model_validate(self.model_dump(exclude={"path"}))

    @property
    def input_spec(self) -> InputSpec:
        """What a network for this data is fed and must answer."""
        return InputSpec(
            in_channels=self.in_channels,
            image_size=self.image_size,
            num_classes=self.num_classes,
        )


def digest_of(*parts: object) -> str:
    """Hexadecimal SHA-256 of JSON-able parts or models: equal for equal meaning, and only then."""
    plain = [p.model_dump(mode="json") if isinstance(p, BaseModel) else p for p in parts]
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
