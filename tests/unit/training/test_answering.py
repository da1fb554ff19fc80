"""Models that answer images: files and networks alike, and files that are refused."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from archsearch.errors import UnfitError
from archsearch.schema import InputSpec
from archsearch.spaces.catalogue import parse_name
from archsearch.training.answering import Answering, of_exportable, of_file, top_classes
from archsearch.training.export import export
from archsearch.training.exportable import Exportable, fresh_model
from archsearch.training.model_files import Format

SMALL = InputSpec(in_channels=3, image_size=8, num_classes=4)


@pytest.fixture(scope="module")
def model() -> Exportable:
    return fresh_model(parse_name("WRN-7-2-l=1"), SMALL, seed=3)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (5, 3, 8, 8), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("batch_size", [None, 1, 3])
@pytest.mark.parametrize("format", ["onnx", "pt2"])
def test_a_file_answers_as_its_network_whatever_its_batch(
    tmp_path: Path,
    model: Exportable,
    images: torch.Tensor,
    format: Format,
    batch_size: int | None,
) -> None:
    path = tmp_path / f"model.{format}"
    export(model, path, format, batch_size=batch_size)
    found = of_file(path)
    assert found.name == model.spec.name
    assert found.class_names == model.class_names
    assert found.input_spec == SMALL
    assert found.batch_size == batch_size
    expected = of_exportable(model, "here").probabilities(images)
    torch.testing.assert_close(found.probabilities(images), expected, atol=1e-4, rtol=0)


def answering(logits: list[list[float]], *, multi_label: bool = False) -> Answering:
    return Answering(
        name="x",
        origin="here",
        class_names=("cat", "dog", "bird"),
        input_spec=InputSpec(in_channels=1, image_size=1, num_classes=3),
        multi_label=multi_label,
        answer=lambda images: torch.tensor(logits)[: len(images)],
    )


def test_the_most_likely_classes_come_first() -> None:
    images = torch.zeros(1, 1, 1, 1, dtype=torch.uint8)
    ((first, second),) = top_classes(answering([[0.0, 2.0, 1.0]]), images, 2)
    assert (first.class_name, first.label, second.class_name) == ("dog", 1, "bird")
    # e^2 / (1 + e^2 + e)
    assert first.probability == pytest.approx(0.6652, abs=1e-4)
    (all_of_them,) = top_classes(answering([[0.0, 2.0, 1.0]]), images, 9)
    assert sum(guess.probability for guess in all_of_them) == pytest.approx(1)


def test_classes_that_are_questions_of_their_own_do_not_share_a_probability() -> None:
    images = torch.zeros(1, 1, 1, 1, dtype=torch.uint8)
    (guesses,) = top_classes(answering([[0.0, 3.0, 3.0]], multi_label=True), images, 3)
    assert [g.probability for g in guesses] == pytest.approx([0.9526, 0.9526, 0.5], abs=1e-4)


class Nasty:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("unpickled",))


@pytest.mark.parametrize("place", ["weights", "sample inputs"])
def test_a_file_that_could_run_code_is_not_loaded(
    tmp_path: Path, model: Exportable, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    path, nasty = tmp_path / "model.pt2", tmp_path / "nasty.pt2"
    export(model, path, "pt2")
    buffer = io.BytesIO()
    torch.save(Nasty(), buffer, pickle_module=pickle)
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(nasty, "w") as changed:
        (sample,) = [n for n in whole.namelist() if "sample_inputs" in n and n.endswith(".pt")]
        for name in whole.namelist():
            content = whole.read(name)
            if place == "weights" and name.endswith("weights_config.json"):
                content = content.replace(b'"use_pickle": false', b'"use_pickle": true', 1)
                content = content.replace(b'"use_pickle":false', b'"use_pickle":true', 1)
            if place == "sample inputs" and name == sample:
                content = buffer.getvalue()
            changed.writestr(name, content)
    with pytest.raises(UnfitError, match="could run code"):
        of_file(nasty)
    assert "unpickled" not in capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_a_file_that_is_no_model_is_refused_by_name(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(b"no model")
    with pytest.raises(UnfitError, match=f"model{suffix}: "):
        of_file(path)


def test_a_cut_file_is_refused(tmp_path: Path, model: Exportable) -> None:
    formats: tuple[Format, ...] = ("onnx", "pt2")
    for format in formats:
        path = tmp_path / f"model.{format}"
        export(model, path, format)
        path.write_bytes(path.read_bytes()[:-1000])
        with pytest.raises(UnfitError):
            of_file(path)
