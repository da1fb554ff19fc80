"""A version of a registered model, in our words: MLflow's own type stays in this room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True)
class RegisteredVersion:
    """A version of a registered model, as the registry had it when it was asked.

    Attributes:
        name: The registered model's.
        version: Its number, as text.
        tags: Of the version.
    """

    name: str
    version: str
    tags: Mapping[str, str]

    @classmethod
    def of(cls, version: ModelVersion) -> RegisteredVersion:
        """MLflow's version in our words."""
        return cls(version.name, str(version.version), dict(version.tags))
