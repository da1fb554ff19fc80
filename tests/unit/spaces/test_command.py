"""`python -m pipeline.spaces`: what it prints, how it ends."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archsearch.spaces.load import shipped_spaces, space_text
from archsearch.training.calibration import Calibration, Machine
from archsearch.training.step_time import StepTimeModel
from pipeline._main import run
from pipeline.spaces import app

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command as its process would; answers exit code, stdout, stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["spaces", *arguments])
        code = 0
        try:
            run(app)
        except SystemExit as end:
            code = int(end.code or 0)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def test_list_tells_every_space_and_its_question(command: Command) -> None:
    code, out, _ = command("list")
    assert code == 0
    lines = out.splitlines()[1:]
    assert [line.split()[0] for line in lines] == list(shipped_spaces())
    assert all(line.endswith("?") for line in lines)
    _, out, _ = command("list", "--json")
    assert [space["name"] for space in json.loads(out)] == list(shipped_spaces())


def test_show_prints_the_file_as_written_or_as_understood(command: Command) -> None:
    assert command("show", "wrn_vs_resnext") == (0, space_text("wrn_vs_resnext"), "")
    _, out, _ = command("show", "wrn_vs_resnext", "--json")
    shown = json.loads(out)
    assert shown["families"]["wrn"]["depth"] == {"int": [10, 40], "step": 6}
    assert shown["constraints"] == {"max_params": None, "max_macs": None, "max_memory_mib": None}


def test_validate_accepts_a_sound_file(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(space_text("smoke"))
    code, out, err = command("validate", str(path))
    assert (code, err) == (0, "")
    assert f"{path}: ok" in out
    _, out, _ = command("validate", str(path), "--json")
    assert json.loads(out)["name"] == "mine"


def test_validate_tells_every_problem_of_a_file(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("families:\n  wrm: {}\nfidelity: {max_epochs: -1}\n")
    code, out, err = command("validate", str(path))
    assert (code, out) == (2, "")
    assert f"{path}:2: families/wrm: unknown family 'wrm': did you mean wrn?" in err
    assert f"{path}:3: fidelity/max_epochs: " in err
    assert ", got -1" in err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["validate", "nope.yaml"], "there is no such file"),
        (["show", "wrn_vs_resnet"], "did you mean wrn_vs_resnext"),
        (["describe", "WRN-17-1"], "depth = 6n + 4"),
        (["describe", "VGG-16"], "unknown network 'VGG-16'"),
        (["describe", "WRN-16-1", "--classes", "1"], "--classes: "),
        (["describe", "WRN-16-1", "--image-size", "2"], "image_size >= 4"),
        (["describe", "WRN-16-1", "--image-size", "x"], "--image-size"),
        (["describe", "WRN-16-1", "--batch-size", "0"], "--batch-size"),
        (["describe", "WRN-16-1", "--precision", "float"], "did you mean float32 or bfloat16?"),
        (["show"], "name"),
        (["nonsense"], "nonsense"),
    ],
)
def test_a_mistake_exits_2_with_one_message(
    command: Command, arguments: list[str], sentence: str
) -> None:
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert sentence in err


def test_describe_prints_layers_stages_and_totals(command: Command) -> None:
    code, out, _ = command("describe", "WRN-28-10")
    assert code == 0
    assert out.startswith("WRN-28-10 on 3×32×32 images of 10 classes")
    assert "36,479,194 parameters" in out  # 36.5M in the paper's table 4


@pytest.mark.parametrize(
    ("name", "classes", "size"), [("ResNeXt-29-8x64d", 10, 32), ("wide_resnet50_2", 1000, 224)]
)
def test_described_input_follows_the_name(
    command: Command, name: str, classes: int, size: int
) -> None:
    told = json.loads(command("describe", name, "--json")[1])
    assert told["input"] == {"in_channels": 3, "image_size": size, "num_classes": classes}
    assert sum(row["params"] for row in told["layers"]) == told["params"]
    assert sum(row["macs"] for row in told["stages"]) == told["macs"]


def test_described_input_can_be_changed(command: Command) -> None:
    options = ("--classes", "7", "--in-channels", "1", "--image-size", "16")
    told = json.loads(command("describe", "ResNet-8", *options, "--json")[1])
    assert told["input"] == {"in_channels": 1, "image_size": 16, "num_classes": 7}
    assert told["layers"][-1]["output_shape"] == [7]


def test_described_memory_of_training_follows_batch_and_precision(command: Command) -> None:
    def memory(*options: str) -> dict[str, Any]:
        told = json.loads(command("describe", "WRN-16-2", *options, "--json")[1])["training"]
        assert told["memory_bytes"]["peak"] / 2**20 == pytest.approx(told["memory_mib"], abs=0.06)
        return dict(told)

    usual, half = memory(), memory("--batch-size", "32", "--precision", "bfloat16")
    assert (usual["batch_size"], usual["precision"]) == (64, "float32")
    assert half["memory_mib"] < usual["memory_mib"] / 3
    line = command("describe", "WRN-16-2")[1].splitlines()[-1]
    assert line.startswith(f"training: {usual['memory_mib']:,.1f} MiB at batches of 64 in float32")
    assert "activations" in line


def test_described_step_time_is_the_calibrated_machine_s(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(
        processor="abacus",
        device="cpu",
        precision="float32",
        num_threads=1,
        torch_version="2",
    )
    made = Calibration(
        machine=machine,
        model=StepTimeModel(prices={"steps": 0.25}),
        reference_seconds=1.0,
        timings=(),
    )
    monkeypatch.setattr("archsearch.training.calibration.calibrated", lambda **_: made)
    assert "about 250.0 ms on abacus" in command("describe", "WRN-10-1", "--step-time")[1]
    told = json.loads(command("describe", "WRN-10-1", "--step-time", "--json")[1])
    assert told["training"]["step_seconds"] == 0.25


def test_it_works_from_another_folder_and_without_torch(tmp_path: Path) -> None:
    """`--help`, `list`, `show` and `validate` take no network, so they do not wait for torch."""
    code = (
        "import runpy, sys, atexit\n"
        "atexit.register(lambda: print('torch' in sys.modules, file=sys.stderr))\n"
        "sys.argv = ['spaces', *sys.argv[1:]]\n"
        "runpy.run_module('pipeline.spaces', run_name='__main__')\n"
    )
    for arguments in (["--help"], ["validate", "wrn_vs_resnext"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert done.stderr.strip() == "False"
