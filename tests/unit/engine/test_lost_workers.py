"""How Ray lost a worker is read from what Tune notes of it."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from ray.exceptions import ActorDiedError, OutOfMemoryError, RayActorError
from ray.tune.experiment import Trial

from archsearch.engine.running_trials import lost_worker_of
from archsearch.search.lost_worker import LostWorker

LOW_MEMORY = "1 worker(s) were killed due to the node running low on memory. Memory on the node"
NO_IMPORT = "The actor died because of an error raised in its creation task\nImportError: no x\n"


def lost_trial(folder: Path, error: Exception) -> Trial:
    """A trial as Tune leaves it: the text of any error, and those of actors pickled."""
    (folder / "error.txt").write_text(f"Failure # 1 (occurred at some time)\n{error}\n")
    pickled = folder / "error.pkl"
    if isinstance(error, RayActorError):
        pickled.write_bytes(pickle.dumps(error))
    return cast(
        "Trial",
        SimpleNamespace(
            error_file=str(folder / "error.txt"),
            pickled_error_file=str(pickled) if pickled.exists() else None,
        ),
    )


@pytest.mark.parametrize(
    ("error", "loss"),
    [
        (ActorDiedError(), LostWorker("lost", "it died")),
        (OutOfMemoryError(LOW_MEMORY), LostWorker("memory", "its machine ran out of memory")),
        (RayActorError(preempted=True), LostWorker("preempted", "its machine was taken back")),
        (
            RayActorError(error_msg=NO_IMPORT, actor_init_failed=True),
            LostWorker("lost", "it could not start: ImportError: no x"),
        ),
    ],
    ids=["died", "memory", "preempted", "start"],
)
def test_losses_are_told_apart(tmp_path: Path, error: Exception, loss: LostWorker) -> None:
    assert lost_worker_of(lost_trial(tmp_path, error)) == loss


def test_an_error_that_cannot_be_read_is_a_loss_too(tmp_path: Path) -> None:
    trial = cast("Any", lost_trial(tmp_path, RayActorError()))
    Path(trial.pickled_error_file).write_bytes(b"\x80\x05broken")
    assert lost_worker_of(trial) == LostWorker("lost", "it died")
    trial.error_file = trial.pickled_error_file = None
    assert lost_worker_of(trial) == LostWorker("lost", "it died")
