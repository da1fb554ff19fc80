"""How a search decides is chosen once, recorded, and kept by every resume."""

from __future__ import annotations

from typing import Any

import pytest

from archsearch.driver.run import run_search
from archsearch.errors import UsageError
from archsearch.record.database import Database
from archsearch.record.paths import RunsFolder
from archsearch.record.policy import Policy
from archsearch.record.reader import get_search
from archsearch.record.settings import SearchSettings
from archsearch.record.trial import TrialRecord
from archsearch.search.request import SearchRequest
from tests.search_support import SyntheticRunner, run_and_die


@pytest.fixture
def named(request_in: SearchRequest) -> SearchRequest:
    return request_in.model_copy(update={"name": "mine"})


def trials(request: SearchRequest, **changes: Any) -> list[TrialRecord]:
    """The trials after a command with these changes has ended."""
    asked = request.model_copy(update=changes)
    return run_search(asked, run_trials=SyntheticRunner()).trials


def settings(request: SearchRequest, name: str = "mine") -> SearchSettings:
    """What the record keeps of what was asked for."""
    database = Database.open(RunsFolder(request.runs_dir).search(name).database, create=False)
    try:
        return get_search(database, name).settings
    finally:
        database.close()


@pytest.mark.parametrize(
    ("option", "begun", "other"),
    [("sampler", "uniform", "tpe"), ("scheduler", "none", "stopping")],
)
def test_a_resume_keeps_the_choice_and_refuses_another(
    named: SearchRequest, option: str, begun: str, other: str
) -> None:
    assert run_and_die(named.model_copy(update={option: begun}), SyntheticRunner(die_after=30))
    with pytest.raises(UsageError, match=f"--{option} was {begun}, now {other}"):
        trials(named, **{option: other})
    table = [(t.params, t.outcome) for t in trials(named)]
    at_once = named.model_copy(update={option: begun, "name": "whole"})
    assert table == [(t.params, t.outcome) for t in trials(at_once)]
    assert getattr(settings(named), option) == begun


def test_a_resume_keeps_its_random_share_unless_another_is_asked_for(
    named: SearchRequest,
) -> None:
    half = trials(named, trials=10, random_share=0.5)
    assert sum(trial.arm == "random" for trial in half) in (4, 5)  # one draw is a baseline
    more = trials(named, trials=20)
    assert sum(trial.arm == "random" for trial in more) in (9, 10)
    last = trials(named, trials=24, random_share=0.0)
    assert [trial.arm for trial in last[20:]].count("random") == 0


def test_without_a_stopping_rule_every_trial_is_trained_to_its_end(named: SearchRequest) -> None:
    assert any(trial.outcome == "stopped" for trial in trials(named))
    whole = trials(named, name="whole", scheduler="none")
    assert {trial.outcome for trial in whole} == {"completed"}
    assert settings(named, "whole").rungs == ()


def test_a_record_that_names_no_policy_means_that_of_0_1_0(named: SearchRequest) -> None:
    trials(named, trials=1)
    written = settings(named).stored()
    old = {k: v for k, v in written.items() if k not in ("sampler", "scheduler", "control_share")}
    assert SearchSettings.model_validate(old | {"random_share": 0.25}).policy == Policy(
        sampler="tpe", scheduler="stopping", random_share=0.25, control_share=0.05
    )
