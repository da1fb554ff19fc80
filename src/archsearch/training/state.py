"""A training's state as bytes and back; nothing in it is ever unpickled."""

from __future__ import annotations

import dataclasses
import io
import pickle
import struct
import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from archsearch.models import build_model
from archsearch.spaces.trial_config import TrialConfig
from archsearch.training.checkpoint_file import CheckpointError

_FORMAT = 1
_UNREADABLE = (
    pickle.UnpicklingError,
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    Warning,
    struct.error,
)
"""What reading something else than a state was seen to raise."""


@dataclass(frozen=True)
class TrainingState:
    """What a checkpoint's payload holds."""

    finished_epochs: int
    reason: str | None
    """Why the last epoch diverged; None if it did not."""
    stepper: dict[str, Any]
    """Weights, averages, optimizer, steps, micro-batch."""
    generators: dict[str, torch.Tensor]
    """State of the trial's own generators and of torch's global ones."""


def pack(state: TrainingState) -> bytes:
    """The state as a payload, readable by `torch.load(weights_only=True)`."""
    fields = {f.name: getattr(state, f.name) for f in dataclasses.fields(state)}
    buffer = io.BytesIO()
    torch.save({"format": _FORMAT, **fields}, buffer)
    return buffer.getvalue()


def unpack(payload: bytes) -> TrainingState:
    """Read a payload, its tensors onto the processor.

    Raises:
        CheckpointError: It is no training state, or of another version's format.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # an unusual pickle is not ours
            fields = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
        version = fields.pop("format")
        if version == _FORMAT:
            return TrainingState(**fields)
    except _UNREADABLE as error:
        raise CheckpointError(f"the payload is no training state: {error}") from error
    raise CheckpointError(f"the payload is of format {version}, this version reads {_FORMAT}")


def load_averaged_model(config: TrialConfig, payload: bytes) -> nn.Module:
    """The averaged network of a checkpoint, float32, on the processor, in evaluation mode.

    Raises:
        CheckpointError: The payload is no training state, or not of this architecture.
    """
    with torch.random.fork_rng(devices=[]):
        model = build_model(config.architecture, config.input, pretrained=False)
    try:
        model.load_state_dict(unpack(payload).stepper["average"])
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(f"the state is not of {config.name}: {error}") from error
    return model.requires_grad_(False).eval()
