"""`python -m pipeline.spaces`: search spaces, shipped and one's own, and the networks in them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archsearch.errors import UsageError, nearest_names
from pipeline._input import input_spec_of
from pipeline._main import new_app, run

if TYPE_CHECKING:
    from archsearch.models import FamilySpec
    from archsearch.schema import InputSpec
    from archsearch.spaces.space import SearchSpace
    from archsearch.training.precision import Precision

app = new_app(
    "Look at search spaces (a YAML file each, one research question) and at the networks in them. "
    "Exit codes: 0 ok, 2 a wrong option, name or space file.",
    "python -m pipeline.spaces list",
    "python -m pipeline.spaces show wrn_vs_resnext > mine.yaml",
    "python -m pipeline.spaces validate mine.yaml",
    "python -m pipeline.spaces describe WRN-28-10 --classes 100",
)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command("list")
def list_spaces(as_json: JsonOption = False) -> None:
    """List the spaces that ship, with their questions; each name works as `--space NAME`."""
    from archsearch.spaces.load import load_space, shipped_spaces

    spaces = [load_space(name) for name in shipped_spaces()]
    if as_json:
        _print_json([_summary(space) for space in spaces])
        return
    rows = [(s.name, ", ".join(s.families), s.description) for s in spaces]
    print(_table(("space", "families", "question"), rows))


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A shipped space, or the path of a file.")],
    as_json: JsonOption = False,
) -> None:
    """Print a space file as written; with --json as it is understood, defaults filled in."""
    from archsearch.spaces.load import load_space, space_text

    if as_json:
        space = load_space(name)
        _print_json({**space.model_dump(mode="json"), "digest": space.digest})
        return
    print(space_text(name), end="")


@app.command()
def validate(
    file: Annotated[str, typer.Argument(help="Path of a space file, or a shipped space.")],
    as_json: JsonOption = False,
) -> None:
    """Check a space file; tell everything that is wrong with it, line by line, and exit 2."""
    from archsearch.spaces.load import load_space

    space = load_space(file)
    if as_json:
        _print_json(_summary(space))
        return
    print(f"{file}: ok")
    for family in space.families:
        searched = (name for name in space.parameters(family) if name != "family")
        print(f"  {family}: {', '.join(searched)}")
    print(f"  digest {space.digest[:12]}, {len(space.baselines)} baselines")


@app.command()
def describe(
    name: Annotated[
        str, typer.Argument(help="A published name, such as WRN-28-10 or ResNeXt-29-8x64d.")
    ],
    classes: Annotated[int | None, typer.Option(help="Number of classes.")] = None,
    in_channels: Annotated[int | None, typer.Option(help="Channels of an image.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Height and width of an image.")] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Images of a training step, for its memory and time.")
    ] = 64,
    precision: Annotated[
        str, typer.Option(help="float32 or bfloat16, for memory and time of training.")
    ] = "float32",
    step_time: Annotated[
        bool,
        typer.Option(
            "--step-time",
            help="Estimate a training step's time on this machine's processor; the first time it "
            "is calibrated for about half a minute.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print a network's layers, stages and cost: output shapes, parameters, multiply-accumulates.

    The input is that of the name: 1000 classes at 224×224 for an ImageNet network, 10 classes at
    32×32 for the others, 3 channels. The memory of training is predicted too: the tensors of a
    step, without what a device or library adds of its own.
    """
    from archsearch.spaces.catalogue import default_input, parse_name

    architecture = parse_name(name)
    asked = {"num_classes": classes, "in_channels": in_channels, "image_size": image_size}
    input_spec = input_spec_of(default_input(name), asked)
    arithmetic = _checked_precision(precision)
    told = _description(architecture, input_spec)
    told["training"] = _training(architecture, input_spec, batch_size, arithmetic)
    if step_time:
        told["training"] |= _step_time(architecture, input_spec, batch_size, arithmetic)
    if as_json:
        _print_json(told)
    else:
        print(_described(told))


def _checked_precision(text: str) -> Precision:
    if text == "float32":
        return "float32"
    if text == "bfloat16":
        return "bfloat16"
    raise UsageError(f"--precision {text!r}: {nearest_names(text, ('float32', 'bfloat16'))}")


def _summary(space: SearchSpace) -> dict[str, Any]:
    return {
        "name": space.name,
        "description": space.description,
        "families": list(space.families),
        "parameters": {family: list(space.parameters(family)) for family in space.families},
        "max_epochs": space.fidelity.max_epochs,
        "baselines": list(space.baselines),
        "digest": space.digest,
    }


def _description(architecture: FamilySpec, input_spec: InputSpec) -> dict[str, Any]:
    from archsearch.models.complexity import complexity, layer_table, stage_totals

    rows = layer_table(architecture, input_spec)
    return {
        "name": architecture.name,
        "family": architecture.family,
        **complexity(architecture, input_spec).model_dump(mode="json"),
        "input": input_spec.model_dump(mode="json"),
        "architecture": architecture.model_dump(mode="json"),
        "stages": [
            {"stage": stage, "output_shape": list(shape), "params": params, "macs": macs}
            for stage, (shape, params, macs) in stage_totals(rows).items()
        ],
        "layers": [row.model_dump(mode="json") for row in rows],
    }


def _training(
    architecture: FamilySpec, input_spec: InputSpec, batch_size: int, precision: Precision
) -> dict[str, Any]:
    from archsearch.training.footprint import training_memory

    memory = training_memory(architecture, input_spec, batch_size, precision)
    return {
        "batch_size": batch_size,
        "precision": precision,
        "memory_mib": memory.peak_mib,
        "memory_bytes": memory.model_dump(mode="json"),
    }


def _step_time(
    architecture: FamilySpec, input_spec: InputSpec, batch_size: int, precision: Precision
) -> dict[str, Any]:
    from archsearch.training.calibration import calibrated

    def tell(num_probes: int) -> None:
        print(f"calibrating on {num_probes} small networks, once a machine …", file=sys.stderr)

    calibration = calibrated(precision=precision, on_start=tell)
    return {
        "step_seconds": calibration.model.seconds(architecture, input_spec, batch_size),
        "step_machine": calibration.machine.model_dump(mode="json"),
    }


def _described(told: dict[str, Any]) -> str:
    given = told["input"]
    size = given["image_size"]
    layers = [
        (row["path"], row["kind"], _shape(row["output_shape"]), *_cost(row))
        for row in told["layers"]
    ]
    stages = [(row["stage"], _shape(row["output_shape"]), *_cost(row)) for row in told["stages"]]
    columns = ("output (C×H×W)", "parameters", "MACs")
    return "\n".join(
        (
            f"{told['name']} on {given['in_channels']}×{size}×{size} images of "
            f"{given['num_classes']} classes",
            "",
            _table(("layer", "kind", *columns), layers, numbers=2),
            "",
            _table(("stage", *columns), stages, numbers=2),
            "",
            f"total: {told['params']:,} parameters, {told['macs']:,} multiply-accumulates and "
            f"{told['activations']:,} activations an image",
            *_described_training(told["training"]),
        )
    )


def _described_training(told: dict[str, Any]) -> list[str]:
    parts = {name: size / 2**20 for name, size in told["memory_bytes"].items() if name != "peak"}
    lines = [
        f"training: {told['memory_mib']:,.1f} MiB at batches of {told['batch_size']} in "
        f"{told['precision']} (in MiB: "
        + ", ".join(f"{name} {size:,.1f}" for name, size in parts.items())
        + ")"
    ]
    if "step_seconds" in told:
        machine = told["step_machine"]
        lines.append(
            f"a step takes about {1000 * told['step_seconds']:,.1f} ms on {machine['processor']}, "
            f"{machine['num_threads']} threads"
        )
    return lines


def _shape(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))


def _cost(row: dict[str, Any]) -> tuple[str, str]:
    return f"{row['params']:,}", f"{row['macs']:,}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], numbers: int = 0) -> str:
    """Columns as wide as their text, the last `numbers` of them flush right."""
    lines = [tuple(header), *map(tuple, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    first_number = len(widths) - numbers
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place >= first_number else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _print_json(value: object) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=2))


if __name__ == "__main__":
    run(app)
