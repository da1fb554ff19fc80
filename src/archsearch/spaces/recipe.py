"""How a network is trained; its field names are those of a space file's `training:` part."""

from __future__ import annotations

from pydantic import Field

from archsearch.schema import Frozen


class Recipe(Frozen):
    """SGD with Nesterov momentum under a linear warm-up and one cosine down to zero.

    All four families were published with SGD, momentum 0.9 and a weight decay on every
    parameter, BatchNorm's included (He et al. 2015, section 3.4; Zagoruyko & Komodakis 2016,
    section 3; Xie et al. 2017, section 4; Huang et al. 2017, section 4.2); that is kept. The
    papers' step schedules are replaced by a cosine over the trial's `max_epochs`, because early
    epochs then say more about final ranks.
    """

    learning_rate: float = Field(default=0.1, gt=0, le=100)
    """Peak learning rate, reached at the end of the warm-up."""

    head_learning_rate_factor: float = Field(default=1.0, gt=0, le=1_000)
    """The classifier's learning rate is this many times that of all other layers, in any family.

    Above 1 a new head learns fast on pretrained features that change slowly.
    """

    weight_decay: float = Field(default=5e-4, ge=0, le=1)
    """L2 penalty's coefficient, added to the gradient of every parameter."""

    batch_size: int = Field(default=64, ge=1, le=65_536)
    """Images whose mean gradient makes one optimizer step, however many micro-batches carry it."""

    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of a label's weight spread over all classes (Szegedy et al. 2016, section 7)."""

    augmentation: float = Field(default=0.5, ge=0, le=1)
    """Strength of the training images' random changes; 0 leaves them as they are."""

    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Nesterov momentum; 0 is plain gradient descent."""

    warmup_fraction: float = Field(default=0.05, ge=0, lt=1)
    """Share of all optimizer steps in which the learning rate rises from near 0 to its peak."""
