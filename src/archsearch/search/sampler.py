"""What proposes members of a search space: the door for another sampler."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from archsearch.record.trial import Refusal, TrialRecord


class Sampler(Protocol):
    """Proposes members of one search space and learns from how their trials went.

    A search has one sampler, which is made from the space and the search's seed. It is asked only
    when a slot is free. It never sees confirm runs, and it need not be safe for several threads.

    Call order:
        1. `restore`, once, before anything else, when a search is continued.
        2. `propose`, then `accept(…, proposed=True)` or `refuse` for that proposal, before the
           next `propose`. `accept` without `proposed` may come at any time in between: the search
           has issued a trial that the sampler did not propose.
        3. `tell`, any number of times for a trial that was accepted, whenever it has changed.

    Obligations:
        - A proposal follows from the space, the seed, `position`, `draw` and what the sampler was
          told. A sampler that was restored from the record proposes what the one that made the
          record would have proposed next. So it seeds a generator of its own with each call.
        - A proposal is a member of the space as far as ranges and choices go. Whether it can be
          built and fits the caps is for the caller to judge, who refuses it otherwise.
        - It does not raise for a trial whatever its outcome, nor for recorded parameters that the
          space of today does not have.
    """

    def restore(self, trials: Sequence[TrialRecord], refusals: Sequence[Refusal]) -> None:
        """Take over what is recorded, as far as it fits the space of today.

        Args:
            trials: All recorded ones, confirm runs included, which are passed over.
            refusals: All recorded ones, in the order in which they were drawn.
        """
        ...

    def propose(self, position: int, draw: int) -> dict[str, Any]:
        """Parameters for the search trial at `position`, as `family/field` and `family`.

        Args:
            position: How many search trials were accepted before.
            draw: How many proposals for this position were refused before.
        """
        ...

    def accept(
        self, number: int, params: dict[str, Any] | None, *, proposed: bool = False
    ) -> None:
        """Trial `number` is issued with these parameters.

        Args:
            number: The trial's.
            params: None where the space of today has no such member: the trial counts, and the
                sampler learns nothing of it.
            proposed: Whether they are those of the open proposal.
        """
        ...

    def refuse(self, kind: str) -> None:
        """The open proposal takes no number; `kind` is that of its `Refusal`."""
        ...

    def tell(self, trial: TrialRecord) -> None:
        """How an accepted trial stands now; nothing to do while it simply runs."""
        ...
