"""What the record's JSON cells must hold; checked whenever they are read.

A database file can be damaged, or edited by hand, and still be one. What is not named here may
hold anything; a field that is named may be missing unless it is marked as required.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Required

from pydantic import AfterValidator, ConfigDict, Field, with_config
from typing_extensions import TypedDict

from archsearch.schema import PreparedData
from archsearch.spaces.parameters import Scalar

Cell = dict[str, Any]
ParamsCell = dict[str, Scalar]
_OPEN = ConfigDict(extra="allow")

Count = Annotated[int, Field(ge=0, lt=2**63)]
Whole = Annotated[int, Field(ge=1, lt=2**63)]
Milliseconds = Annotated[int, Field(ge=0, lt=4_102_444_800_000)]
"""Since 1970 and before 2100, so that it can be shown as a date."""
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Digest = Annotated[str, Field(max_length=64)]


@with_config(_OPEN)
class _Holder(TypedDict, total=False):
    """Who holds a lease."""

    host: Required[str]
    place: Required[str]
    pid: Required[Annotated[int, Field(gt=0, lt=2**31)]]
    started: Required[str | None]


@with_config(_OPEN)
class _EarlierSpace(TypedDict, total=False):
    space: Digest | None
    num_trials: Required[Count]
    redrawn: list[str]


@with_config(_OPEN)
class _Identity(TypedDict, total=False):
    space: Required[Digest]
    data: Required[Digest]
    split: Required[Digest]
    train_size: Count | None
    seed: Required[Count]
    max_epochs: Required[Whole]
    earlier_spaces: list[_EarlierSpace]


def _of_data(cell: Cell) -> Cell:
    PreparedData.model_validate(cell)
    return cell


@with_config(_OPEN)
class _Settings(TypedDict, total=False):
    data: Required[Annotated[Cell, AfterValidator(_of_data)]]
    rungs: Required[list[Whole]]
    trials: Required[Whole]
    more_trials: Count | None
    concurrency: Count | None
    random_share: Annotated[float, Field(ge=0, le=1)]
    confirm: str | None
    tracking_uri: str | None
    data_dir: str | None


@with_config(_OPEN)
class _Complexity(TypedDict, total=False):
    params: Required[Count]
    macs: Required[Count]
    activations: Count


@with_config(_OPEN)
class _Result(TypedDict, total=False):
    train_loss: float | None
    train_accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None
    learning_rate: float | None
    images: Count
    train_seconds: Seconds
    val_seconds: Seconds
    micro_batch: Whole
    diverged: bool
    reason: str | None


if TYPE_CHECKING:  # what reads a cell takes what may be missing by `get`
    HolderCell = dict[str, Any]
    IdentityCell = dict[str, Any]
    SettingsCell = dict[str, Any]
    ComplexityCell = dict[str, Any]
    ResultCell = dict[str, Any]
else:
    HolderCell, IdentityCell, SettingsCell = _Holder, _Identity, _Settings
    ComplexityCell, ResultCell = _Complexity, _Result
