"""`python -m pipeline.predict MODEL images…`: what a model sees in image files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archsearch.errors import UnfitError, UsageError
from pipeline._main import new_app, run
from pipeline._options import Database, RunsDir, TrackingUri

if TYPE_CHECKING:
    from archsearch.training.answering import Answering, Guess

app = new_app(
    "Print the most likely classes of image files, with probabilities. Images are converted to "
    "the model's channels; the largest square in their middle is resized to its size. A file that "
    "is no usable image is refused by name; the others are answered.\n\n"
    "Exit codes: 0 all answered, 2 wrong option or no such model, 3 an image or the model cannot "
    "be used, 4 no trial completed.",
    "python -m pipeline.predict models:/archsearch-digits@champion IMAGE.png",
    "python -m pipeline.predict SEARCH IMAGES/*.png --top 3 --json",
    "python -m pipeline.predict MODEL.onnx IMAGE.jpg",
)

_CHUNK = 256


@app.command()
def predict(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="models:/NAME@ALIAS or models:/NAME/VERSION (a registered model), a search (its "
            "best model), SEARCH/NUMBER (one trial), an .onnx or .pt2 file of pipeline.export, or "
            "a folder of pipeline.train.",
        ),
    ],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files.")],
    top: Annotated[int, typer.Option(min=1, help="How many classes an image.")] = 5,
    runs_dir: RunsDir = Path("runs"),
    database: Database = None,
    tracking_uri: TrackingUri = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Predict the classes of image files."""
    answering = find_answering(model, runs_dir, database, tracking_uri)
    if answering.input_spec.in_channels not in (1, 3):
        raise UsageError(
            f"{model} takes images of {answering.input_spec.in_channels} channels; image files "
            "have 1 (grey) or 3 (colour)"
        )
    answered: list[dict[str, Any]] = []
    refused: list[dict[str, str]] = []
    if not as_json:
        print(_title(answering))
    for start in range(0, len(images), _CHUNK):
        for path, guesses in _predicted(answering, images[start : start + _CHUNK], top, refused):
            if as_json:
                answered.append({"file": str(path), "top": [vars(guess) for guess in guesses]})
            else:
                print(_sentences(path, guesses))
    if as_json:
        told = _told(answering) | {"images": answered, "refused": refused}
        print(json.dumps(told, ensure_ascii=False), flush=True)
    if refused:
        raise UnfitError("\n".join(f"{each['file']}: {each['reason']}" for each in refused))


def find_answering(
    model: str, runs_dir: Path, database: str | None, tracking_uri: str | None
) -> Answering:
    """What `model` stands for, ready to answer images.

    Raises:
        UsageError: It stands for nothing, or for a network that was not trained.
        UnfitError: It cannot be used.
    """
    from archsearch.training.answering import FORMATS, of_exportable, of_file
    from pipeline._exportable import find_exportable

    path = Path(model)
    if model.startswith("models:"):
        from archsearch.record.paths import RunsFolder
        from archsearch.registry.registered_model import registered_answering
        from archsearch.tracking.store import tracking_store

        return registered_answering(tracking_store(RunsFolder(runs_dir), tracking_uri), model)
    if path.suffix.lower() in FORMATS:
        if not path.is_file():
            raise UsageError(f"{model}: there is no such file")
        return of_file(path)
    asked: dict[str, int | None] = {}
    exportable, _ = find_exportable(model, runs_dir, database, 0, asked)
    if str(exportable.facts.get("weights", "")).startswith("not trained here"):
        raise UsageError(
            f"{model} is a published network with new weights: it has learnt nothing yet. Name a "
            "search, a registered model, a file or a training"
        )
    return of_exportable(exportable, f"{model}: {exportable.facts['weights']}")


def _predicted(
    answering: Answering, paths: Sequence[Path], top: int, refused: list[dict[str, str]]
) -> list[tuple[Path, tuple[Guess, ...]]]:
    """The guesses for those that are images; the others are added to `refused`."""
    import numpy as np
    import torch

    from archsearch.data.image_file import ImageFileError, read_image
    from archsearch.training.answering import top_classes

    spec = answering.input_spec
    good, pixels = [], []
    for path in paths:
        try:
            pixels.append(read_image(path, spec.in_channels, spec.image_size))
            good.append(path)
        except ImageFileError as error:
            refused.append({"file": str(path), "reason": str(error)})
    if not good:
        return []
    images = torch.from_numpy(np.stack(pixels))
    return list(zip(good, top_classes(answering, images, top), strict=True))


def _told(answering: Answering) -> dict[str, Any]:
    spec = answering.input_spec
    return {
        "model": answering.name,
        "origin": answering.origin,
        "input_shape": [spec.in_channels, spec.image_size, spec.image_size],
        "num_classes": spec.num_classes,
        "multi_label": answering.multi_label,
    }


def _title(answering: Answering) -> str:
    several = "; an image may have several classes" if answering.multi_label else ""
    return f"{answering.name} ({answering.origin}){several}"


def _sentences(path: Path, guesses: Sequence[Guess]) -> str:
    width = max(len(guess.class_name) for guess in guesses)
    rows = [
        f"  {place}  {guess.class_name:{width}}  {guess.probability:.4f}"
        for place, guess in enumerate(guesses, start=1)
    ]
    return "\n".join([str(path), *rows])


if __name__ == "__main__":
    run(app)
