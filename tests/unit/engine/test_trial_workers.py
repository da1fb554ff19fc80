"""Trials that several workers train together: what is asked for, counted, refused and told."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
import torch.distributed as dist
from ray import tune
from ray.tune.schedulers import TrialScheduler

from archsearch.data import DataSpec, prepare
from archsearch.driver.run import run_search
from archsearch.engine import worker
from archsearch.engine.running_trials import RunningTrials, lost_worker_of
from archsearch.engine.session import _resources
from archsearch.engine.signs_of_life import Sign
from archsearch.engine.tune_adapters import REPORT, DirectedScheduler
from archsearch.engine.worker import follow, work
from archsearch.errors import UsageError
from archsearch.record.cells import SearchIdentity
from archsearch.record.paths import TrialPaths
from archsearch.record.trial import EpochRecord
from archsearch.search.assignment import Assignment, EndReport, EpochReport, Report, TroubleReport
from archsearch.search.events import Event, Notice
from archsearch.search.identity import check_identity
from archsearch.search.lost_worker import TAKEN_BACK, LostWorker
from archsearch.search.memory_limit import MemoryLimit
from archsearch.search.preflight import InfeasibleError, Preflight
from archsearch.search.request import SearchRequest
from archsearch.search.run_state import RunState
from archsearch.search.slots import TrialShape
from archsearch.spaces.catalogue import parse_name
from archsearch.spaces.limits import Constraints
from archsearch.storage import storage_path
from archsearch.training.distributed import ALONE, LostRankError, Ranks
from archsearch.training.footprint import training_memory
from tests.data_parallel_support import RankPool
from tests.records import DIGITS, config_of, issued, result_of
from tests.search_support import SyntheticRunner, recorded


def asked(**fields: Any) -> SearchRequest:
    return SearchRequest.checked(space="smoke", **fields)


@pytest.mark.parametrize(
    ("fields", "gpus", "shape"),
    [
        ({}, 0.0, TrialShape()),
        ({"cpus_per_trial": 3}, 0.25, TrialShape(num_cpus=3, num_gpus=0.25)),
        ({"gpus_per_trial": 4}, 4.0, TrialShape(num_workers=4, num_gpus=1)),
        ({"workers_per_trial": 2}, 0.0, TrialShape(num_workers=2)),
        ({"workers_per_trial": 2}, 2.0, TrialShape(num_workers=2, num_gpus=1)),
        (
            {"workers_per_trial": 2, "cpus_per_trial": 8},
            0.0,
            TrialShape(num_workers=2, num_cpus=4),
        ),
        ({"workers_per_trial": 4, "cpus_per_trial": 2}, 0.0, TrialShape(num_workers=4)),
    ],
)
def test_workers_follow_from_gpus_and_share_the_processors_of_their_trial(
    fields: dict[str, Any], gpus: float, shape: TrialShape
) -> None:
    assert asked(**fields).shape(gpus) == shape


@pytest.mark.parametrize("gpus", [0.5, 1, 4])
def test_workers_and_gpus_that_contradict_each_other_are_refused(gpus: float) -> None:
    with pytest.raises(UsageError, match="--workers-per-trial 2: each worker has one GPU"):
        asked(gpus_per_trial=gpus, workers_per_trial=2)


def node(alive: bool = True, **resources: float) -> dict[str, Any]:
    return {"Alive": alive, "Resources": resources}


def test_slots_are_counted_in_places_for_workers() -> None:
    """A worker is on one node; those of a trial may be on several."""
    two_each = TrialShape(num_workers=2, num_cpus=2)
    assert two_each.slots_on([node(CPU=5), node(CPU=3), node(CPU=8, alive=False)]) == 1
    gpus = TrialShape(num_workers=4, num_gpus=1)
    assert gpus.slots_on([node(CPU=8, GPU=3), node(CPU=2, GPU=8), node(CPU=64)]) == 1
    assert TrialShape(num_gpus=0.1).slots_on([node(CPU=16, GPU=1)]) == 10


def test_the_actor_of_several_workers_takes_nothing_that_they_need() -> None:
    alone = _resources(TrialShape(num_cpus=2, num_gpus=0.5))
    assert alone == {"cpu": 2, "gpu": 0.5}
    leading = _resources(TrialShape(num_workers=2))
    assert isinstance(leading, tune.PlacementGroupFactory)
    assert leading.required_resources == {"memory": 1}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sync_batch_norm": True}, "--sync-batch-norm is for trials of several workers"),
        ({"linear_scaling": True}, "--linear-scaling is for trials of several workers"),
        ({"sync_batch_norm": True, "workers_per_trial": 2}, "--sync-batch-norm needs GPUs"),
    ],
)
def test_options_that_would_do_nothing_or_could_not_are_refused(
    request_in: SearchRequest, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        run_search(request_in.model_copy(update=options), run_trials=SyntheticRunner())


def test_a_batch_too_small_for_its_workers_is_refused_before_it_is_tried() -> None:
    Preflight((), num_workers=4).check(config_of("WRN-10-1", batch_size=8))
    with pytest.raises(InfeasibleError, match="gives 4 workers fewer than two images each"):
        Preflight((), num_workers=4).check(config_of("WRN-10-1", batch_size=7))
    Preflight((), num_workers=4, batch_scale=4).check(config_of("WRN-10-1", batch_size=7))


def test_memory_is_capped_and_learned_for_one_of_the_workers() -> None:
    caps = ((Constraints(max_memory_mib=1000), "the space's `constraints`"),)
    told = Preflight(caps, num_workers=4).check(config_of("WRN-10-1", batch_size=64))
    expected = training_memory(parse_name("WRN-10-1"), DIGITS, 16, num_workers=4)
    assert told.memory_mib == expected.peak_mib
    limit = MemoryLimit(num_workers=4)
    epochs = [EpochRecord(1, 1, 0.5, result_of(micro_batch=16), None, None, 0)]
    lost = issued(
        config_of("WRN-10-1", batch_size=64),
        7,
        outcome="out_of_memory",
        reason="",
        attempts={1: "memory"},
        epochs=epochs,
    )
    assert "predicted in batches of 16" in str(limit.learn(lost))


def test_linear_scaling_is_of_the_trial_and_of_the_search(request_in: SearchRequest) -> None:
    """Batch and learning rate are recorded, so workers may be lost or added later."""
    plain = request_in.model_copy(update={"name": "scaled", "trials": 2})
    scaled = plain.model_copy(update={"linear_scaling": True, "workers_per_trial": 2})
    said: list[Event] = []
    run_search(scaled, said.append, run_trials=SyntheticRunner())
    trials = recorded(scaled.runs_dir).trials
    assert [trial.config.batch_scale for trial in trials[:2]] == [2, 2]
    assert any(
        isinstance(event, Notice) and "2 times the learning rate" in event.text for event in said
    )
    with pytest.raises(UsageError, match="batch_scale was 2, now 1"):
        run_search(plain, run_trials=SyntheticRunner())
    identity = SearchIdentity(space="a", data="b", split="c", seed=0, max_epochs=3)
    with pytest.raises(UsageError, match="batch_scale was 1, now 3"):
        check_identity("scaled", identity, identity.model_copy(update={"batch_scale": 3}))


def test_a_sign_of_life_is_no_report_and_is_not_judged() -> None:
    run_state = cast("RunState", SimpleNamespace(director=None))
    running_trials = RunningTrials(run_state)
    trial = cast("Any", SimpleNamespace(trial_id="t"))
    scheduler = DirectedScheduler(running_trials)
    for sign in Sign:
        answer = scheduler.on_trial_result(None, trial, {REPORT: sign.value})
        assert answer == TrialScheduler.CONTINUE
    assert "t" in running_trials._last_sign


def test_workers_whose_machine_is_taken_back_are_preempted(tmp_path: Path) -> None:
    (tmp_path / "error.txt").write_text(f"WorkersLostError: {TAKEN_BACK}\n")
    trial = cast(
        "Any", SimpleNamespace(error_file=str(tmp_path / "error.txt"), pickled_error_file=None)
    )
    assert lost_worker_of(trial) == LostWorker("preempted", TAKEN_BACK)


def assignment_in(folder: Path, num_workers: int, **changes: Any) -> Assignment:
    data = prepare(DataSpec(name="digits", train_size=70), cache_dir=folder)
    fields: dict[str, Any] = {
        "number": 3,
        "attempt": 1,
        "issued_attempts": (1,),
        "config": config_of("WRN-10-1", batch_size=32),
        "data": data,
        "folder": str(folder / "trial"),
        "num_workers": num_workers,
        "num_threads": 1,
        "num_gpus": 0,
    }
    return Assignment(**fields | changes)


def _first_reports(assignment: Assignment, count: int) -> list[Report | None]:
    ranks = Ranks.of_default_group() if dist.is_initialized() else ALONE
    act = work if ranks.is_first else follow
    reports = act(assignment, ranks)
    told = [report for _, report in zip(range(count), reports, strict=False)]
    reports.close()
    return told


@pytest.mark.skipif(torch.cuda.is_available(), reason="torch can use this machine's GPU")
def test_a_worker_whose_gpu_torch_cannot_use_does_not_train_without_it_in_silence(
    tmp_path: Path,
) -> None:
    """Ray counts a machine's GPUs whether or not its torch was built for them."""
    (trouble,) = _first_reports(assignment_in(tmp_path, 1, num_gpus=0.5), 2)
    assert isinstance(trouble, TroubleReport)
    assert "a GPU that torch" in trouble.reason
    assert trouble.reason.endswith("or give --gpus-per-trial 0")


@pytest.mark.slow
def test_the_first_worker_publishes_and_one_goes_on_alone(tmp_path: Path) -> None:
    """What two have trained is read by one, in the next attempt; and by two again."""
    assignment = assignment_in(tmp_path, 2)
    with RankPool(tmp_path / "store") as pool:
        first, second = pool.run(_first_reports, assignment, 2)
        assert second == [None, None]
        again = {"attempt": 2, "issued_attempts": (1, 2)}
        alone = _first_reports(assignment_in(tmp_path, 1, **again), 1)
        third = {"attempt": 3, "issued_attempts": (1, 2, 3)}
        joined, _ = pool.run(_first_reports, assignment_in(tmp_path, 2, **third), 1)
    epochs = [report for report in [*first, *alone, *joined] if isinstance(report, EpochReport)]
    assert [(report.result.epoch, report.result.workers) for report in epochs] == [
        (1, 2),
        (2, 2),
        (3, 1),
        (4, 2),
    ]
    log = TrialPaths(storage_path(assignment.folder)).log.read().decode()
    assert log.count("by 2 workers") == 2


def test_a_worker_that_fails_beside_the_first_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one waits for it, and cannot."""

    def broken(error: Exception) -> Any:
        def build(*args: object, **kwargs: object) -> None:
            raise error

        return build

    def answers(error: Exception) -> list[Report | None]:
        monkeypatch.setattr(worker, "Training", broken(error))
        return list(follow(assignment_in(tmp_path, 2), ALONE))

    (failed,) = answers(RuntimeError("CUDA error: an illegal memory access"))
    assert isinstance(failed, EndReport)
    assert (failed.outcome, failed.number) == ("failed", 3)
    assert "illegal memory access" in failed.reason
    (trouble,) = answers(OSError(28, "No space left on device", "/x"))
    assert trouble is not None
    assert trouble.kind == "trouble"
    with pytest.raises(LostRankError):
        answers(LostRankError("a process is gone"))
