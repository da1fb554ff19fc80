"""Data of one's own: a data set that a user's module makes, named as `FILE.py:NAME`.

The module is the user's, named by the user: it is imported and called when a search starts, in a
process apart (see `archsearch.user_code`) and nowhere else. Workers, and whoever looks at the
search later, read the Arrow file that it is converted to.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from archsearch.data.raw import LabelledImages, RawData
from archsearch.data.samples import SampleReader
from archsearch.data.sources import DataSet
from archsearch.errors import UnfitError
from archsearch.user_code import check_reference, explained, importable, is_path, load_named

MAX_CLASSES = 100_000
MAX_IMAGE_SIZE = 512
"""Side in pixels that images are made to, at most."""

_LONGEST_NAME = 26
"""With a space's name and a digest it must still make a search's name."""

_NUM_LISTED = 10


@dataclass(frozen=True)
class OwnData:
    """A user's data set, every sample of it checked and converted."""

    described: DataSet
    raw: RawData

    @property
    def fingerprint(self) -> str:
        """A short hexadecimal name for what it holds."""
        digest = hashlib.sha256()
        parts = [self.raw.train] + ([] if self.raw.test is None else [self.raw.test])
        digest.update(repr((self.described.class_names, self.described.flip)).encode())
        for part in parts:
            digest.update(repr(part.images.shape).encode())
            digest.update(part.images.data)
            digest.update(part.labels.astype("<i8").data)
        return digest.hexdigest()[:12]


def is_own(name: str) -> bool:
    """Whether a data set's name is a reference to a user's module."""
    return ":" in name


def data_name(name: str) -> str:
    """What a data set is called in names of searches, files and models.

    `folder/pets.py:load` is called `pets.load`; a data set that comes with the project keeps its
    name.
    """
    if not is_own(name):
        return name
    module, _, attribute = name.rpartition(":")
    stem = Path(module).stem if is_path(module) else module.rpartition(".")[2]
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", f"{stem}.{attribute}")
    return plain[:_LONGEST_NAME].strip(".-") or "own"


def check_own(reference: str) -> None:
    """Refuse a reference whose form is wrong, or whose file or package is not there.

    Raises:
        UsageError: It is.
    """
    check_reference(reference, "data of your own")


def subject_of(reference: str) -> str:
    """How a sentence about a user's data begins."""
    return f"--data {reference}"


def read_own(reference: str, image_size: int | None = None) -> OwnData:
    """Import the module, make the data set, and read and check every sample of it.

    It runs the user's code: only in a process of its own.

    `NAME` is a data set as torch's `DataLoader` takes them (`__len__`, and `__getitem__` that
    gives an image and a label), a tuple of two of them (to train and validate on, and to test
    on), or a function without arguments that returns either. See `SampleReader` for what an image
    and a label may be. Two attributes of the first one are used if they are there: `classes`, the
    names of the labels in their order, and `flip`, whether a mirrored image keeps its label. A
    test part with `classes` in another order, or fewer of them, has its labels renumbered.

    Args:
        reference: Names it.
        image_size: The side in pixels that images are made to, one after the other, so that
            large ones need not fit into memory together; None keeps theirs.

    Raises:
        UsageError: There is no such file, module or name in it.
        UnfitError: The user's code raises, what it gives is no data set, or a sample cannot be
            used; the sentence names the sample.
    """
    check_own(reference)
    module = reference.rpartition(":")[0]
    with importable(Path(module).resolve().parent if is_path(module) else Path.cwd()):
        parts = _parts(reference, _made(reference))
        readers = [SampleReader(subject_of(reference), part, d) for part, d in parts.items()]
        shape = readers[0].shape
        side = image_size or min(shape[1], MAX_IMAGE_SIZE)
        raw = {reader.part: reader.read(shape, side) for reader in readers}
        named = {part: _classes(reference, part, data) for part, data in parts.items()}
        flip = _flip(reference, parts["train"])
    classes = named["train"] or _numbered(reference, raw["train"])
    for reader in readers:
        reader.check_labels(raw[reader.part].labels, len(named[reader.part] or classes))
    if named.get("test") not in (None, classes):
        raw["test"] = _renumbered(reference, raw["test"], named["test"] or (), classes)
    _check_all_are_trained(reference, raw["train"], classes)
    described = DataSet(
        name=data_name(reference),
        shape=(shape[0], side, side),
        class_names=classes,
        flip=flip,
        read=_is_read_already,
    )
    return OwnData(described, RawData(raw["train"], raw.get("test")))


def _is_read_already(_paths: object) -> RawData:
    raise AssertionError("data of one's own has no files of its own")


def _made(reference: str) -> Any:
    named = load_named(reference, subject_of(reference))
    if (_is_data_set(named) and not isinstance(named, type)) or not callable(named):
        return named
    with explained(subject_of(reference), f"{reference.rpartition(':')[2]}()"):
        return named()


def _parts(reference: str, made: Any) -> dict[str, Any]:
    """The training part, and the test part where there is one."""
    parts = made if isinstance(made, tuple) else (made,)
    if len(parts) in (1, 2) and all(map(_is_data_set, parts)):
        return dict(zip(("train", "test"), parts, strict=False))
    got = f"a tuple of {', '.join(map(_kind, made))}" if isinstance(made, tuple) else _kind(made)
    raise UnfitError(
        f"{subject_of(reference)} gives no data set but {got}; it must give one with `__len__` "
        "and `__getitem__`, or a tuple of two: to train and validate on, and to test on"
    )


def _is_data_set(value: Any) -> bool:
    described = hasattr(value, "__len__") and hasattr(value, "__getitem__")
    return described and not isinstance(value, str | bytes | dict | tuple | ModuleType)


def _kind(value: Any) -> str:
    return "None" if value is None else f"`{type(value).__name__}`"


def _classes(reference: str, part: str, data: Any) -> tuple[str, ...] | None:
    whose = "its" if part == "train" else f"its {part} part's"
    with explained(subject_of(reference), f"{whose} `classes`"):
        given = getattr(data, "classes", None)
        classes = None if given is None else tuple(map(str, given))
    if classes is None:
        return None
    fewest = 2 if part == "train" else 1
    if not fewest <= len(classes) <= MAX_CLASSES or len(set(classes)) < len(classes):
        raise UnfitError(
            f"{subject_of(reference)}: {whose} `classes` must be {fewest} to {MAX_CLASSES:,} "
            f"names that differ, but there are {len(classes)}, {len(set(classes))} of them "
            "different"
        )
    return classes


def _renumbered(
    reference: str, test: LabelledImages, own: tuple[str, ...], classes: tuple[str, ...]
) -> LabelledImages:
    """The test part with labels that count in the training part's classes, by their names."""
    if not set(own) <= set(classes):
        raise UnfitError(
            f"{subject_of(reference)}: its test part has the `classes` {_listed(own)}, which are "
            f"not all among those of the train part, {_listed(classes)}: give both the same"
        )
    places = np.array([classes.index(name) for name in own], dtype=np.int64)
    return LabelledImages(test.images, places[test.labels])


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:_NUM_LISTED]) + (", …" if len(names) > _NUM_LISTED else "")


def _check_all_are_trained(
    reference: str, train: LabelledImages, classes: tuple[str, ...]
) -> None:
    """Refuse a class that nothing can be learned about."""
    there = np.isin(np.arange(len(classes)), train.labels)
    if there.all():
        return
    missing = tuple(name for name, is_there in zip(classes, there, strict=True) if not is_there)
    raise UnfitError(
        f"{subject_of(reference)}: no image of its train part has the class {_listed(missing)} "
        f"({len(missing)} of {len(classes)} classes have none): number labels from 0 on without "
        "gaps, and name in `classes` those that there are"
    )


def _flip(reference: str, data: Any) -> bool:
    with explained(subject_of(reference), "its `flip`"):
        return bool(getattr(data, "flip", False))


def _numbered(reference: str, train: LabelledImages) -> tuple[str, ...]:
    """Classes by number, as many as the training labels tell."""
    place = int(train.labels.argmax())
    highest = int(train.labels[place])
    if not 1 <= highest < MAX_CLASSES:
        raise UnfitError(
            f"{subject_of(reference)}: without `classes`, there are as many classes as the "
            f"highest label of the train part tells; that is {highest} (sample {place}), but must "
            f"lie in 1..{MAX_CLASSES - 1}"
        )
    return tuple(map(str, range(highest + 1)))
