"""Pretrained weights of a search: downloaded, checked, and copied to where trials run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from archsearch.data.folders import made_once
from archsearch.models import FAMILIES
from archsearch.models.weight_files import is_intact
from archsearch.spaces.space import SearchSpace
from archsearch.storage import StoragePath

if TYPE_CHECKING:
    from archsearch.models import ArchitectureSpec
    from archsearch.models.backbones import NetworkName

_ALL = 1_000_000


def fetch_weights(space: SearchSpace) -> Iterator[str]:
    """Download every weight file that a member of the space starts from; one sentence each.

    A file that is here already is compared with its checksum and with the network's shapes.

    Raises:
        UnfitError: One cannot be downloaded, or is damaged or another network's.
    """
    for network, weights in _needed(space):
        # Torch takes seconds to import, and most spaces need it in their workers only.
        from archsearch.models.pretrained import check_weights

        yield f"Weights of {network}: {check_weights(network, weights).path}"


def share_weights(space: SearchSpace, storage: StoragePath) -> Iterator[str]:
    """Copy the files of `fetch_weights` into a storage; one sentence for each new file.

    Raises:
        OSError: The storage's folder cannot be written.
        StorageError: The store does not answer, or refuses.
    """
    for network, weights in _needed(space):
        from archsearch.models.pretrained import weight_file

        source = weight_file(network, weights).path
        copy = _shared(storage) / source.name
        if _shared(storage).files().get(copy.name) != source.stat().st_size:
            copy.publish(source)
            yield f"Weights of {network} are in {copy} now, from which each node takes a copy."


def weights_here(architecture: ArchitectureSpec, storage: StoragePath) -> None:
    """Copy a network's weight file from a storage, if this machine has no whole copy.

    The first process copies it under a lock; the others wait and use the copy. Where the storage
    has no such file, building the network downloads it, or fails.

    Raises:
        UnfitError: This machine's cache cannot be read or written.
        StorageError: The store does not answer, or refuses.
    """
    fields = architecture.weight_fields
    if fields is None:
        return
    network, weights = (getattr(architecture, field) for field in fields)
    if weights == "none":
        return
    from archsearch.models.pretrained import weight_file

    file = weight_file(network, weights)
    if is_intact(file):
        return
    with made_once(file.path):
        copy = _shared(storage) / file.path.name
        if not is_intact(file) and copy.name in _shared(storage).files():
            copy.fetch(file.path)


def _shared(storage: StoragePath) -> StoragePath:
    return storage / "weights"


def _needed(space: SearchSpace) -> Iterator[tuple[NetworkName, str]]:
    for family, branch in space.families.items():
        fields = FAMILIES[family].weight_fields
        if fields is None or fields[1] not in branch:
            continue
        networks, sources = (branch[field].examples(_ALL) for field in fields)
        for network in networks:
            for weights in sources:
                if weights != "none":
                    yield network, str(weights)  # type: ignore[misc]  # one of the names
