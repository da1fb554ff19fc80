"""Trains a trial by its assignment, publishes checkpoints, reports; knows nothing of Ray."""

from __future__ import annotations

import contextlib
import functools
import logging
import platform
from collections.abc import Generator, Iterator
from typing import TypeVar

import torch

from archsearch.data import PreparedData, ResidentData, data_here, load_resident
from archsearch.engine.system_metrics import sample_system_metrics
from archsearch.engine.weights import weights_here
from archsearch.engine.worker_log import log_to
from archsearch.errors import UnfitError, UsageError
from archsearch.phrases import plural
from archsearch.record.paths import TrialPaths
from archsearch.record.trial import Outcome
from archsearch.search.assignment import (
    Assignment,
    EndReport,
    EpochReport,
    Report,
    TroubleReport,
)
from archsearch.storage import storage_path
from archsearch.training.checkpoint_file import (
    CheckpointHeader,
    checkpoint_name,
    newest_valid,
    prune,
    write_checkpoint,
)
from archsearch.training.distributed import ALONE, LostRankError, Ranks
from archsearch.training.loop import Training
from archsearch.training.memory import OutOfMemoryDuringTrainingError
from archsearch.training.progress import TRANSFER_LIMIT_SECONDS, Progress
from archsearch.training.result import EpochResult

logger = logging.getLogger(__name__)

_Item = TypeVar("_Item")


def work(
    assignment: Assignment, ranks: Ranks = ALONE, progress: Progress | None = None
) -> Generator[Report, None, None]:
    """Train a trial from its newest checkpoint; one report an epoch, after the epoch's checkpoint.

    An error of the variant becomes the trial's outcome. An error of the machine becomes a
    `TroubleReport`, about which the driver decides.

    Args:
        assignment: What to do.
        ranks: The processes that train the trial, of which this is the first; `follow` is what
            the others do.
        progress: Advanced by each piece of the work; None where no other thread reads it.

    Raises:
        LostRankError: One of them is gone; a process alone never raises.
    """
    progress = progress or Progress()
    paths = TrialPaths(storage_path(assignment.folder))
    try:
        # Not its parents: where a shared folder is not mounted, nothing must be made in its place.
        paths.root.make_folder()
        with log_to(paths.log) as log:
            # `record.attempts.workers_in_log` reads this line.
            what = (assignment.attempt, assignment.config.name, platform.node())
            logger.info("attempt %d at %s on %s", *what)
            epochs = _epochs(assignment, paths, ranks, progress)
            with contextlib.closing(_judged(assignment, epochs)) as reports:
                for report in reports:
                    log.flush()
                    yield report
    except (OSError, UnfitError) as error:
        yield _trouble(assignment, error)


def follow(assignment: Assignment, ranks: Ranks) -> Generator[Report | None, None, None]:
    """Train a trial as one of its processes beside the first, which publishes and reports.

    Yields None after each epoch; a report only where something has gone wrong, which the first
    process may not know.

    Raises:
        LostRankError: One of the processes is gone.
    """
    try:
        yield from _judged(assignment, _steps(assignment, ranks))
    except (OSError, UnfitError) as error:
        yield _trouble(assignment, error)


def _trouble(assignment: Assignment, error: Exception) -> TroubleReport:
    reason = str(error)
    if isinstance(error, OSError) and error.strerror:
        reason = f"{error.strerror}: {error.filename or assignment.folder}"
    return TroubleReport(number=assignment.number, attempt=assignment.attempt, reason=reason)


def _judged(
    assignment: Assignment, epochs: Iterator[_Item]
) -> Generator[_Item | EndReport, None, None]:
    """The items, then an `EndReport` where an exception ends them."""

    def end(outcome: Outcome, reason: str) -> EndReport:
        logger.info("%s: %s", outcome, reason)
        return EndReport(
            number=assignment.number, attempt=assignment.attempt, outcome=outcome, reason=reason
        )

    try:
        yield from epochs
    except OutOfMemoryDuringTrainingError as error:
        yield end("out_of_memory", str(error))
    except (OSError, UnfitError, LostRankError):
        raise
    except UsageError as error:
        yield end("infeasible", str(error))
    except Exception as error:
        logger.exception("the trial failed")
        yield end("failed", f"{type(error).__name__}: {error}")


def _training(assignment: Assignment, ranks: Ranks, progress: Progress) -> Training:
    torch.set_num_threads(assignment.num_threads)
    if assignment.num_gpus and not torch.cuda.is_available():
        raise UnfitError(
            f"Ray gave a worker on {platform.node()} a GPU that torch {torch.__version__} cannot "
            "use: install one built for its driver there, or give --gpus-per-trial 0"
        )
    device = "cuda" if assignment.num_gpus else "cpu"
    with progress.indivisible(TRANSFER_LIMIT_SECONDS):
        data, resident = _resident(assignment.data, assignment.shared)
        if assignment.shared is not None:
            weights_here(assignment.config.architecture, storage_path(assignment.shared))
    with progress.indivisible():
        return Training(
            assignment.config,
            data,
            resident,
            device=device,
            ranks=ranks,
            synchronise_norms=assignment.sync_batch_norm,
            progress=progress,
        )


def _steps(assignment: Assignment, ranks: Ranks) -> Iterator[None]:
    """The same exchanges as in `_epochs`, in the same order."""
    training = _training(assignment, ranks, Progress())
    payload = ranks.bytes_of_first(None)
    if payload is not None:
        training.load_state_bytes(payload)
    for result in training.epochs():
        if result.diverged:
            return
        training.state_bytes()
        yield None


def _epochs(
    assignment: Assignment, paths: TrialPaths, ranks: Ranks, progress: Progress
) -> Iterator[Report]:
    training = _training(assignment, ranks, progress)
    device = training.device.type
    digest = assignment.config.seeded_digest
    history: tuple[EpochResult, ...] = ()
    with progress.indivisible():
        recovery = newest_valid(paths.checkpoints, assignment.issued_attempts, digest)
        warnings = recovery.skipped
        found = recovery.checkpoint
        payload = ranks.bytes_of_first(None if found is None else found.payload())
        if found is not None and payload is not None:
            training.load_state_bytes(payload)
            history = found.header.history
    begun = (training.finished_epochs, device, plural(ranks.size, "worker"))
    logger.info("training begins after epoch %d on %s, by %s", *begun)
    sample_system_metrics(device)  # the next sample covers this trial alone
    epochs = training.epochs()
    while training.finished_epochs < assignment.config.max_epochs:
        paths.note_start(assignment.attempt, training.finished_epochs + 1)
        result = next(epochs)
        if result.diverged:
            yield EndReport(
                number=assignment.number,
                attempt=assignment.attempt,
                outcome="diverged",
                reason=result.reason or "",
                result=result,
                warnings=warnings,
            )
            return
        history = (*history, result)
        with progress.indivisible():
            report = _published(assignment, paths, training, digest, history, warnings)
        yield report
        warnings = ()


def _published(
    assignment: Assignment,
    paths: TrialPaths,
    training: Training,
    digest: str,
    history: tuple[EpochResult, ...],
    warnings: tuple[str, ...],
) -> EpochReport:
    """Publish the epoch's checkpoint: from here on, the epoch is finished."""
    result = history[-1]
    path = paths.checkpoints / checkpoint_name(result.epoch, assignment.attempt)
    header = write_checkpoint(
        path,
        CheckpointHeader(
            epoch=result.epoch,
            attempt=assignment.attempt,
            config_digest=digest,
            history=history,
        ),
        training.state_bytes(),
    )
    prune(paths.checkpoints, assignment.attempt)
    logger.info(
        "epoch %d: accuracy %.4f in %.2f s",
        result.epoch,
        result.val_accuracy,
        result.train_seconds + result.val_seconds,
    )
    return EpochReport(
        number=assignment.number,
        attempt=assignment.attempt,
        result=result,
        checkpoint=path.name,
        checksum=header.payload_sha256,
        load=sample_system_metrics(training.device.type),
        warnings=warnings,
    )


@functools.lru_cache(maxsize=1)
def _resident(data: PreparedData, shared: str | None) -> tuple[PreparedData, ResidentData]:
    """The data of the search; stays from one trial to the next on a warm worker."""
    here = data_here(data, None if shared is None else storage_path(shared))
    return here, load_resident(here)
