"""Seeds for different purposes from one seed of a search."""

from __future__ import annotations

import hashlib


def seed_of(*parts: object) -> int:
    """A 32-bit seed for a purpose, independent of every other purpose's."""
    text = "/".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])
