"""Which trial is next, and why none is: the director's queue, without what is in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Pause(Enum):
    """Why there is no assignment now."""

    WAIT = "nothing can be started yet"
    DONE = "nothing is left to start"


class NextWork(Enum):
    """What the next free worker is for, if not for a trial that waits."""

    NEW = "a trial that was not issued before"
    CONFIRM = "a confirm run, if one is due: the search has all the trials that it wants"


@dataclass
class Agenda:
    """Trials by number: those that run, those that wait to go on, and how many may follow.

    Attributes:
        num_trials: How many trials were asked for, confirm runs not counted.
        running: Those that a worker has now.
        waiting: Those to be issued again, first come first served.
        alone: Those that must run while no other does, one after the other: their machine's
            memory was not enough.
        draining: Why running trials end with their next epoch; None while they go on.
        closed: Why no new trial starts; None while new ones may.
        exhausted: Whether the space has nothing new to offer.
        paused: Whether everything waits.
    """

    num_trials: int
    running: set[int] = field(default_factory=set)
    waiting: list[int] = field(default_factory=list)
    alone: list[int] = field(default_factory=list)
    draining: str | None = None
    closed: str | None = None
    exhausted: bool = False
    paused: bool = False

    @property
    def holds_up(self) -> bool:
        """Whether running trials are to be let go after their epoch."""
        return self.draining is not None or self.paused

    def asks_for_more(self, num_issued: int) -> bool:
        """Whether new trials belong to what was asked for, be they allowed now or not."""
        return not self.exhausted and num_issued < self.num_trials

    def num_open(self, num_issued: int) -> int:
        """Trials that could run now if there were room for all; confirm runs come later."""
        if self.holds_up:
            return len(self.running)
        if self.alone:
            return max(len(self.running), 1)
        new = self.num_trials - num_issued if self.closed is None and not self.exhausted else 0
        return len(self.running) + len(self.waiting) + max(0, new)

    def next(self, num_slots: int, num_issued: int) -> int | NextWork | Pause:
        """The number of a trial that waits, NEW, CONFIRM, or why there is nothing to start."""
        if self.draining is not None:
            return Pause.DONE
        if self.paused or len(self.running) >= num_slots:
            return Pause.WAIT
        if self.alone:
            return Pause.WAIT if self.running else self.alone[0]
        if self.waiting:
            return self.waiting.pop(0)
        if self.closed is None:
            return NextWork.NEW if self.asks_for_more(num_issued) else NextWork.CONFIRM
        return self.idle

    @property
    def idle(self) -> Pause:
        """What there is to do when nothing can be started: a running trial may come back lost."""
        return Pause.WAIT if self.running else Pause.DONE

    def ended(self, number: int) -> None:
        """A trial has its outcome."""
        if number in self.alone:
            self.alone.remove(number)

    def goes_on(self, number: int, *, alone: bool = False) -> None:
        """A trial has lost its worker and wants another, perhaps a machine to itself."""
        if number in self.alone:
            return
        (self.alone if alone else self.waiting).append(number)
