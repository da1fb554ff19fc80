"""`python -m pipeline.train NAME`: train one published network, or continue its training."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archsearch.errors import UsageError
from archsearch.spaces.recipe import Recipe
from pipeline._main import new_app, run
from pipeline._options import Data, DataDir, RunsDir
from pipeline._options import folder as folder_path

if TYPE_CHECKING:
    from archsearch.data import PreparedData
    from archsearch.spaces.trial_config import TrialConfig
    from archsearch.training.result import EpochResult
    from archsearch.training.single_folder import TrainedNetwork

app = new_app(
    "Train one network by its published name, such as WRN-28-10, and print a line an epoch. The "
    "same command continues a training that was interrupted, to the same numbers, and prints the "
    "result of one that has finished. The test split is not looked at.\n\n"
    "Exit codes: 0 ok, 1 it diverged, 2 wrong option or name, 3 the machine or the data cannot be "
    "used, 130 after Ctrl-C.",
    "python -m pipeline.train WRN-16-2",
    "python -m pipeline.train WRN-28-10 --data cifar10 --epochs 200 --batch-size 128",
)

_DEFAULT = Recipe()


@app.command()
def train(
    name: Annotated[
        str, typer.Argument(help="A published name, such as WRN-28-10 or ResNeXt-29-8x64d.")
    ],
    data: Data = "digits",
    data_dir: DataDir = None,
    train_size: Annotated[
        int | None, typer.Option(min=1, help="Train on so many images, not on all.")
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(min=1, help="Resize images to this side, once.")
    ] = None,
    epochs: Annotated[
        int,
        typer.Option(
            "--epochs", "--max-epochs", min=1, help="The learning rate's schedule ends there."
        ),
    ] = 20,
    batch_size: Annotated[
        int, typer.Option(help="Images of one optimizer step.")
    ] = _DEFAULT.batch_size,
    learning_rate: Annotated[
        float, typer.Option(help="Peak learning rate.")
    ] = _DEFAULT.learning_rate,
    weight_decay: Annotated[float, typer.Option(help="L2 penalty.")] = _DEFAULT.weight_decay,
    label_smoothing: Annotated[
        float, typer.Option(help="Share of a label's weight spread over all classes.")
    ] = _DEFAULT.label_smoothing,
    augmentation: Annotated[
        float, typer.Option(help="Strength of the images' random changes, 0 to 1.")
    ] = _DEFAULT.augmentation,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same numbers.")] = 0,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or cuda:1; by default a GPU if there is one.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            parser=folder_path,
            metavar="FOLDER",
            help="Folder of this training. Default: RUNS_DIR/single/NAME-DATA-DIGEST.",
        ),
    ] = None,
    runs_dir: RunsDir = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line an epoch.")] = False,
) -> None:
    """Train one published network, or continue its training."""
    from archsearch.data import DataSpec
    from archsearch.record.paths import RunsFolder
    from archsearch.training.single import prepared_training, train_in

    recipe = _recipe(
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        label_smoothing=label_smoothing,
        augmentation=augmentation,
    )
    spec = DataSpec(name=data, train_size=train_size, image_size=image_size)
    config, prepared = prepared_training(
        name,
        spec,
        epochs=epochs,
        recipe=recipe,
        seed=seed,
        cache_dir=RunsFolder(runs_dir).data_cache,
        data_dir=data_dir,
    )
    folder = out or runs_dir / "single" / _folder_name(config, prepared)
    tell = _tell_json if as_json else _tell_line(epochs)
    try:
        trained = train_in(
            folder, config, prepared, device=device, on_found=_tell_found, on_epoch=tell
        )
    except KeyboardInterrupt:
        print(f"interrupted; the same command continues in {folder}", file=sys.stderr)
        sys.exit(130)
    told = _told(trained, folder)
    print(json.dumps(told) if as_json else _sentences(told))


def _recipe(**fields: Any) -> Recipe:
    from pydantic import ValidationError

    try:
        return Recipe(**fields)
    except ValidationError as error:
        raise UsageError(
            "; ".join(
                f"--{str(e['loc'][0]).replace('_', '-')} {e['input']}: {e['msg']}"
                for e in error.errors()
            )
        ) from None


def _folder_name(config: TrialConfig, data: PreparedData) -> str:
    from archsearch.schema import digest_of

    name = re.sub(r"[^A-Za-z0-9._=-]+", "-", config.name).strip("-")
    return f"{name}-{data.name}-{digest_of(config, data.digest, data.train_size)[:8]}"


def _tell_found(found: TrainedNetwork | None, skipped: tuple[str, ...]) -> None:
    for reason in skipped:
        print(f"warning: a checkpoint is passed over: {reason}", file=sys.stderr)
    if found is not None and not found.is_finished:
        done = f"epoch {len(found.history)} of {found.config.max_epochs}"
        print(f"continues after {done}", file=sys.stderr)


def _tell_json(result: EpochResult) -> None:
    print(json.dumps({"event": "epoch", **result.model_dump(mode="json")}), flush=True)


def _tell_line(epochs: int) -> Callable[[EpochResult], None]:
    width = len(str(epochs))

    def tell(result: EpochResult) -> None:
        seconds = result.train_seconds + result.val_seconds
        print(
            f"epoch {result.epoch:{width}}/{epochs}  loss {result.train_loss:.4f}  "
            f"train accuracy {result.train_accuracy:.4f}  "
            f"validation accuracy {result.val_accuracy:.4f}  "
            f"learning rate {result.learning_rate:.4f}  {seconds:.1f} s",
            flush=True,
        )

    return tell


def _told(trained: TrainedNetwork, folder: Path) -> dict[str, Any]:
    return {
        "event": "trained",
        "name": trained.config.name,
        "data": trained.data.name,
        "epochs": len(trained.history),
        "val_accuracy": trained.val_accuracy,
        "num_val": trained.data.num_val,
        "seconds": round(sum(r.train_seconds + r.val_seconds for r in trained.history), 1),
        "checkpoint": str(trained.checkpoint.path),
        "folder": str(folder),
    }


def _sentences(told: dict[str, Any]) -> str:
    from archsearch.command_line import command_line

    export = command_line("export", told["folder"], "--format", "onnx", "--dynamic-batch")
    return f"""\
{told["name"]} on {told["data"]}: {told["epochs"]} epochs in {told["seconds"]} s
  validation accuracy  {told["val_accuracy"]:.4f} on {told["num_val"]} images
  checkpoint           {told["checkpoint"]}

Next:
  export  {export}"""


if __name__ == "__main__":
    run(app)
