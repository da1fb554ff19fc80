"""A registered model that somebody tampered with is refused before anything of it is imported."""

from __future__ import annotations

import os
import pickle
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from archsearch.errors import UnfitError
from archsearch.registry.foreign_model import refuse_code
from archsearch.registry.package import Package
from archsearch.tracking.mlflow_import import configure

MLMODEL = {
    "flavors": {
        "python_function": {
            "config": {"device": None},
            "data": "data",
            "loader_module": "mlflow.pytorch",
            "pickle_module_name": "mlflow.pytorch.pickle_module",
        },
        "pytorch": {"code": None, "model_data": "data", "pytorch_version": str(torch.__version__)},
    },
    "model_uuid": "m-0",
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pt2") / "model.pt2"
    program = torch.export.export(torch.nn.Linear(2, 2).eval(), (torch.zeros(3, 2),))
    torch.export.save(program, path)
    return path


@pytest.fixture
def model(tmp_path: Path, exported: Path) -> Path:
    """A model as `pipeline.promote` registers one."""
    folder = tmp_path / "model"
    (folder / "data").mkdir(parents=True)
    shutil.copy(exported, folder / "data" / "model.pt2")
    (folder / "MLmodel").write_text(yaml.safe_dump(MLMODEL))
    return folder


def edit(folder: Path, flavor: str, **changes: object) -> None:
    told = yaml.safe_load((folder / "MLmodel").read_text())
    told["flavors"].setdefault(flavor, {}).update(changes)
    (folder / "MLmodel").write_text(yaml.safe_dump(told))


def bring_code(folder: Path) -> None:
    (folder / "code").mkdir()
    (folder / "code" / "helpful.py").write_text(
        f"import pathlib\npathlib.Path({str(folder / 'RAN')!r}).touch()\n"
        "class Model:\n    def predict(self, images): return images\n"
        "def _load_pyfunc(path, config=None): return Model()\n"
    )
    edit(folder, "python_function", code="code", loader_module="helpful")


def bring_code_of_the_other_flavor(folder: Path) -> None:
    bring_code(folder)
    edit(folder, "python_function", code=None, loader_module="mlflow.pytorch")
    edit(folder, "pytorch", code="code")


def name_another_loader(folder: Path) -> None:
    edit(folder, "python_function", loader_module="mlflow.pyfunc.model")


def leave_the_folder(folder: Path) -> None:
    edit(folder, "python_function", data="../elsewhere")


def pickle_the_model(folder: Path) -> None:
    (folder / "data" / "model.pt2").unlink()
    (folder / "data" / "model.pth").write_bytes(pickle.dumps([]))


def pickle_in_the_archive(folder: Path) -> None:
    with zipfile.ZipFile(folder / "data" / "model.pt2", "a") as archive:
        archive.writestr("model/data/constants/evil.pt", pickle.dumps(print))


def link_elsewhere(folder: Path) -> None:
    target = folder.parent / "elsewhere.pt2"
    (folder / "data" / "model.pt2").rename(target)
    (folder / "data" / "model.pt2").symlink_to(target)


def name_another_module_for_pickles(folder: Path) -> None:
    (folder / "data" / "pickle_module_info.txt").write_text("helpful")


def add_a_flavor(folder: Path) -> None:
    edit(folder, "sklearn", pickled_model="model.pkl")


def spoil(folder: Path) -> None:
    (folder / "MLmodel").write_text("!!python/object/apply:os.system ['true']")


def test_a_model_of_ours_is_loaded(model: Path) -> None:
    refuse_code(model, "the model")
    assert Package(model).answer_numbers(torch.zeros(3, 2)).shape == (3, 2)


@pytest.mark.parametrize(
    ("tamper", "told"),
    [
        (bring_code, "brings its own code"),
        (bring_code_of_the_other_flavor, "brings its own code"),
        (name_another_loader, "loader_module"),
        (leave_the_folder, "elsewhere"),
        (pickle_the_model, r"model\.pth"),
        (pickle_in_the_archive, r"evil\.pt"),
        (link_elsewhere, "link"),
        (name_another_module_for_pickles, "pickle_module_info"),
        (add_a_flavor, "sklearn"),
        (spoil, "cannot be read"),
    ],
)
def test_a_tampered_model_is_refused_and_none_of_its_code_runs(
    tamper: Callable[[Path], None], told: str, model: Path
) -> None:
    tamper(model)
    with pytest.raises(UnfitError, match=told):
        Package(model)
    assert not (model / "RAN").exists()
    assert "helpful" not in sys.modules


def test_mlflow_itself_would_have_run_the_code(model: Path) -> None:
    """Else the refusal above would guard nothing."""
    import mlflow.pyfunc

    configure(5)
    bring_code(model)
    path = list(sys.path)
    try:
        mlflow.pyfunc.load_model(str(model))
    finally:
        sys.path[:] = path
        sys.modules.pop("helpful", None)
    assert (model / "RAN").exists()


def test_pickles_stay_refused_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true")
    configure(5)
    assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
