"""What the record's JSON cells hold: one frozen model each, checked whenever a cell is read.

A database file can be damaged, or edited by hand, and still be one. A stored cell carries the
version of its format; one without is of version 1, that of release 0.1.0.
"""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Required

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    model_validator,
    with_config,
)
from pydantic_core import PydanticCustomError, from_json
from typing_extensions import TypedDict

from archsearch.objective import DEFAULT
from archsearch.schema import Frozen
from archsearch.spaces.parameters import Scalar
from archsearch.training.result import EpochResult

Cell = dict[str, Any]
ParamsCell = dict[str, Scalar]

Count = Annotated[int, Field(ge=0, lt=2**63)]
Whole = Annotated[int, Field(ge=1, lt=2**63)]
Milliseconds = Annotated[int, Field(ge=0, lt=4_102_444_800_000)]
"""Since 1970 and before 2100, so that it can be shown as a date."""
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Digest = Annotated[str, Field(max_length=64)]

NEWER_FORMAT = "newer_format"
"""Type of the validation error for a cell of a version that this release does not know."""


def finite(value: float) -> float | None:
    """The value, or None for one that is not finite."""
    return value if math.isfinite(value) else None


def without_version(cell: Any, newest: int) -> Any:
    """The fields of a cell whose format is not newer than `newest`.

    Raises:
        PydanticCustomError: It is newer.
        ValueError: Its version is none.
    """
    if not isinstance(cell, dict) or "version" not in cell:
        return cell
    version = cell["version"]
    if type(version) is not int or version < 1:
        raise ValueError("a version is a whole number from 1")
    if version > newest:
        raise PydanticCustomError(NEWER_FORMAT, "its format has version {version}", cell)
    return {key: value for key, value in cell.items() if key != "version"}


class Stored(Frozen):
    """Base of what one JSON cell holds: immutable, unknown fields refused, no NaN."""

    VERSION: ClassVar[int] = 1
    """Of the format that is written."""

    @model_validator(mode="before")
    @classmethod
    def _known_version(cls, cell: Any) -> Any:
        return without_version(cell, cls.VERSION)

    def as_json(self) -> dict[str, Any]:
        """The fields as JSON, as users see them."""
        return self.model_dump(mode="json")

    def stored(self) -> dict[str, Any]:
        """What the record keeps."""
        return {"version": self.VERSION, **self.as_json()}


class EarlierSpace(Frozen):
    """A space in which a search was run before it became wider."""

    space: Digest | None
    num_trials: Count
    """How many trials there were when it became wider."""
    redrawn: tuple[str, ...] | None = None
    """Families whose uniform draws are others since; None where that was not written down."""


class SearchIdentity(Stored):
    """What makes a search the one that it is: a resume may not change it."""

    space: Digest
    data: Digest
    split: Digest
    train_size: Count | None = None
    seed: Count
    max_epochs: Whole
    objective: str = DEFAULT.metric
    batch_scale: Whole = 1
    """How many times its recipe's a trial's batch is."""
    earlier_spaces: tuple[EarlierSpace, ...] = ()
    """Those that were searched before, oldest first."""

    def as_json(self) -> dict[str, Any]:
        """The fields as JSON; a batch of its recipe's size and no earlier space are not said."""
        unsaid = {
            name
            for name, said in (
                ("batch_scale", self.batch_scale > 1),
                ("earlier_spaces", bool(self.earlier_spaces)),
            )
            if not said
        }
        return self.model_dump(mode="json", exclude=unsaid)


class TrialComplexity(Stored):
    """What a variant costs, as pre-flight has counted it."""

    params: Count
    macs: Count
    """Multiply-accumulates of one image."""
    activations: Count
    memory_mib: Seconds | None = None
    """Predicted for its training; None where no cap asked for it."""

    def as_json(self) -> dict[str, Any]:
        """The fields as JSON, without a memory that nobody predicted."""
        return self.model_dump(mode="json", exclude_none=True)


RESULT_VERSION = 1
_MEASURED = tuple(n for n, field in EpochResult.model_fields.items() if field.annotation is float)
_measured = operator.itemgetter(*_MEASURED)


def _result_json(result: EpochResult) -> Cell:
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in result.model_dump().items()
    }


def _result_fields(cell: Any) -> Any:
    if isinstance(cell, str):
        cell = from_json(cell)
    cell = without_version(cell, RESULT_VERSION)
    try:
        if None not in _measured(cell):  # as in nearly all of many thousands
            return cell
        return cell | {key: math.nan for key in _MEASURED if cell[key] is None}
    except (KeyError, TypeError):  # it is no result, as its validation will say
        return cell


def result_cell(result: EpochResult) -> Cell:
    """An epoch's result as the record keeps it; see `StoredResult`."""
    return {"version": RESULT_VERSION, **_result_json(result)}


StoredResult = Annotated[
    EpochResult, BeforeValidator(_result_fields), PlainSerializer(_result_json, when_used="json")
]
"""A result from its cell, parsed or not: what was not finite is null there and NaN here, as in
training."""


@with_config(ConfigDict(extra="allow"))
class _Holder(TypedDict, total=False):
    """Who holds a lease."""

    host: Required[str]
    place: Required[str]
    pid: Required[Annotated[int, Field(gt=0, lt=2**31)]]
    started: Required[str | None]


if TYPE_CHECKING:
    HolderCell = dict[str, Any]
else:
    HolderCell = _Holder
