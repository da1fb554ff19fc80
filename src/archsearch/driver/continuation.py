"""What a command means for a search that is on record already: as it was, longer, or wider."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError

from archsearch.driver.plan import Plan
from archsearch.errors import UsageError
from archsearch.halving.rungs import Ladder
from archsearch.record.cells import Cell, EarlierSpace, SearchIdentity
from archsearch.record.trial import SearchRow, TrialRecord, search_trials
from archsearch.search.identity import check_identity
from archsearch.search.request import MAX_TRIALS, SearchRequest
from archsearch.spaces.space import SearchSpace
from archsearch.spaces.widening import Difference, difference


@dataclass(frozen=True)
class Widening:
    """A search goes on in a wider space than it was begun in.

    Attributes:
        added: What the space has now that it had not, for a person.
        identity: Of the search from now on; `earlier_spaces` tells which were searched before,
            up to which trial, and of which families the uniform draws are others since.
        space: The wider one as the record keeps it, under the name that it had.
    """

    added: tuple[str, ...]
    identity: SearchIdentity
    space: Cell

    @property
    def sentence(self) -> str:
        """What a user is told."""
        return f"The space is wider than before: {'; '.join(self.added)}."


def as_recorded(plan: Plan, search: SearchRow, trials: Sequence[TrialRecord]) -> Plan:
    """The plan with what follows from the record: how many trials, the policy, and the rungs.

    Rungs are fixed for a search. They follow from the largest batch of its space, so a wider
    space could move them, and trials would be compared at other epochs than those before.
    """
    ladder = plan.ladder
    policy = plan.request.policy(search.name, search.settings.policy)
    rungs = search.settings.rungs
    if policy.scheduler != "none" and rungs != ladder.rungs:
        first = rungs[0] if rungs else ladder.max_epochs
        ladder = Ladder(first, ladder.max_epochs, ladder.reduction_factor)
    request = _with_target(plan.request, search, trials)
    return replace(plan, ladder=ladder, policy=policy, request=request)


def _with_target(
    request: SearchRequest, search: SearchRow, trials: Sequence[TrialRecord]
) -> SearchRequest:
    """The request with its number of trials, where it asks for so many more.

    The same `+N` once more, while what it asked for is not finished, goes on with that: a
    command that is repeated after each crash must not ask for more each time.

    Raises:
        UsageError: There would be too many.
    """
    more = request.more_trials
    if more is None:
        return request
    asked = search.settings.trials
    if search.finished:
        target = len(search_trials(trials)) + more
    elif search.settings.more_trials == more:
        target = asked
    else:
        target = asked + more
    if target > MAX_TRIALS:
        raise UsageError(
            f"--trials +{more}: the search {search.name!r} was asked for {asked:,} before, and "
            f"{MAX_TRIALS:,} are the most"
        )
    return request.model_copy(update={"trials": target})


def widening_of(plan: Plan, search: SearchRow, num_trials: int) -> Widening | None:
    """How the plan's space is wider than the recorded one; None where they mean the same.

    Raises:
        UsageError: The search is another one; the sentence says in what.
    """
    digest = plan.identity.space
    if search.identity.space == digest:
        check_identity(search.name, search.identity, plan.identity)
        return None
    changes = _changes(search, plan.space)
    if changes is None or not changes.is_wider:
        lost = () if changes is None else changes.lost
        check_identity(search.name, search.identity, plan.identity, space_changes=lost)
    now = search.identity.model_copy(update={"space": digest})
    check_identity(search.name, now, plan.identity)
    assert changes is not None
    earlier = EarlierSpace(
        space=search.identity.space, num_trials=num_trials, redrawn=tuple(changes.redrawn)
    )
    spaces = (*search.identity.earlier_spaces, earlier)
    return Widening(
        added=changes.added,
        identity=now.model_copy(update={"earlier_spaces": spaces}),
        space=plan.space.model_dump(mode="json") | {"name": search.space.get("name")},
    )


def _changes(search: SearchRow, space: SearchSpace) -> Difference | None:
    """What is different; None where the recorded space cannot be read by this release."""
    try:
        return difference(SearchSpace.model_validate(search.space), space)
    except ValidationError:
        return None
