"""Checking a MATLAB 5 file before SciPy reads it.

`scipy.io.loadmat` trusts what a file says about itself: an unknown type number makes it read
outside its tables, which ends the process, and it stops inflating before the checksum of a
compressed part. So the whole file is walked first ("MAT-File Format", MathWorks, Level 5): every
part must lie inside the one that holds it, and every variable must be a plain array of numbers.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

from archsearch.data.reading import inflate_fully

_HEADER_BYTES = 128
_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED = 1, 5, 6, 14, 15
_ITEM_BYTES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}
_NUMERIC_CLASSES = range(6, 16)  # mxDOUBLE_CLASS .. mxUINT64_CLASS
_COMPLEX_FLAG = 0x0800
_MAX_DIMENSIONS = 32


@dataclass(frozen=True)
class _Element:
    """A tagged part: its type, where its data lies, and where the next part begins."""

    kind: int
    start: int
    size: int
    end: int


def check_mat(content: bytes) -> None:
    """Refuse a file that SciPy could not be trusted with.

    Raises:
        ValueError: If a part is damaged, cut short, or not a plain numeric variable.
        struct.error: If a tag is cut short.
        zlib.error: If a compressed part is damaged.
    """
    order = {b"IM": "<", b"MI": ">"}.get(content[_HEADER_BYTES - 2 : _HEADER_BYTES])
    if order is None:
        raise ValueError("it has no MATLAB 5 header")
    position = _HEADER_BYTES
    while position < len(content):
        # Top-level parts are not padded: a compressed one may have any length.
        kind, size = struct.unpack_from(f"{order}II", content, position)
        start, position = position + 8, position + 8 + size
        if position > len(content):
            raise ValueError("it is cut short")
        part = content[start:position]
        if kind == _COMPRESSED:
            part = inflate_fully(part)
            kind, size = struct.unpack_from(f"{order}II", part)
            part = part[8:]
        if kind != _MATRIX or size != len(part):
            raise ValueError("a part is not a variable, or its size is wrong")
        _check_variable(part, order)


def _check_variable(part: bytes, order: str) -> None:
    flags = _element(part, 0, order)
    _require(flags.kind == _UINT32 and flags.size == 8, "array flags")
    (word,) = struct.unpack_from(f"{order}I", part, flags.start)
    _require(word & 0xFF in _NUMERIC_CLASSES and not word & _COMPLEX_FLAG, "array class")
    dimensions = _element(part, flags.end, order)
    count = dimensions.size // 4
    _require(dimensions.kind == _INT32 and 2 <= count <= _MAX_DIMENSIONS, "dimensions")
    shape = struct.unpack_from(f"{order}{count}i", part, dimensions.start)
    _require(min(shape) >= 0 and dimensions.size == 4 * count, "dimensions")
    name = _element(part, dimensions.end, order)
    _require(name.kind == _INT8, "name")
    values = _element(part, name.end, order)
    item_bytes = _ITEM_BYTES.get(values.kind, 0)
    _require(values.size == math.prod(shape) * item_bytes and item_bytes > 0, "values")
    _require(values.end == len(part), "end")


def _element(part: bytes, position: int, order: str) -> _Element:
    (word,) = struct.unpack_from(f"{order}I", part, position)
    if word >> 16:  # the small form: size and type share a word, up to four bytes follow
        element = _Element(word & 0xFFFF, position + 4, word >> 16, position + 8)
        _require(element.size <= 4, "small part")
    else:
        (size,) = struct.unpack_from(f"{order}I", part, position + 4)
        start = position + 8
        element = _Element(word, start, size, start + size + -size % 8)
    _require(element.end <= len(part), "size of a part")
    return element


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"the {what} of a variable cannot be right")
