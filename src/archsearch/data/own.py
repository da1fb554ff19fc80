"""Data of one's own: a data set that a user's module makes, named as `FILE.py:NAME`.

The module is the user's, named by the user: it is imported and called in the process that starts
a search and nowhere else. Workers, and whoever looks at the search later, read the Arrow file
that it is converted to.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from archsearch.data.raw import LabelledImages, RawData
from archsearch.data.samples import SampleReader, users_code
from archsearch.data.sources import DataSet
from archsearch.errors import UnfitError, UsageError, nearest_names

FORMS = "FILE.py:NAME or PACKAGE.MODULE:NAME"
MAX_CLASSES = 100_000
_LONGEST_NAME = 26
"""With a space's name and a digest it must still make a search's name."""


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
    stem = Path(module).stem if _is_path(module) else module.rpartition(".")[2]
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", f"{stem}.{attribute}")
    return plain[:_LONGEST_NAME].strip(".-") or "own"


def check_reference(reference: str) -> None:
    """Refuse a reference whose form is wrong, or whose file or module is not there.

    Raises:
        UsageError: It is.
    """
    module, _, attribute = reference.rpartition(":")
    if not module or not attribute.isidentifier():
        raise UsageError(f"`{reference}` names no data of your own: give {FORMS}")
    if _is_path(module):
        if not Path(module).is_file():
            raise UsageError(f"`{reference}`: there is no file {module}; give {FORMS}")
        return
    if not all(part.isidentifier() for part in module.split(".")):
        raise UsageError(f"`{reference}`: {module!r} is no module's name; give {FORMS}")
    with _importable_from(Path.cwd()):
        try:
            found = importlib.util.find_spec(module)
        except ModuleNotFoundError:
            found = None
        except (Exception, SystemExit):  # its package is there, and fails: told when it is read
            return
    if found is None:
        raise UsageError(
            f"`{reference}`: there is no module {module} here or among the installed ones; "
            f"give {FORMS}"
        )


def read_own(reference: str) -> OwnData:
    """Import the module, make the data set, and read and check every sample of it.

    `NAME` is a data set as torch's `DataLoader` takes them (`__len__`, and `__getitem__` that
    gives an image and a label), a tuple of two of them (to train and validate on, and to test
    on), or a function without arguments that returns either. See `SampleReader` for what an image
    and a label may be. Two attributes of the first one are used if they are there: `classes`, the
    names of the labels in their order, and `flip`, whether a mirrored image keeps its label.

    Raises:
        UsageError: There is no such file, module or name in it.
        UnfitError: The user's code raises, what it gives is no data set, or a sample cannot be
            used; the sentence names the sample.
    """
    check_reference(reference)
    module, _, attribute = reference.rpartition(":")
    folder = Path(module).resolve().parent if _is_path(module) else Path.cwd()
    # What the user's code prints must not get between lines of JSON.
    with _importable_from(folder), contextlib.redirect_stdout(sys.stderr):
        parts = _parts(reference, _named(reference, _imported(reference, module), attribute))
        readers = [SampleReader(reference, part, data) for part, data in parts.items()]
        raw = [reader.read(readers[0].shape) for reader in readers]
        classes, flip = _classes(reference, parts["train"]), _flip(reference, parts["train"])
    if classes is None:
        classes = _numbered(reference, raw[0])
    for reader, read in zip(readers, raw, strict=True):
        reader.check_labels(read.labels, len(classes))
    described = DataSet(
        name=data_name(reference),
        shape=readers[0].shape,
        class_names=classes,
        flip=flip,
        read=_is_read_already,
    )
    return OwnData(described, RawData(raw[0], raw[1] if len(raw) > 1 else None))


def _is_read_already(_paths: object) -> RawData:
    raise AssertionError("data of one's own has no files of its own")


def _is_path(module: str) -> bool:
    return module.endswith(".py") or "/" in module or "\\" in module


@contextlib.contextmanager
def _importable_from(folder: Path) -> Iterator[None]:
    """Let a module import its neighbours, as a script can."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(str(folder))


def _imported(reference: str, module: str) -> ModuleType:
    with users_code(reference, f"{module} cannot be imported: it"):
        if not _is_path(module):
            return importlib.import_module(module)
        name = f"_own_data_{re.sub(r'[^A-Za-z0-9_]', '_', Path(module).stem)}"
        spec = importlib.util.spec_from_file_location(name, module)
        if spec is None or spec.loader is None:
            raise ImportError(f"{module} is no Python file")
        made = importlib.util.module_from_spec(spec)
        sys.modules[name] = made  # dataclasses look their module up
        spec.loader.exec_module(made)
        return made


def _named(reference: str, module: ModuleType, attribute: str) -> Any:
    if not hasattr(module, attribute):
        known = [name for name in vars(module) if not name.startswith("_")]
        raise UsageError(
            f"`{reference}`: the module has no {attribute!r}: {nearest_names(attribute, known)}"
        )
    named = getattr(module, attribute)
    if _is_data_set(named) and not isinstance(named, type):
        return named
    if not callable(named):
        return named
    with users_code(reference, f"{attribute}()"):
        return named()


def _parts(reference: str, made: Any) -> dict[str, Any]:
    """The training part, and the test part where there is one."""
    parts = made if isinstance(made, tuple) else (made,)
    if len(parts) in (1, 2) and all(map(_is_data_set, parts)):
        return dict(zip(("train", "test"), parts, strict=False))
    got = f"a tuple of {', '.join(map(_kind, made))}" if isinstance(made, tuple) else _kind(made)
    raise UnfitError(
        f"--data {reference} gives no data set but {got}; it must give one with `__len__` and "
        "`__getitem__`, or a tuple of two: to train and validate on, and to test on"
    )


def _is_data_set(value: Any) -> bool:
    described = hasattr(value, "__len__") and hasattr(value, "__getitem__")
    return described and not isinstance(value, str | bytes | dict | tuple | ModuleType)


def _kind(value: Any) -> str:
    return "None" if value is None else f"`{type(value).__name__}`"


def _classes(reference: str, data: Any) -> tuple[str, ...] | None:
    with users_code(reference, "its `classes`"):
        given = getattr(data, "classes", None)
        classes = None if given is None else tuple(map(str, given))
    if classes is None:
        return None
    if not 2 <= len(classes) <= MAX_CLASSES or len(set(classes)) < len(classes):
        raise UnfitError(
            f"--data {reference}: its `classes` must be 2 to {MAX_CLASSES:,} names that differ, "
            f"but there are {len(classes)}, {len(set(classes))} of them different"
        )
    return classes


def _flip(reference: str, data: Any) -> bool:
    with users_code(reference, "its `flip`"):
        return bool(getattr(data, "flip", False))


def _numbered(reference: str, train: LabelledImages) -> tuple[str, ...]:
    """Classes by number, as many as the training labels tell."""
    place = int(train.labels.argmax())
    highest = int(train.labels[place])
    if not 1 <= highest < MAX_CLASSES:
        raise UnfitError(
            f"--data {reference}: without `classes`, there are as many classes as the highest "
            f"label of the train part tells; that is {highest} (sample {place}), but must lie in "
            f"1..{MAX_CLASSES - 1}"
        )
    return tuple(map(str, range(highest + 1)))
