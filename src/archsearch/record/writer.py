"""What a driver writes: one transaction an event, fenced by its lease.

Each event goes to its own table and, in the same transaction, to the outbox, so tracking is
told of everything that happened and of nothing else.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from archsearch.record import lease
from archsearch.record import tables as t
from archsearch.record.database import Database, now_ms
from archsearch.record.outbox import post
from archsearch.record.reader import find_search
from archsearch.record.trial import EpochRecord, Outcome, Refusal, SearchRow, TrialRecord


@dataclass(frozen=True)
class Ending:
    """How a trial ended; `rung_epochs` where it was stopped."""

    outcome: Outcome
    reason: str
    rung_epochs: int | None = None


def create_search(
    database: Database,
    name: str,
    *,
    identity: dict[str, Any],
    settings: dict[str, Any],
    space: dict[str, Any],
) -> SearchRow:
    """The search of that name, made if need be; of two drivers that try, one makes it."""
    with database.write_alone() as connection:
        known = connection.scalar(sa.select(t.searches.c.id).where(t.searches.c.name == name))
        if known is None:
            connection.execute(
                t.searches.insert().values(
                    uuid=uuid.uuid4().hex,
                    name=name,
                    identity=identity,
                    settings=settings,
                    space=space,
                    created_ms=now_ms(),
                )
            )
    row = find_search(database, name)
    assert row is not None
    return row


class TrialWriter(Protocol):
    """What a director has written down; `Writer` says what each call means."""

    def add_trial(self, trial: TrialRecord) -> None:
        """A trial is issued, with its first attempt."""
        ...

    def add_attempt(self, number: int, attempt: int) -> None:
        """An unfinished trial is issued again."""
        ...

    def end_attempts(self, number: int, ended: str, reason: str) -> None:
        """Whatever attempt of that trial still counted as running has ended."""
        ...

    def add_epoch(
        self,
        number: int,
        epoch: EpochRecord,
        *,
        shadow_rung_epochs: int | None = None,
        ending: Ending | None = None,
    ) -> None:
        """An epoch is finished, and with it what it decided."""
        ...

    def end_trial(self, number: int, ending: Ending) -> None:
        """A trial ends without a further epoch."""
        ...


class Writer:
    """The one writer of a search, as long as its token is the newest."""

    def __init__(self, database: Database, search_id: int, token: int) -> None:
        self.database = database
        self.search_id = search_id
        self._token = token

    @contextmanager
    def _event(self) -> Iterator[Connection]:
        with self.database.write() as connection:
            lease.check(connection, self.search_id, self._token)
            yield connection

    def _post(
        self,
        connection: Connection,
        kind: str,
        payload: dict[str, Any],
        number: int | None = None,
    ) -> None:
        post(connection, self.search_id, kind, payload, number)

    def beat(self, seconds: float) -> None:
        """See `lease.beat`."""
        lease.beat(self.database, self.search_id, self._token, seconds)

    def release(self) -> None:
        """See `lease.release`."""
        lease.release(self.database, self.search_id, self._token)

    def start(
        self,
        settings: dict[str, Any],
        announcement: dict[str, Any],
        *,
        wider: dict[str, Any] | None = None,
    ) -> None:
        """A driver begins or continues; `settings` may differ from the last one's.

        Args:
            settings: What is asked for now.
            announcement: What tracking is told.
            wider: The `identity` and the `space` of a search whose space has become wider.
        """
        with self._event() as connection:
            connection.execute(
                t.searches.update()
                .where(t.searches.c.id == self.search_id)
                .values(settings=settings, finished=False, ending=None, **(wider or {}))
            )
            self._post(connection, "search_started", announcement)

    def finish(self, *, finished: bool, ending: str, summary: dict[str, Any]) -> None:
        """A driver ends; `finished` when nothing of what was asked for is left to do."""
        with self._event() as connection:
            connection.execute(
                t.searches.update()
                .where(t.searches.c.id == self.search_id)
                .values(finished=finished, ending=ending)
            )
            self._post(
                connection, "search_ended", summary | {"finished": finished, "ending": ending}
            )

    def refuse(self, refusal: Refusal) -> None:
        """A draw took no number."""
        with self._event() as connection:
            connection.execute(
                t.refused.insert().values(search_id=self.search_id, **vars(refusal))
            )

    def add_trial(self, trial: TrialRecord) -> None:
        """A trial is issued, with its first attempt."""
        with self._event() as connection:
            values = {k: v for k, v in vars(trial).items() if k not in ("attempts", "epochs")}
            values["config"] = trial.config.model_dump(mode="json")
            connection.execute(t.trials.insert().values(search_id=self.search_id, **values))
            self._add_attempt(connection, trial.number, 1)
            payload = {
                k: values[k] for k in ("family", "name", "arm", "params", "config", "complexity")
            }
            self._post(connection, "trial_started", payload, trial.number)

    def add_attempt(self, number: int, attempt: int) -> None:
        """An unfinished trial is issued again."""
        with self._event() as connection:
            self._add_attempt(connection, number, attempt)

    def _add_attempt(self, connection: Connection, number: int, attempt: int) -> None:
        connection.execute(
            t.attempts.insert().values(
                search_id=self.search_id, number=number, attempt=attempt, created_ms=now_ms()
            )
        )

    def end_attempts(self, number: int, ended: str, reason: str) -> None:
        """Whatever attempt of that trial still counted as running has ended."""
        with self._event() as connection:
            self._end_attempts(connection, number, ended, reason)

    def _end_attempts(self, connection: Connection, number: int, ended: str, reason: str) -> None:
        connection.execute(
            t.attempts.update()
            .where(
                t.attempts.c.search_id == self.search_id,
                t.attempts.c.number == number,
                t.attempts.c.ended.is_(None),
            )
            .values(ended=ended, reason=reason)
        )

    def add_epoch(
        self,
        number: int,
        epoch: EpochRecord,
        *,
        shadow_rung_epochs: int | None = None,
        ending: Ending | None = None,
    ) -> None:
        """An epoch is finished, and with it what it decided.

        The decision belongs to the same transaction: a driver killed here either repeats both
        or neither.

        Args:
            number: The trial.
            epoch: One that is not recorded yet.
            shadow_rung_epochs: Set at the epoch at which the rule would have stopped the trial.
            ending: Set when the trial ends with it.
        """
        values = {k: v for k, v in vars(epoch).items() if k not in ("sequence", "load")}
        with self._event() as connection:
            connection.execute(
                t.epochs.insert().values(search_id=self.search_id, number=number, **values)
            )
            payload = {"epoch": epoch.epoch, "result": epoch.result, "load": epoch.load}
            self._post(connection, "epoch", payload, number)
            if shadow_rung_epochs is not None:
                connection.execute(
                    self._trial(number).values(shadow_rung_epochs=shadow_rung_epochs)
                )
            if ending is not None:
                self._end(connection, number, ending)

    def end_trial(self, number: int, ending: Ending) -> None:
        """A trial ends without a further epoch."""
        with self._event() as connection:
            self._end(connection, number, ending)

    def _end(self, connection: Connection, number: int, ending: Ending) -> None:
        connection.execute(self._trial(number).values(**vars(ending), finished_ms=now_ms()))
        self._end_attempts(connection, number, "finished", ending.reason)
        self._post(connection, "trial_ended", dict(vars(ending)), number)

    def _trial(self, number: int) -> sa.Update:
        return t.trials.update().where(
            t.trials.c.search_id == self.search_id, t.trials.c.number == number
        )
