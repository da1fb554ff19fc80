"""The strict model at every door, and the one description that data and models share."""

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


def digest_of(*parts: object) -> str:
    """Hexadecimal SHA-256 of JSON-able parts or models: equal for equal meaning, and only then."""
    plain = [p.model_dump(mode="json") if isinstance(p, BaseModel) else p for p in parts]
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
