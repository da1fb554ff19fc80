"""What every sampler owes a search."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import pytest

from archsearch.record.policy import SamplerName
from archsearch.record.trial import Outcome, Refusal, TrialRecord
from archsearch.search.choices import SAMPLERS
from archsearch.search.sampler import Sampler
from archsearch.spaces.load import parse_space
from archsearch.spaces.space import SearchSpace
from tests.analysis_support import made_trial
from tests.records import DIGITS

SPACE = b"""
families:
  wrn: {depth: {choice: [10, 16, 22]}, widen_factor: {choice: [1, 2, 4]}}
  resnet: {depth: {int: [8, 50], step: 6}}
training: {learning_rate: {float: [0.01, 0.5], log: true}}
fidelity: {max_epochs: 9}
"""
NUM_TRIALS = 24
"""More than the draws that any sampler makes before it learns."""

ENDINGS: tuple[Outcome, ...] = ("completed", "stopped", "diverged", "out_of_memory", "failed")

every_sampler = pytest.mark.parametrize("name", SAMPLERS)


@pytest.fixture
def space() -> SearchSpace:
    return parse_space(SPACE, source="contract")


def trial_of(
    space: SearchSpace, number: int, params: dict[str, Any], outcome: Outcome | None
) -> TrialRecord:
    """A trial with these parameters and as many epochs as its outcome leaves it."""
    config = space.config(params, DIGITS, number, 9)
    family = config.architecture.family
    epochs = {"completed": 9, "stopped": 3}.get(outcome or "", 0)
    trial = made_trial(
        number, family, (number + 1) / 100, arm="sampler", outcome=outcome, epochs=epochs
    )
    return replace(trial, params=params, config=config, config_digest=config.digest)


def played(sampler: Sampler, space: SearchSpace) -> tuple[list[TrialRecord], list[Refusal]]:
    """24 trials with every ending, each third proposal refused once before another is accepted."""
    trials: list[TrialRecord] = []
    refusals: list[Refusal] = []
    for number in range(NUM_TRIALS):
        draw = 0
        if number % 3 == 0:
            kind: Literal["duplicate", "infeasible"] = "duplicate" if number % 2 else "infeasible"
            refused = sampler.propose(number, draw)
            sampler.refuse(kind)
            refusals.append(Refusal(number, kind, "sampler", refused, "the test says so"))
            draw += 1
        params = sampler.propose(number, draw)
        sampler.accept(number, params, proposed=True)
        trial = trial_of(space, number, params, ENDINGS[number % len(ENDINGS)])
        sampler.tell(trial)
        trials.append(trial)
    return trials, refusals


@every_sampler
def test_proposals_are_members_of_the_space(name: SamplerName, space: SearchSpace) -> None:
    trials, refusals = played(SAMPLERS[name](space, 0), space)
    assert all(space.fits(trial.params) for trial in trials)
    assert all(space.fits(refusal.params) for refusal in refusals)


@every_sampler
def test_restored_from_the_record_it_proposes_what_would_have_come_next(
    name: SamplerName, space: SearchSpace
) -> None:
    first, again = (SAMPLERS[name](space, 7) for _ in range(2))
    again.restore(*played(first, space))
    proposals = [each.propose(NUM_TRIALS, draw=0) for each in (first, again)]
    assert proposals[0] == proposals[1]
    for each in (first, again):
        each.refuse("infeasible")
    proposals = [each.propose(NUM_TRIALS, draw=1) for each in (first, again)]
    assert proposals[0] == proposals[1]


@every_sampler
def test_same_seed_same_proposals_and_another_seed_others(
    name: SamplerName, space: SearchSpace
) -> None:
    found = [
        [trial.params for trial in played(SAMPLERS[name](space, seed), space)[0]]
        for seed in (3, 3, 4)
    ]
    assert found[0] == found[1] != found[2]


@every_sampler
def test_a_trial_that_the_space_of_today_has_not_does_no_harm(
    name: SamplerName, space: SearchSpace
) -> None:
    trials, refusals = played(SAMPLERS[name](space, 0), space)
    narrower = parse_space(SPACE.replace(b"[10, 16, 22]", b"[16, 22]"), source="contract")
    sampler = SAMPLERS[name](narrower, 0)
    sampler.restore(trials, refusals)
    assert narrower.fits(sampler.propose(NUM_TRIALS, 0))


@every_sampler
def test_running_trials_and_trials_that_others_proposed_are_taken(
    name: SamplerName, space: SearchSpace
) -> None:
    sampler = SAMPLERS[name](space, 0)
    trials, _ = played(SAMPLERS[name](space, 1), space)
    for trial in trials:
        sampler.accept(trial.number, trial.params)
        sampler.tell(trial_of(space, trial.number, trial.params, None))
        sampler.tell(trial)
        sampler.tell(trial)
    assert space.fits(sampler.propose(NUM_TRIALS, 0))
