"""`pipeline.train` and `pipeline.export` as their user meets them: lines, files, exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from archsearch.data import DataSpec, PreparedData, load_resident, prepare
from archsearch.record.trial import EpochRecord, Outcome
from archsearch.record.writer import Ending
from archsearch.spaces.recipe import Recipe
from archsearch.training.checkpoint_file import (
    CheckpointHeader,
    checkpoint_name,
    write_checkpoint,
)
from archsearch.training.loop import Training
from archsearch.training.predict import predict
from archsearch.training.single import checked_config
from archsearch.training.single_folder import read_training
from tests.records import issued
from tests.tracking_support import SETTINGS, Recorded, call, new_record

NAME = "WRN-7-2-l=1"
SMALL = DataSpec(name="digits", train_size=70)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that commands are called in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Any:
    """Calls a command: its exit code, the lines that it printed, its complaints."""

    def run(module: str, *arguments: str) -> tuple[int, list[str], str]:
        code = call(module, *arguments)
        printed = capsys.readouterr()
        return code, printed.out.splitlines(), printed.err

    return run


def train(told: Any, *arguments: str) -> tuple[int, list[str], str]:
    small = ("--train-size", "70", "--batch-size", "32")
    answer: tuple[int, list[str], str] = told("pipeline.train", NAME, *small, *arguments)
    return answer


def test_training_prints_a_line_an_epoch_and_where_the_checkpoint_is(
    here: Path, told: Any
) -> None:
    code, lines, complaints = train(told, "--epochs", "2")
    assert (code, complaints) == (0, "")
    assert [line.split()[1] for line in lines[:2]] == ["1/2", "2/2"]
    assert all("validation accuracy" in line for line in (*lines[:2], lines[3]))
    (folder,) = (here / "runs" / "single").iterdir()
    shown = next(line.split()[-1] for line in lines if "checkpoint" in line)
    assert (here / shown).resolve() == folder / "e0002-a1.ckpt"

    code, again, _ = train(told, "--epochs", "2")
    assert (code, again) == (0, lines[2:])

    code, events, _ = train(told, "--epochs", "1", "--json")
    assert [json.loads(line)["event"] for line in events] == ["epoch", "trained"]
    assert len(list((here / "runs" / "single").iterdir())) == 2


def test_training_that_is_interrupted_says_how_to_go_on(
    here: Path, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os._exit", lambda code: (_ for _ in ()).throw(SystemExit(code)))
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.train._tell_line", lambda epochs: interrupt)
        code, _, complaints = train(told, "--epochs", "2", "--out", "mine")
    assert code == 130
    assert "the same command continues" in complaints
    code, lines, complaints = train(told, "--epochs", "2", "--out", "mine")
    assert code == 0
    assert "continues after epoch 1 of 2" in complaints
    assert lines[0].startswith("epoch 2/2")


def interrupt(result: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["WRN-28-01x"], 2, "did you mean"),
        (["ResNet-50"], 2, "`image_size >= 32` must hold"),
        ([NAME, "--data", "digit"], 2, "did you mean digits?"),
        ([NAME, "--batch-size", "0", "--learning-rate", "-1"], 2, "--learning-rate -1.0"),
        ([NAME, "--data", "cifar10", "--data-dir", "nowhere"], 3, "does not exist"),
        ([NAME, "--device", "warp"], 2, "--device 'warp': give cpu, cuda or cuda:NUMBER"),
        ([NAME, "--learning-rate", "100", "--weight-decay", "1"], 1, "diverged in epoch"),
    ],
)
def test_training_s_refusals(
    here: Path, told: Any, arguments: list[str], code: int, complaint: str
) -> None:
    found, _, complaints = told("pipeline.train", *arguments)
    assert (found, complaint in complaints) == (code, True), complaints
    assert "Traceback" not in complaints


def test_a_single_training_is_exported(here: Path, told: Any) -> None:
    train(told, "--epochs", "1", "--out", "mine")
    code, lines, complaints = told("pipeline.export", "mine", "--format", "pt2", "--dynamic-batch")
    assert (code, complaints) == (0, "")
    assert "trained alone, 1 of 1 epochs" in lines[0]
    assert "validation images" in next(line for line in lines if "difference" in line)
    trained = read_training(here / "mine")
    val = load_resident(trained.data).val
    loaded = torch.export.load(here / f"{NAME}-digits.pt2").module()
    expected = predict(trained.network(), val, mean=trained.data.mean, std=trained.data.std)
    torch.testing.assert_close(loaded(val.images / 255), expected, atol=1e-4, rtol=0)


def test_a_published_name_is_exported_with_new_weights(here: Path, told: Any) -> None:
    size = ("--image-size", "8", "--in-channels", "1", "--classes", "3")
    code, lines, _ = told("pipeline.export", NAME, *size, "--format", "pt2", "--json")
    answer = json.loads(lines[0])
    assert code == 0
    assert answer["input_shape"] == [1, 1, 8, 8]
    assert answer["max_abs_difference"] <= 1e-4
    assert (here / answer["file"]).stat().st_size == answer["bytes"]
    code, lines, _ = told(
        "pipeline.export", NAME, *size, "--format", "pt2", "--output", "models/", "--seed", "4"
    )
    assert code == 0
    assert [path.name for path in (here / "models").iterdir()] == [f"{NAME}-seed4.pt2"]


@pytest.fixture
def search(here: Path, data_cache: Path) -> Iterator[Recorded]:
    """Trial 0 is stopped after an epoch of two, trial 1 completed, trial 2 never began."""
    data = prepare(SMALL, cache_dir=data_cache)
    record = new_record(here / "runs")
    record.start(settings=SETTINGS | {"data": data.model_dump(mode="json")})
    add_trained(record, data, 0, "stopped")
    add_trained(record, data, 1, "completed")
    add_trial(record, 2, data)
    yield record
    record.database.close()


def add_trial(record: Recorded, number: int, data: PreparedData) -> Any:
    config = checked_config(NAME, SMALL, epochs=2, recipe=Recipe(batch_size=32), seed=number)
    record.writer.add_trial(issued(config, number))
    return config


def add_trained(record: Recorded, data: PreparedData, number: int, outcome: Outcome) -> None:
    config = add_trial(record, number, data)
    training = Training(config, data, load_resident(data))
    num_epochs = 2 if outcome == "completed" else 1
    history = []
    for epoch, result in zip(range(1, num_epochs + 1), training.epochs(), strict=False):
        history.append(result)
        path = record.paths.trial(number).checkpoints / checkpoint_name(epoch, 1)
        header = CheckpointHeader(
            epoch=epoch, attempt=1, config_digest=config.seeded_digest, history=tuple(history)
        )
        checksum = write_checkpoint(path, header, training.state_bytes()).payload_sha256
        ending = Ending(outcome, "its end") if epoch == num_epochs else None
        record.writer.add_epoch(
            number,
            EpochRecord(
                epoch,
                1,
                result.val_accuracy,
                result,
                path.name,
                checksum,
                created_ms=1,
            ),
            ending=ending,
        )


def test_a_search_is_exported_by_its_incumbent_and_a_trial_by_its_number(
    search: Recorded, here: Path, told: Any
) -> None:
    code, lines, complaints = told("pipeline.export", "first", "--format", "pt2", "--json")
    answer = json.loads(lines[0])
    assert (code, complaints) == (0, "")
    assert answer["weights"] == "trial 1 of search first (completed), 2 of 2 epochs"
    assert answer["file"] == f"first-0001-{NAME}.pt2"
    assert answer["class_names"] == [str(digit) for digit in range(10)]

    code, lines, _ = told("pipeline.export", "first/0", "--format", "pt2", "--output", "it.pt2")
    assert code == 0
    assert "trial 0 of search first (stopped), 1 of 2 epochs" in lines[0]
    assert (here / "it.pt2").is_file()


def test_a_checkpoint_that_is_not_the_recorded_one_is_refused(
    search: Recorded, here: Path, told: Any
) -> None:
    folder = search.paths.trial(1).checkpoints
    (folder / checkpoint_name(2, 1)).write(b"damaged")
    code, _, complaints = told("pipeline.export", "first", "--format", "pt2")
    assert code == 3
    assert "after epoch 2 cannot be used" in complaints
    assert not list(here.glob("*.pt2"))


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["first/7"], 2, "there is no trial 7 in 'first': it has trials 0 to 2"),
        (["first/2"], 3, "has no finished epoch (it has not begun)"),
        (["firts/1"], 2, "there is no search 'firts' in runs: did you mean first?"),
        (["WRN-28-01x"], 2, "searches in runs: first"),
        (["first", "--classes", "3"], 2, "are for published names"),
        ([NAME, "--classes", "1"], 2, "--classes"),
        ([NAME, "--format", "onn"], 2, "did you mean onnx?"),
        ([NAME, "--dynamic-batch", "--batch-size", "2"], 2, "exclude each other"),
        ([NAME, "--output", ""], 2, "--output"),
        (["ResNet-50", "--image-size", "8"], 2, "`image_size >= 32` must hold"),
        ([NAME, "--format", "pt2", "--output", "/proc/nowhere/it.pt2"], 3, "cannot be made"),
    ],
)
def test_export_s_refusals(
    search: Recorded, told: Any, arguments: list[str], code: int, complaint: str
) -> None:
    found, _, complaints = told("pipeline.export", *arguments)
    assert (found, complaint in complaints) == (code, True), complaints
    assert "Traceback" not in complaints


def test_a_search_without_a_completed_trial_has_nothing_to_export(here: Path, told: Any) -> None:
    record = new_record(here / "runs", "empty")
    record.start()
    record.database.close()
    code, _, complaints = told("pipeline.export", "empty")
    assert code == 4
    assert "trained to the end (it has none)" in complaints
