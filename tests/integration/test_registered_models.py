"""A champion in use: predicted with, exported, served over HTTP; always what the trial answers."""

from __future__ import annotations

import contextlib
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from archsearch.data import DataSpec, PreparedData, load_test, normalise, prepare
from archsearch.errors import UnfitError
from archsearch.registry.registered_model import registered_exportable
from archsearch.tracking.client import open_client
from archsearch.tracking.store import TrackingStore
from archsearch.training.standalone import StandaloneModel
from tests.promotion_support import Trained, promote, trained_search
from tests.servers import answering
from tests.tracking_support import call

pytestmark = pytest.mark.filterwarnings("default", "ignore:The ``noload`` loader")

MODEL = "used"
CHAMPION = f"models:/{MODEL}@champion"


@pytest.fixture(scope="module")
def data(data_cache: Path) -> PreparedData:
    return prepare(DataSpec(name="digits"), cache_dir=data_cache)


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, data: PreparedData, store: TrackingStore
) -> Iterator[Trained]:
    """A search whose best model is the champion."""
    with trained_search(tmp_path_factory.mktemp("used"), data, "used") as search:
        assert promote(search, store, MODEL, "chance=none").is_promoted
        yield search


def logits_of(trained: Trained, data: PreparedData, count: int) -> torch.Tensor:
    """What the trial's own network answers to the first test images."""
    images = load_test(data).images[:count]
    with torch.inference_mode():
        answers: torch.Tensor = trained.training.averaged_model(
            normalise(images, data.mean, data.std)
        )
    return answers


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, data: PreparedData) -> list[str]:
    """The first three test images as files."""
    folder = tmp_path_factory.mktemp("images")
    paths = [folder / f"{place}.png" for place in range(3)]
    for path, image in zip(paths, load_test(data).images, strict=False):
        Image.fromarray(image[0].numpy()).save(path)
    return [str(path) for path in paths]


def test_predictions_for_files_are_the_trial_s_for_the_images(
    trained: Trained,
    store: TrackingStore,
    data: PreparedData,
    files: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    where = [f"--tracking-uri={store.uri}", f"--runs-dir={trained.runs.root}"]
    exported = tmp_path / "model.onnx"
    export = ["--format=onnx", f"--output={exported}", "--dynamic-batch"]
    assert call("pipeline.export", CHAMPION, *export, *where) == 0
    assert "used version 1" in capsys.readouterr().out
    expected = logits_of(trained, data, 3).softmax(1)
    for model in (CHAMPION, f"models:/{MODEL}/1", "used", "used/1", str(exported)):
        assert call("pipeline.predict", model, *files, *where, "--json") == 0
        told = json.loads(capsys.readouterr().out)
        assert told["input_shape"] == [1, 8, 8]
        assert [image["file"] for image in told["images"]] == files
        for image, probabilities in zip(told["images"], expected, strict=True):
            assert len(image["top"]) == 5
            found = [guess["probability"] for guess in image["top"]]
            assert found == sorted(found, reverse=True)
            for guess in image["top"]:
                assert data.class_names[guess["label"]] == guess["class_name"]
                wanted = float(probabilities[guess["label"]])
                assert guess["probability"] == pytest.approx(wanted, abs=1e-4)


def test_files_that_are_no_images_are_named_and_the_others_answered(
    trained: Trained,
    files: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_text("no image")
    where = f"--runs-dir={trained.runs.root}"
    assert call("pipeline.predict", "used", str(bad), files[0], "missing.png", where) == 3
    printed = capsys.readouterr()
    assert f"error: {bad}: it is no image" in printed.err
    assert "missing.png: there is no such file" in printed.err
    assert files[0] in printed.out
    assert call("pipeline.predict", "WRN-10-1", files[0], where) == 2
    assert "has learnt nothing yet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "code", "complaint"),
    [
        ("models:/used", 2, "give models:/NAME@ALIAS"),
        ("models:/used@chmpion", 2, "its aliases: champion (version 1)"),
        ("models:/used/7", 2, "no version or alias '7'"),
        ("models:/unused@champion", 2, "its aliases: none"),
        ("missing.onnx", 2, "there is no such file"),
    ],
)
def test_a_model_that_is_not_there_is_told(
    trained: Trained,
    store: TrackingStore,
    files: list[str],
    capsys: pytest.CaptureFixture[str],
    model: str,
    code: int,
    complaint: str,
) -> None:
    where = [f"--tracking-uri={store.uri}", f"--runs-dir={trained.runs.root}"]
    assert call("pipeline.predict", model, files[0], *where) == code
    assert complaint in capsys.readouterr().err


def test_the_network_comes_back_from_the_registry_with_its_normalisation(
    trained: Trained, store: TrackingStore, data: PreparedData
) -> None:
    exportable, stem = registered_exportable(store, CHAMPION)
    assert stem == "used-v1"
    assert exportable.class_names == data.class_names
    assert exportable.mean == pytest.approx(data.mean)
    assert exportable.facts["data_digest"] == data.digest
    model = StandaloneModel(exportable.network, exportable.mean, exportable.std).eval()
    with torch.inference_mode():
        answers = model(load_test(data).images[:20].float() / 255)
    torch.testing.assert_close(answers, logits_of(trained, data, 20), atol=1e-4, rtol=0)


def test_a_model_that_does_not_say_what_it_is_cannot_be_exported(
    trained: Trained, store: TrackingStore, tmp_path: Path
) -> None:
    client = open_client(store)
    source = client.get_model_version(MODEL, "1").source
    card = Path(str(source).removeprefix("file://")) / "MLmodel"
    whole = card.read_text()
    card.write_text(whole.replace("architecture:", "anything:"))
    try:
        with pytest.raises(UnfitError, match="does not say which network it is"):
            registered_exportable(store, CHAMPION)
    finally:
        card.write_text(whole)


def served(uri: str, store: TrackingStore, log: Path) -> contextlib.AbstractContextManager[str]:
    """`mlflow models serve` on a free port; its address."""
    command = ["-m", "mlflow", "models", "serve", "-m", uri, "--env-manager", "local"]
    return answering([sys.executable, *command], "/ping", log, MLFLOW_TRACKING_URI=store.uri)


def ask(address: str, question: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        f"{address}/invocations",
        json.dumps(question).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


@pytest.mark.slow
def test_a_server_answers_images_as_json_with_the_trial_s_logits(
    trained: Trained, store: TrackingStore, data: PreparedData, tmp_path: Path
) -> None:
    images = (load_test(data).images[:7].float() / 255).tolist()
    expected = logits_of(trained, data, 7).numpy()
    with served(CHAMPION, store, tmp_path / "log") as address:
        for question in ({"inputs": images}, {"instances": images}, {"inputs": images[:1]}):
            answers = np.array(ask(address, question)["predictions"])
            assert np.abs(answers - expected[: len(answers)]).max() <= 1e-4
        with pytest.raises(urllib.error.HTTPError) as caught:
            ask(address, {"inputs": [[1, 2], [3, 4]]})
        with caught.value as answer:
            assert answer.code == 400
