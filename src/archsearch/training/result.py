"""What one epoch of training says; imports no torch, so the driver reads it cheaply."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

CURVES = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
"""What is measured after every epoch, in the order in which people are shown it."""


class EpochResult(BaseModel):
    """One epoch's outcome. NaN is allowed here, unlike in descriptions: training makes it.

    Losses are in nats an image (an image and class, where an image may have several classes), and
    accuracies are shares of images answered right; see `objective`. JSON carries what is not
    finite as text ("NaN", "Infinity").
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=True,
        ser_json_inf_nan="strings",
        use_attribute_docstrings=True,
    )

    epoch: int = Field(ge=1, lt=2**63)
    """1-based."""

    train_loss: float
    """Mean over the epoch's images as trained on: augmented, under label smoothing."""

    train_accuracy: float
    """Share of the epoch's augmented images that were right before their own step."""

    val_loss: float
    """Without smoothing, of the averaged model; NaN when the epoch diverged before validation."""

    val_accuracy: float
    """Of the averaged model, in [0, 1]; NaN when the epoch diverged before validation."""

    learning_rate: float
    """Of the epoch's last optimizer step."""

    images: int = Field(ge=0, lt=2**63)
    """Images trained on; below the training split's size where the last batch was incomplete."""

    train_seconds: float = Field(ge=0, allow_inf_nan=False)
    """Wall time of the epoch but for validation."""

    val_seconds: float = Field(ge=0, allow_inf_nan=False)

    micro_batch: int = Field(ge=1, lt=2**63)
    """Images that went through the network at once at the epoch's end, of each worker."""

    workers: int = Field(default=1, ge=1, lt=2**63)
    """Processes that trained it, each on its own part of every batch."""

    diverged: bool = False
    """A loss, a metric or a weight was not finite; the trial ends here."""

    reason: str | None = None
    """What was not finite, and where; None unless `diverged`."""

    @property
    def seconds(self) -> float:
        """Wall time of the whole epoch."""
        return self.train_seconds + self.val_seconds
