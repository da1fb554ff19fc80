"""A trial that ran out of memory corrects what pre-flight thinks fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from archsearch.driver.run import run_search
from archsearch.record.trial import EpochRecord, TrialRecord
from archsearch.search.assignment import Assignment, EndReport
from archsearch.search.events import Event, WarningNotice
from archsearch.search.memory_limit import MemoryLimit
from archsearch.search.preflight import InfeasibleError
from archsearch.search.request import SearchRequest
from archsearch.spaces.catalogue import parse_name
from archsearch.training.footprint import smallest_micro_batch_of, training_memory
from tests.records import DIGITS, config_of, issued, result_of
from tests.search_support import SyntheticRunner, recorded, run_and_die


def trial(
    name: str,
    outcome: Any = "completed",
    *,
    micro_batch: int | None = 64,
    attempt: str = "finished",
    number: int = 7,
) -> TrialRecord:
    """A finished trial of one epoch in these micro-batches, or of none."""
    result = result_of(micro_batch=micro_batch or 1)
    epochs = [EpochRecord(1, 1, 0.5, result, None, None, 0)] if micro_batch else []
    return issued(
        config_of(name),
        number,
        outcome=outcome,
        reason="",
        attempts={1: attempt},
        epochs=epochs if micro_batch else [],
    )


def refuses(limit: MemoryLimit, name: str, batch_size: int = 64) -> bool:
    try:
        limit.check(config_of(name, batch_size))
    except InfeasibleError:
        return True
    return False


def test_what_needs_as_much_at_its_smallest_micro_batch_is_refused_and_less_is_not() -> None:
    limit = MemoryLimit()
    assert not refuses(limit, "WRN-16-8")
    told = limit.learn(trial("WRN-16-4", "out_of_memory", micro_batch=None))
    memory = training_memory(parse_name("WRN-16-4"), DIGITS, 2).peak_mib
    assert told is not None
    assert f"trial 7 ran out of memory; {memory:,.1f} MiB predicted in batches of 2" in told
    assert refuses(limit, "WRN-16-4")
    assert refuses(limit, "WRN-16-8")
    assert refuses(limit, "WRN-16-8", batch_size=16)  # it would be cut to pairs as well
    assert not refuses(limit, "WRN-10-1")
    with pytest.raises(InfeasibleError, match=r"WRN-16-8: [\d.]+ MiB .* and trial 7 ran out of"):
        limit.check(config_of("WRN-16-8"))


def test_a_host_without_memory_is_judged_by_the_whole_batch() -> None:
    """Its monitor kills a worker before any micro-batch is halved."""
    limit = MemoryLimit()
    limit.learn(trial("WRN-16-4", "out_of_memory", micro_batch=None, attempt="memory"))
    assert refuses(limit, "WRN-16-4")
    assert not refuses(limit, "WRN-16-4", batch_size=16)
    limit = MemoryLimit()
    limit.learn(trial("WRN-16-4", "out_of_memory", micro_batch=8, attempt="memory"))
    assert refuses(limit, "WRN-16-4", batch_size=8)
    assert not refuses(limit, "WRN-16-4", batch_size=4)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["before", "after"])
def test_a_larger_one_that_was_trained_takes_the_blame_off_the_variant(
    order: tuple[int, int],
) -> None:
    seen = [trial("WRN-16-4", "out_of_memory", micro_batch=None), trial("WRN-16-8", "stopped")]
    limit = MemoryLimit()
    for place in order:
        limit.learn(seen[place])
    assert not refuses(limit, "WRN-16-4")
    assert not refuses(limit, "WRN-28-10")
    # A still larger one that fails is another matter.
    limit.learn(trial("WRN-28-10", "out_of_memory", micro_batch=None))
    assert refuses(limit, "WRN-28-10")
    assert not refuses(limit, "WRN-16-8")


def test_a_smaller_one_that_was_trained_says_nothing() -> None:
    limit = MemoryLimit()
    limit.learn(trial("WRN-10-1", "completed"))
    limit.learn(trial("WRN-16-4", "out_of_memory", micro_batch=None))
    assert refuses(limit, "WRN-16-4")


def test_it_is_restored_from_finished_trials_or_forgiven() -> None:
    trials = [trial("WRN-16-4", "out_of_memory", micro_batch=None), trial("WRN-10-1")]
    running = replace(trial("WRN-28-10"), outcome=None)
    limit = MemoryLimit()
    limit.restore([*trials, running])
    assert refuses(limit, "WRN-16-8")
    limit = MemoryLimit()
    limit.restore(trials, forgive=True)
    assert not refuses(limit, "WRN-16-8")


def room_for(mib: float) -> Callable[[Assignment, int], EndReport | None]:
    """A device on which what is predicted to take more runs out of memory."""

    def end(assignment: Assignment, epoch: int) -> EndReport | None:
        given = assignment.config
        spec, batch_size = given.architecture, given.recipe.batch_size
        micro_batch = smallest_micro_batch_of(spec, given.input, batch_size)
        if training_memory(spec, given.input, micro_batch).peak_mib <= mib:
            return None
        return EndReport(
            number=assignment.number,
            attempt=assignment.attempt,
            outcome="out_of_memory",
            reason="out of memory at step 1",
        )

    return end


def test_a_search_walks_into_the_wall_a_few_times_and_the_same_ones_after_kills(
    request_in: SearchRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All that fits does so at its smallest micro-batch.
    monkeypatch.setattr("tests.search_support.result_of", partial(result_of, micro_batch=2))
    request_in = request_in.model_copy(update={"confirm": "none"})
    wall = training_memory(parse_name("WRN-16-2"), DIGITS, 2).peak_mib
    said: list[Event] = []
    calm = request_in.model_copy(update={"runs_dir": request_in.runs_dir / "calm"})
    (calm.runs_dir).mkdir()
    (calm.runs_dir / "data").symlink_to((request_in.runs_dir / "data").resolve())
    run_search(calm, said.append, run_trials=SyntheticRunner(end=room_for(wall)))
    now = recorded(calm.runs_dir)
    hit = [t for t in now.trials if t.outcome == "out_of_memory"]
    assert hit
    needed = [_predicted(t) for t in hit]
    assert needed == sorted(needed, reverse=True)  # each one lowered the ceiling
    assert len(set(needed)) == len(needed)
    for refusal in now.refusals:
        if "ran out of memory" in refusal.reason:
            assert any(f"trial {t.number} ran out" in refusal.reason for t in hit)
    assert any("ran out of memory" in refusal.reason for refusal in now.refusals)
    warnings = [e.text for e in said if isinstance(e, WarningNotice) and "ran out of" in e.text]
    assert len(warnings) == len(hit)

    while run_and_die(request_in, SyntheticRunner(end=room_for(wall), die_after=23)):
        pass
    again = recorded(request_in.runs_dir)
    assert again.table == now.table
    assert again.refusals == now.refusals


def _predicted(trial: TrialRecord) -> float:
    given = trial.config
    return training_memory(given.architecture, given.input, 2).peak_mib
