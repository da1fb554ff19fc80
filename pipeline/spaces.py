"""`python -m pipeline.spaces`: search spaces, shipped and one's own, and the networks in them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archsearch.errors import UsageError
from archsearch.schema import InputSpec
from pipeline._main import new_app, run

if TYPE_CHECKING:
    from archsearch.models import FamilySpec
    from archsearch.spaces.space import SearchSpace

app = new_app(
    "Look at search spaces (a YAML file each, one research question) and at the networks in them."
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
    as_json: JsonOption = False,
) -> None:
    """Print a network's layers, stages and cost: output shapes, parameters, multiply-accumulates.

    The input is that of the name: 1000 classes at 224×224 for an ImageNet network, 10 classes at
    32×32 for the others, 3 channels.
    """
    from archsearch.spaces.catalogue import default_input, parse_name

    architecture = parse_name(name)
    usual = default_input(name)
    input_spec = _input_spec(
        in_channels=usual.in_channels if in_channels is None else in_channels,
        image_size=usual.image_size if image_size is None else image_size,
        num_classes=usual.num_classes if classes is None else classes,
    )
    if as_json:
        _print_json(_description(architecture, input_spec))
    else:
        print(_described(architecture, input_spec))


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


def _described(architecture: FamilySpec, input_spec: InputSpec) -> str:
    told = _description(architecture, input_spec)
    size = input_spec.image_size
    layers = [
        (row["path"], row["kind"], _shape(row["output_shape"]), *_cost(row))
        for row in told["layers"]
    ]
    stages = [(row["stage"], _shape(row["output_shape"]), *_cost(row)) for row in told["stages"]]
    columns = ("output (C×H×W)", "parameters", "MACs")
    return "\n".join(
        (
            f"{told['name']} on {input_spec.in_channels}×{size}×{size} images of "
            f"{input_spec.num_classes} classes",
            "",
            _table(("layer", "kind", *columns), layers, numbers=2),
            "",
            _table(("stage", *columns), stages, numbers=2),
            "",
            f"total: {told['params']:,} parameters, {told['macs']:,} multiply-accumulates and "
            f"{told['activations']:,} activations an image",
        )
    )


def _input_spec(**given: int) -> InputSpec:
    from pydantic import ValidationError

    try:
        return InputSpec(**given)
    except ValidationError as error:
        option = {"num_classes": "--classes"}
        raise UsageError(
            "; ".join(
                f"{option.get(str(e['loc'][0]), '--' + str(e['loc'][0]).replace('_', '-'))}: "
                f"{e['msg']}, got {e['input']}"
                for e in error.errors()
            )
        ) from None


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
