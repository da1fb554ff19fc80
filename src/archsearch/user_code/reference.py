"""References to a user's code, `FILE.py:NAME` or `PACKAGE.MODULE:NAME`, and what they name."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from archsearch.errors import UsageError, nearest_names
from archsearch.user_code.raised import explained

FORMS = "FILE.py:NAME or PACKAGE.MODULE:NAME"


def is_path(module: str) -> bool:
    """Whether a reference's module is a file, not a module's name."""
    return module.endswith(".py") or "/" in module or "\\" in module


def check_reference(reference: str, purpose: str) -> None:
    """Refuse a reference whose form is wrong, or whose file or package is not there.

    Nothing of the user's is imported, so what a package has inside is known when it is.

    Args:
        reference: As the user gave it.
        purpose: What it should name, such as "data of your own".

    Raises:
        UsageError: It is refused.
    """
    module, _, attribute = reference.rpartition(":")
    if not module or not attribute.isidentifier():
        raise UsageError(f"`{reference}` names no {purpose}: give {FORMS}")
    if is_path(module):
        if not Path(module).is_file():
            raise UsageError(f"`{reference}`: there is no file {module}; give {FORMS}")
        return
    if not all(part.isidentifier() for part in module.split(".")):
        raise UsageError(f"`{reference}`: {module!r} is no module's name; give {FORMS}")
    with importable(Path.cwd()):
        try:
            found = importlib.util.find_spec(module.partition(".")[0])
        except ValueError:  # a module that was loaded without a specification
            return
    if found is None:
        raise _no_module(reference, module)


def load_named(reference: str, subject: str) -> Any:
    """Import what a reference names: only in a process of `call_in_process`.

    While it is used, its folder must be `importable`, as a script's is.

    Args:
        reference: One that `check_reference` lets through.
        subject: How a sentence about it begins.

    Raises:
        UsageError: There is no such module, or no such name in it.
        UnfitError: The module raises.
    """
    module, _, attribute = reference.rpartition(":")
    made = _imported(reference, module, subject)
    if not hasattr(made, attribute):
        known = [name for name in vars(made) if not name.startswith("_")]
        raise UsageError(
            f"`{reference}`: the module has no {attribute!r}: {nearest_names(attribute, known)}"
        )
    return getattr(made, attribute)


@contextlib.contextmanager
def importable(folder: Path) -> Iterator[None]:
    """Let a module import its neighbours, as a script can."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(str(folder))


def _imported(reference: str, module: str, subject: str) -> ModuleType:
    with explained(subject, f"{module} cannot be imported: it"):
        if not is_path(module):
            try:
                return importlib.import_module(module)
            except ModuleNotFoundError as error:
                if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                    raise
            # Raised after the handler: who reads a traceback wants the sentence alone.
        else:
            name = f"_users_{re.sub(r'[^A-Za-z0-9_]', '_', Path(module).stem)}"
            spec = importlib.util.spec_from_file_location(name, module)
            if spec is None or spec.loader is None:
                raise ImportError(f"{module} is no Python file")
            made = importlib.util.module_from_spec(spec)
            sys.modules[name] = made  # dataclasses look their module up
            spec.loader.exec_module(made)
            return made
    raise _no_module(reference, module)


def _no_module(reference: str, module: str) -> UsageError:
    return UsageError(
        f"`{reference}`: there is no module {module} here or among the installed ones; "
        f"give {FORMS}"
    )
