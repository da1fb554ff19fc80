"""Pretrained weights that a search may need, brought here and checked before a worker is asked."""

from __future__ import annotations

from collections.abc import Iterator

from archsearch.spaces.space import SearchSpace

_ALL = 1_000_000


def fetch_weights(space: SearchSpace) -> Iterator[str]:
    """Bring every file of weights that a member of the space starts from; one sentence each.

    A file that is here already is compared with its checksum and with the network's shapes.

    Raises:
        UnfitError: One cannot be downloaded, or is damaged or another network's.
    """
    branch = space.families.get("torchvision", {})
    if "weights" not in branch:
        return
    # Torch takes seconds to import, and most spaces need it in their workers only.
    from archsearch.models.pretrained import check_weights

    networks, sources = (branch[field].examples(_ALL) for field in ("network", "weights"))
    for network in networks:
        for weights in sources:
            if weights != "none":
                file = check_weights(network, str(weights))  # type: ignore[arg-type]
                yield f"Weights of {network}: {file.path}"
