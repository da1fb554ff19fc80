"""The input of a named network: what its name implies, changed by options."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from archsearch.errors import UsageError
from archsearch.schema import InputSpec

_OPTIONS = {"num_classes": "--classes"}


def input_spec_of(usual: InputSpec, given: Mapping[str, int | None]) -> InputSpec:
    """`usual` with the fields that were given.

    Raises:
        UsageError: A field is out of range.
    """
    fields = usual.model_dump() | {k: v for k, v in given.items() if v is not None}
    try:
        return InputSpec(**fields)
    except ValidationError as error:
        raise UsageError(
            "; ".join(
                f"{_OPTIONS.get(str(e['loc'][0]), '--' + str(e['loc'][0]).replace('_', '-'))}: "
                f"{e['msg']}, got {e['input']}"
                for e in error.errors()
            )
        ) from None
