"""No code of the project runs what it reads: pickles, archives' paths, shells, text as code.

Ruff's S rules see some of these calls; this reads the syntax of every file for the rest, and for
torch's and MLflow's own loaders.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path.relative_to(ROOT)
    for folder in ("src", "pipeline", "docs", "benchmarks", "docker", ".ci")
    for path in (ROOT / folder).rglob("*.py")
)

UNPICKLERS = frozenset(
    {"cloudpickle", "dill", "jsonpickle", "joblib", "marshal", "pandas.read_pickle", "shelve"}
)
ALLOWED = {
    ("src/archsearch/engine/running_trials.py", "pickle.loads"): (
        "Tune wrote it in this process, into a folder of this user alone"
    ),
    ("src/archsearch/training/model_files.py", "torch.export.load"): (
        "bytes that this process has exported, or that `refuse_pickles` has let through"
    ),
    ("src/archsearch/registry/registered_model.py", "mlflow.pytorch.load_model"): (
        "with MLflow's own refusal of pickles switched on"
    ),
    ("src/archsearch/registry/package.py", "mlflow.pyfunc.load_model"): (
        "a model that this process has just logged"
    ),
}
"""Calls that would be unsafe with foreign bytes, and why these are not."""


def dotted(node: ast.expr, names: dict[str, str]) -> str:
    """A called name in full, through the file's imports; empty for other expressions."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        before = dotted(node.value, names)
        return f"{before}.{node.attr}" if before else f"?.{node.attr}"
    return ""


def imported(tree: ast.AST) -> dict[str, str]:
    """What the names that a file imports stand for."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                names[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def unsafe_calls(source: str) -> Iterator[str]:
    """Names of calls that could run or place what they read."""
    tree = ast.parse(source)
    names = imported(tree)
    yield from (module for module in names.values() if module.partition(".")[0] in UNPICKLERS)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func, names)
        last = name.rpartition(".")[2]
        given = {k.arg: k.value for k in node.keywords}
        constants = {k: v.value for k, v in given.items() if isinstance(v, ast.Constant)}
        unsafe = (
            name in ("eval", "exec", "compile", "os.system", "os.popen", "pandas.read_pickle")
            or (name.startswith("pickle.") and last in ("load", "loads", "Unpickler"))
            or (name in ("torch.load", "torch.hub.load_state_dict_from_url")
            and constants.get("weights_only") is not True)
            or name in ("torch.hub.load", "torch.jit.load", "torch.export.load")
            or name in ("yaml.unsafe_load", "yaml.full_load")
            or (name == "yaml.load" and "Loader" not in given)
            or (name.startswith("mlflow.") and last.startswith("load_model"))
            or constants.get("allow_pickle") is True
            or constants.get("shell") is True
            or last in ("extractall", "unpack_archive")
            or (last == "extract" and "member" not in given and "zip" in name.lower())
        )  # fmt: skip
        if unsafe:
            yield name


@pytest.mark.parametrize(
    "source",
    [
        "import torch\ntorch.load(path)",
        "import torch\ntorch.load(path, weights_only=False)",
        "import torch\ntorch.load(path, weights_only=flag)",
        "from torch import load as get\nget(path)",
        "import torch.export\ntorch.export.load(path)",
        "import pickle as p\np.loads(data)",
        "from pickle import Unpickler\nUnpickler(file).load()",
        "import joblib",
        "from dill import loads",
        "import numpy as np\nnp.load(path, allow_pickle=True)",
        "import yaml\nyaml.load(text)",
        "import yaml\nyaml.unsafe_load(text)",
        "import mlflow\nmlflow.pyfunc.load_model(uri)",
        "eval(text)",
        "import subprocess\nsubprocess.run(text, shell=True)",
        "import tarfile\ntarfile.open(path).extractall(folder)",
        "import shutil\nshutil.unpack_archive(path, folder)",
    ],
)
def test_unsafe_calls_are_seen(source: str) -> None:
    assert list(unsafe_calls(source))


@pytest.mark.parametrize(
    "source",
    [
        "import torch\ntorch.load(path, weights_only=True)",
        "import json\njson.loads(text)",
        "import yaml\nyaml.safe_load(text)",
        "import yaml\nyaml.load(text, Loader=OurSafeLoader)",
        "model.eval()",
        "import re\nre.compile(text)",
    ],
)
def test_safe_calls_are_not(source: str) -> None:
    assert not list(unsafe_calls(source))


def test_the_project_has_no_unsafe_call_but_the_known_ones() -> None:
    assert len(FILES) > 150
    found = {
        (path.as_posix(), name)
        for path in FILES
        for name in unsafe_calls((ROOT / path).read_text(encoding="utf-8"))
    }
    assert found == set(ALLOWED)
