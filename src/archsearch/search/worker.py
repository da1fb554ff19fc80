"""What a worker does with an assignment: train, publish, report. Knows nothing of Ray."""

from __future__ import annotations

import contextlib
import functools
import logging
import platform
from collections.abc import Generator, Iterator

import torch

from archsearch.data import PreparedData, ResidentData, load_resident
from archsearch.errors import UnfitError, UsageError
from archsearch.record.paths import TrialPaths
from archsearch.record.trial import Outcome
from archsearch.search.assignment import (
    Assignment,
    EndReport,
    EpochReport,
    Report,
    TroubleReport,
)
from archsearch.search.load import sample_load
from archsearch.search.worker_log import log_to
from archsearch.storage import storage_path
from archsearch.training.checkpoint_file import (
    CheckpointHeader,
    checkpoint_name,
    newest_valid,
    prune,
    write_checkpoint,
)
from archsearch.training.loop import Training
from archsearch.training.memory import OutOfMemoryDuringTrainingError
from archsearch.training.result import EpochResult

logger = logging.getLogger(__name__)


def work(assignment: Assignment) -> Generator[Report, None, None]:
    """Train a trial from where it stands; one report an epoch, each after its checkpoint.

    Never raises: what goes wrong with the variant becomes its outcome, what goes wrong with the
    machine becomes trouble that the driver decides about.
    """
    paths = TrialPaths(storage_path(assignment.folder))
    try:
        # Not its parents: where a shared folder is not mounted, nothing must be made in its place.
        paths.root.make_folder()
        with log_to(paths.log) as log:
            # `record.attempts.workers_in_log` reads this line.
            what = (assignment.attempt, assignment.config.name, platform.node())
            logger.info("attempt %d at %s on %s", *what)
            with contextlib.closing(_reports(assignment, paths)) as reports:
                for report in reports:
                    log.flush()
                    yield report
    except (OSError, UnfitError) as error:
        reason = str(error)
        if isinstance(error, OSError) and error.strerror:
            reason = f"{error.strerror}: {error.filename or paths.root}"
        yield TroubleReport(number=assignment.number, attempt=assignment.attempt, reason=reason)


def _reports(assignment: Assignment, paths: TrialPaths) -> Generator[Report, None, None]:
    def end(outcome: Outcome, reason: str) -> EndReport:
        logger.info("%s: %s", outcome, reason)
        return EndReport(
            number=assignment.number, attempt=assignment.attempt, outcome=outcome, reason=reason
        )

    try:
        yield from _epochs(assignment, paths)
    except OutOfMemoryDuringTrainingError as error:
        yield end("out_of_memory", str(error))
    except (OSError, UnfitError):
        raise
    except UsageError as error:
        yield end("infeasible", str(error))
    except Exception as error:
        logger.exception("the trial failed")
        yield end("failed", f"{type(error).__name__}: {error}")


def _epochs(assignment: Assignment, paths: TrialPaths) -> Iterator[Report]:
    torch.set_num_threads(assignment.num_threads)
    device = "cuda" if assignment.num_gpus and torch.cuda.is_available() else "cpu"
    training = Training(
        assignment.config, assignment.data, _resident(assignment.data), device=device
    )
    digest = assignment.config.seeded_digest
    history: tuple[EpochResult, ...] = ()
    recovery = newest_valid(paths.checkpoints, assignment.issued_attempts, digest)
    warnings = recovery.skipped
    if recovery.checkpoint is not None:
        training.load_state_bytes(recovery.checkpoint.payload())
        history = recovery.checkpoint.header.history
    logger.info("training begins after epoch %d on %s", training.finished_epochs, device)
    sample_load(device)  # what was before is not this trial's
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
        yield _published(assignment, paths, training, digest, history, warnings)
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
        load=sample_load(training.device.type),
        warnings=warnings,
    )


@functools.lru_cache(maxsize=1)
def _resident(data: PreparedData) -> ResidentData:
    """The data of the search; stays from one trial to the next on a warm worker."""
    return load_resident(data)
