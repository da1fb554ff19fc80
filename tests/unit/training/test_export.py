"""A file is written only when a stranger who loads it gets the network's own logits."""

from __future__ import annotations

import dataclasses
import importlib
import json
from pathlib import Path

import onnx
import pytest
import torch

from archsearch.data import PreparedData
from archsearch.errors import UnfitError
from archsearch.models import build_model
from archsearch.schema import InputSpec
from archsearch.spaces.catalogue import CIFAR_INPUT, parse_name
from archsearch.training import export as export_module
from archsearch.training import model_files
from archsearch.training.export import TOLERANCE, ParityError, export
from archsearch.training.exportable import (
    Exportable,
    fresh_model,
    noise,
    settle_statistics,
    trained_model,
)
from archsearch.training.model_files import METADATA_FILE, Format, read_metadata
from archsearch.training.standalone import StandaloneModel

SMALL = InputSpec(in_channels=2, image_size=8, num_classes=3)
FORMATS: tuple[Format, ...] = ("onnx", "pt2")
FAMILIES = ("ResNet-6-(1x8,1x16)-cifar", "WRN-7-2-l=1", "ResNeXt-8-(1x16:2x4d,1x32:4x4d)-cifar")
DENSENET = "DenseNet-BC-9-4-(2,1)-dropout0.2-efficient-cifar"


def small(name: str) -> Exportable:
    return fresh_model(parse_name(name), SMALL, seed=3)


def logits_of(model: Exportable, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = StandaloneModel(model.network, model.mean, model.std)(images)
    return logits


@pytest.mark.parametrize("name", [*FAMILIES, DENSENET])
def test_onnx_answers_any_number_of_images_as_the_network_does(tmp_path: Path, name: str) -> None:
    model = small(name)
    told = export(model, tmp_path / "model.onnx", "onnx")
    session = importlib.import_module("onnxruntime").InferenceSession(told.path)
    assert [i.name for i in session.get_inputs()] == ["images"]
    assert [o.name for o in session.get_outputs()] == ["logits"]
    for number in (1, 5):
        images = torch.rand(number, 2, 8, 8)
        (answer,) = session.run(None, {"images": images.numpy()})
        torch.testing.assert_close(
            torch.from_numpy(answer), logits_of(model, images), atol=TOLERANCE, rtol=0
        )
    assert told.difference <= TOLERANCE
    assert told.num_bytes == told.path.stat().st_size


@pytest.mark.parametrize("name", [*FAMILIES, DENSENET])
def test_pt2_answers_any_number_of_images_as_the_network_does(tmp_path: Path, name: str) -> None:
    model = small(name)
    told = export(model, tmp_path / "model.pt2", "pt2")
    loaded = torch.export.load(told.path).module()
    for number in (1, 5):
        images = torch.rand(number, 2, 8, 8)
        torch.testing.assert_close(
            loaded(images), logits_of(model, images), atol=TOLERANCE, rtol=0
        )


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
def test_a_network_for_fine_tuning_is_exported_too(tmp_path: Path, format: Format) -> None:
    input_spec = InputSpec(in_channels=1, image_size=32, num_classes=3)
    model = fresh_model(parse_name("torchvision-resnet18-mlp16"), input_spec, seed=0)
    assert export(model, tmp_path / "model", format).difference <= TOLERANCE


def test_a_fixed_batch_takes_just_that(tmp_path: Path) -> None:
    told = export(small("ResNet-8"), tmp_path / "model.pt2", "pt2", batch_size=3)
    loaded = torch.export.load(told.path).module()
    assert loaded(torch.rand(3, 2, 8, 8)).shape == (3, 3)
    with pytest.raises(AssertionError):
        loaded(torch.rand(2, 2, 8, 8))


def test_a_fixed_batch_may_be_larger_than_what_there_is_to_compare_on(tmp_path: Path) -> None:
    told = export(small("ResNet-8"), tmp_path / "model.pt2", "pt2", batch_size=70)
    assert told.num_compared == 70


def test_metadata_says_labels_normalisation_and_origin(
    tmp_path: Path, digits: PreparedData
) -> None:
    spec = parse_name("ResNet-8")
    network = build_model(spec, digits.input_spec).eval()
    model = trained_model(spec, network, digits, {"trial": 7, "val_accuracy": None})
    proto = onnx.load(export(model, tmp_path / "model.onnx", "onnx").path)
    told = {p.key: p.value for p in proto.metadata_props}
    assert json.loads(told["class_names"]) == list(digits.class_names)
    assert json.loads(told["mean"]) == list(digits.mean)
    assert json.loads(told["std"]) == list(digits.std)
    assert told["normalisation"].startswith("inside the model")
    assert (told["name"], told["data"], told["trial"]) == ("ResNet-8", "digits", "7")
    assert "val_accuracy" not in told
    assert "0..1" in told["input"]
    assert "ResNet-8" in proto.doc_string
    batch, *rest = proto.graph.input[0].type.tensor_type.shape.dim
    assert batch.dim_param
    assert [side.dim_value for side in rest] == [1, 8, 8]


def test_pt2_holds_the_same_metadata_as_an_extra_file(tmp_path: Path) -> None:
    model = small("ResNet-8")
    path = export(model, tmp_path / "model.pt2", "pt2").path
    extra = {METADATA_FILE: ""}
    torch.export.load(path, extra_files=extra)
    assert json.loads(extra[METADATA_FILE]) == model.metadata()
    assert read_metadata("pt2", path.read_bytes()) == model.metadata()


def test_what_answers_otherwise_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.pt2"
    path.write_bytes(b"what was there before")
    other = model_files.encode(
        "pt2",
        StandaloneModel(fresh_model(parse_name("ResNet-8"), SMALL, seed=4).network, (0, 0), (1, 1))
        .eval()
        .requires_grad_(False),
        torch.rand(2, 2, 8, 8),
        {},
        any_batch=True,
    )
    monkeypatch.setattr(export_module, "encode", lambda *_, **__: other)
    with pytest.raises(ParityError, match=r"more than 0\.0001 .*is not written") as refused:
        export(small("ResNet-8"), path, "pt2")
    assert refused.value.exit_code == 1
    assert path.read_bytes() == b"what was there before"
    assert list(tmp_path.iterdir()) == [path]


def test_untrained_weights_may_differ_by_what_rounding_does_to_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small("ResNet-8")
    monkeypatch.setattr(export_module, "TOLERANCE", 0.0)
    monkeypatch.setattr(export_module, "_rounding", lambda *_: 1e-3)
    told = export(model, tmp_path / "model.onnx", "onnx")
    assert 0 < told.difference <= told.limit == 2e-3
    trained = dataclasses.replace(model, is_untrained=False)
    with pytest.raises(ParityError, match="more than 0 "):
        export(trained, tmp_path / "trained.onnx", "onnx")


def test_rounding_is_measured_against_float64() -> None:
    model = small("ResNet-8")
    standalone = StandaloneModel(model.network, model.mean, model.std)
    images = torch.rand(4, 2, 8, 8)
    with torch.no_grad():
        rounding = export_module._rounding(standalone, images, standalone(images))
        assert 0 < rounding < 1e-5
        shifted = export_module._rounding(standalone, images, standalone(images) + 1)
    assert shifted == pytest.approx(1, abs=1e-4)
    assert next(standalone.parameters()).dtype is torch.float32


def test_logits_that_are_not_finite_are_not_let_through(tmp_path: Path) -> None:
    model = small("ResNet-8")
    for parameter in model.network.parameters():
        parameter.data.fill_(float("nan"))
    with pytest.raises(ParityError, match="nan"):
        export(model, tmp_path / "model.pt2", "pt2")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_told_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(export_module, "encode", None)
    with pytest.raises(UnfitError, match="cannot be made"):
        export(small("ResNet-8"), tmp_path / "file" / "model.pt2", "pt2")


def test_more_than_onnx_can_hold_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_module, "_MOST_ONNX_BYTES", 1000)
    with pytest.raises(UnfitError, match="--format pt2"):
        export(small("ResNet-8"), tmp_path / "model.onnx", "onnx")


def test_a_seed_makes_the_weights_and_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    images = torch.rand(2, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    one, same = small("WRN-7-2-l=1"), small("WRN-7-2-l=1")
    other = fresh_model(parse_name("WRN-7-2-l=1"), SMALL, seed=5)
    assert torch.equal(logits_of(one, images), logits_of(same, images))
    assert not torch.equal(logits_of(one, images), logits_of(other, images))
    assert torch.equal(torch.get_rng_state(), before)


def test_fresh_weights_are_those_of_the_seed() -> None:
    torch.manual_seed(3)
    built = dict(build_model(parse_name("WRN-7-2-l=1"), SMALL).named_parameters())
    for name, parameter in small("WRN-7-2-l=1").network.named_parameters():
        assert torch.equal(parameter, built[name])


def test_settled_statistics_keep_a_deep_network_s_logits_small() -> None:
    spec, images = parse_name("ResNet-110"), noise(CIFAR_INPUT)[:8]
    torch.manual_seed(0)
    network = build_model(spec, CIFAR_INPUT).eval()
    with torch.no_grad():
        assert network(images).abs().max() > 1e6
        settle_statistics(network, images)
        assert network.eval()(images).abs().max() < 10
    assert {norm.momentum for norm in network.modules() if hasattr(norm, "momentum")} == {0.1}


def test_images_of_a_data_file_that_is_gone_are_noise(digits: PreparedData) -> None:
    spec = parse_name("ResNet-8")
    network = build_model(spec, digits.input_spec).eval()
    moved = digits.model_copy(update={"path": "/gone.arrow"})
    assert trained_model(spec, network, digits, {}).compared_on == "validation images"
    model = trained_model(spec, network, moved, {})
    assert model.compared_on == "images of noise"
    assert model.images.shape[1:] == (1, 8, 8)
