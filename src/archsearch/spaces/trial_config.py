"""The resolved description of one trial: everything that its numbers follow from."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from archsearch.models import ArchitectureSpec
from archsearch.schema import Frozen, InputSpec, digest_of
from archsearch.spaces.limits import MAX_EPOCHS
from archsearch.spaces.recipe import Recipe


class TrialConfig(Frozen):
    """An architecture, how it is trained, on what input, for how long, from which seed.

    Two trials with equal configurations, data and hardware train to the same numbers.
    """

    architecture: ArchitectureSpec
    recipe: Recipe
    input: InputSpec
    max_epochs: int = Field(ge=1, le=MAX_EPOCHS)
    """Epochs of full fidelity; the learning rate's schedule ends there."""

    seed: int = Field(ge=0, lt=2**63)
    """Seeds the weights, dropout, the order of images and their augmentation."""

    batch_scale: int = Field(default=1, ge=1)
    """The batch is this many times the recipe's, and so is the learning rate."""

    @property
    def effective_recipe(self) -> Recipe:
        """The recipe as trained: by the linear scaling rule (Goyal et al. 2017, section 2.1).

        Raises:
            ValueError: The batch or the learning rate becomes too large.
        """
        if self.batch_scale == 1:
            return self.recipe
        scaled = {
            "batch_size": self.recipe.batch_size * self.batch_scale,
            "learning_rate": self.recipe.learning_rate * self.batch_scale,
        }
        return Recipe(**self.recipe.model_dump() | scaled)

    @property
    def name(self) -> str:
        """The architecture's published-style name, such as `WRN-28-10`."""
        return self.architecture.name

    @property
    def digest(self) -> str:
        """Digest of everything but the seed: equal for duplicates in a search."""
        return digest_of(self._meaning(without={"seed"}))

    @property
    def seeded_digest(self) -> str:
        """Digest of everything: equal only where the numbers must be equal too."""
        return digest_of(self._meaning())

    def _meaning(self, without: set[str] | None = None) -> dict[str, Any]:
        """The fields that are not at their defaults.

        So a field that a later release adds, with a default that changes nothing, leaves the
        digests of recorded trials as they are, and their checkpoints usable.
        """
        fields = self.model_dump(mode="json", exclude=without, exclude_defaults=True)
        fields["architecture"]["family"] = self.architecture.family
        return fields
