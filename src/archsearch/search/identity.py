"""What makes a search the one that it is: what a resume may not change."""

from __future__ import annotations

from collections.abc import Sequence

from archsearch.errors import UsageError
from archsearch.record.cells import SearchIdentity
from archsearch.schema import PreparedData
from archsearch.search.request import SearchRequest
from archsearch.spaces.space import SearchSpace

_COMPARED = tuple(name for name in SearchIdentity.model_fields if name != "earlier_spaces")


def identity_of(
    request: SearchRequest, space: SearchSpace, data: PreparedData, batch_scale: int = 1
) -> SearchIdentity:
    """What a resume may not change."""
    return SearchIdentity(
        space=space.digest,
        data=data.digest,
        split=data.split_digest,
        train_size=request.train_size,
        seed=request.seed,
        max_epochs=request.max_epochs or space.fidelity.max_epochs,
        objective=space.objective,
        batch_scale=batch_scale,
    )


def check_identity(
    name: str,
    recorded: SearchIdentity,
    asked: SearchIdentity,
    *,
    space_changes: Sequence[str] = (),
) -> None:
    """Refuse to continue a search as another one.

    Args:
        name: The search's.
        recorded: Its identity.
        asked: That of what is asked for now.
        space_changes: In what a space of another digest is not just wider.

    Raises:
        UsageError: They differ; the sentence says in what.
    """
    differences = [
        f"{key} was {_short(getattr(recorded, key))}, now {_short(getattr(asked, key))}"
        + (f" ({'; '.join(space_changes)})" if key == "space" and space_changes else "")
        for key in _COMPARED
        if getattr(recorded, key) != getattr(asked, key)
    ]
    if differences:
        raise UsageError(
            f"the search {name!r} exists and is another one: {'; '.join(differences)}. "
            "Continue it with what it had, or choose another --name"
            + " (its space may become wider, nothing else)"
            * bool(space_changes)
        )


def _short(value: object) -> str:
    return value[:12] if isinstance(value, str) else str(value)
