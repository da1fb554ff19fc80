"""Whether a registered model's files can be loaded without running whoever wrote them.

MLflow imports the module that a model's `MLmodel` file names, from the model's own `code` folder
if it has one, whatever it does with pickles. Models of this project are one `pt2` file, loaded by
MLflow's own module for torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from archsearch.errors import UnfitError
from archsearch.training.pt2_check import refuse_pickles

_FLAVORS = {
    "python_function": {"loader_module": "mlflow.pytorch", "data": "data"},
    "pytorch": {"model_data": "data"},
}
"""What the flavors of a model of ours say of how it is loaded."""

_FILES = {"model.pt2"}


def refuse_code(folder: Path, name: str) -> None:
    """Refuse a saved model that brings code, or that only unpickling would load.

    Args:
        folder: The model's files.
        name: Of the model, for the message.

    Raises:
        UnfitError: It does, or it is no model of the kind that this project registers.
    """
    problem = _problem(folder)
    if problem is not None:
        raise UnfitError(
            f"{name} is not loaded: {problem}. Models that pipeline.promote registers are one pt2 "
            "file without code; loading anything else could run code of whoever wrote it"
        )
    for path in _data_files(folder):
        refuse_pickles(f"{name}: {path.name}", path.read_bytes())


def _problem(folder: Path) -> str | None:
    links = [path.name for path in folder.rglob("*") if path.is_symlink()]
    if links:
        return f"{links[0]!r} is a link to a file elsewhere"
    try:
        told = yaml.safe_load((folder / "MLmodel").read_bytes())
        flavors: dict[str, dict[str, Any]] = dict(told["flavors"])
        others = sorted(set(flavors) - set(_FLAVORS))
        if others:
            return f"it has the flavor {others[0]!r}"
        for flavor, expected in _FLAVORS.items():
            settings = dict(flavors[flavor])
            if settings.get("code"):
                return f"it brings its own code in {settings['code']!r}"
            for key, value in expected.items():
                if settings.get(key) != value:
                    return f"its {key} is {settings.get(key)!r}, not {value!r}"
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        return f"its MLmodel file cannot be read ({type(error).__name__})"
    found = {path.name for path in _data_files(folder)}
    if found != _FILES:
        return f"its data are {', '.join(sorted(found)) or 'no files'}, not model.pt2"
    return None


def _data_files(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "data").rglob("*") if not path.is_dir())
