"""`python -m pipeline.export MODEL_OR_TRIAL`: a network as an ONNX or `pt2` file."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archsearch.errors import UsageError, nearest_names
from pipeline._exportable import find_exportable
from pipeline._main import new_app, run
from pipeline._options import Database, RunsDir, TrackingUri

if TYPE_CHECKING:
    from archsearch.training.export import Exported
    from archsearch.training.exportable import Exportable
    from archsearch.training.model_files import Format

app = new_app(
    "Write a network as an ONNX or pt2 file that needs nothing of this package: images with pixel "
    "values in 0..1 in, logits out, the normalisation inside, labels and origin in the file's "
    "metadata. The file is loaded again and written only if its logits equal the network's "
    "(1e-4).\n\n"
    "Exit codes: 0 written, 1 the logits differ, 2 wrong option or no such model, 3 files cannot "
    "be used, 4 no trial completed.",
    "python -m pipeline.export SEARCH --format onnx --dynamic-batch",
    "python -m pipeline.export SEARCH/7 --format pt2 --batch-size 64 --output models/",
    "python -m pipeline.export models:/NAME@champion --format onnx",
    "python -m pipeline.export WRN-28-10 --seed 1",
)


@app.command()
def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL_OR_TRIAL",
            help="A search (its best model), SEARCH/NUMBER (one trial), models:/NAME@ALIAS or "
            "models:/NAME/VERSION (a registered model), a folder of pipeline.train, or a "
            "published name such as WRN-28-10 (new weights).",
        ),
    ],
    format: Annotated[str, typer.Option(help="onnx or pt2.")] = "onnx",
    dynamic_batch: Annotated[
        bool, typer.Option("--dynamic-batch", help="Take any number of images at once.")
    ] = False,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Take just so many images at once. Default: 1.")
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="The file, or a folder for it (there already, or ending in /). Default: a file "
            "here, named by the model.",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Of a published name's new weights.")
    ] = 0,
    classes: Annotated[
        int | None, typer.Option(help="Number of classes of a published name.")
    ] = None,
    in_channels: Annotated[
        int | None, typer.Option(help="Channels of an image of a published name.")
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Height and width of an image of a published name.")
    ] = None,
    runs_dir: RunsDir = Path("runs"),
    database: Database = None,
    tracking_uri: TrackingUri = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Export a network."""
    chosen = _checked_format(format)
    if dynamic_batch and batch_size is not None:
        raise UsageError("--dynamic-batch and --batch-size exclude each other")
    asked = {"num_classes": classes, "in_channels": in_channels, "image_size": image_size}
    exportable, stem = find_exportable(model, runs_dir, database, seed, asked, tracking_uri)
    path = _path(output, f"{_plain(stem)}.{chosen}")
    from archsearch.training.export import export as export_model

    exported = export_model(
        exportable,
        path,
        chosen,
        batch_size=None if dynamic_batch else (batch_size or 1),
    )
    told = _told(exportable, exported, chosen, None if dynamic_batch else (batch_size or 1))
    print(json.dumps(told, ensure_ascii=False) if as_json else _sentences(told))


def _checked_format(text: str) -> Format:
    if text == "onnx":
        return "onnx"
    if text == "pt2":
        return "pt2"
    raise UsageError(f"--format {text!r}: {nearest_names(text, ('onnx', 'pt2'))}")


def _path(output: str | None, name: str) -> Path:
    if output is None:
        return Path(name)
    if not output.strip():
        raise UsageError("--output: give the path of a file or a folder")
    is_folder = output.endswith(("/", os.sep)) or Path(output).is_dir()
    return Path(output) / name if is_folder else Path(output)


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._=-]+", "-", name).strip("-")


def _told(
    model: Exportable, exported: Exported, format: Format, batch_size: int | None
) -> dict[str, Any]:
    spec = model.input_spec
    return {
        "name": model.spec.name,
        "weights": model.facts["weights"],
        "file": str(exported.path),
        "format": format,
        "bytes": exported.num_bytes,
        "batch_size": batch_size,
        "input_shape": [batch_size, spec.in_channels, spec.image_size, spec.image_size],
        "class_names": list(model.class_names),
        "max_abs_difference": exported.difference,
        "max_abs_difference_allowed": exported.limit,
        "compared_on": f"{exported.num_compared} {model.compared_on}",
    }


def _sentences(told: dict[str, Any]) -> str:
    shape = ", ".join("N" if side is None else str(side) for side in told["input_shape"])
    return f"""\
{told["name"]} ({told["weights"]})
  file                     {told["file"]} ({told["bytes"] / 1e6:.1f} MB)
  input                    float32 ({shape}), pixel values in 0..1; normalised inside
  output                   logits of {len(told["class_names"])} classes
  max absolute difference  {told["max_abs_difference"]:.2e} on {told["compared_on"]}, \
file against network (at most {told["max_abs_difference_allowed"]:.2g})"""


if __name__ == "__main__":
    run(app)
