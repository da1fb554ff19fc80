"""What makes a search the one that it is: what a resume may not change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from archsearch.errors import UsageError
from archsearch.schema import PreparedData
from archsearch.search.request import SearchRequest
from archsearch.spaces.space import SearchSpace

BATCH_SCALE = "batch_scale"


def identity_of(
    request: SearchRequest, space: SearchSpace, data: PreparedData, batch_scale: int = 1
) -> dict[str, Any]:
    """What a resume may not change.

    The scale of the batch is part of it where there is one, and of nobody's name otherwise.
    """
    identity = {
        "space": space.digest,
        "data": data.digest,
        "split": data.split_digest,
        "train_size": request.train_size,
        "seed": request.seed,
        "max_epochs": request.max_epochs or space.fidelity.max_epochs,
        "objective": space.objective,
    }
    return identity | ({BATCH_SCALE: batch_scale} if batch_scale > 1 else {})


def check_identity(
    name: str,
    recorded: dict[str, Any],
    asked: dict[str, Any],
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
    before, now = ({BATCH_SCALE: 1} | identity for identity in (recorded, asked))
    differences = [
        f"{key} was {_short(before.get(key))}, now {_short(now[key])}"
        + (f" ({'; '.join(space_changes)})" if key == "space" and space_changes else "")
        for key in now
        if before.get(key) != now[key]
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
