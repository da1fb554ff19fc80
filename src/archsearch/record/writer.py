"""What a driver writes: one transaction an event, fenced by its lease.

Each event goes to its own table and, in the same transaction, to the outbox, so tracking is
told of everything that happened and of nothing else.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from archsearch.record import lease
from archsearch.record import tables as t
from archsearch.record.cells import Cell, SearchIdentity, result_cell
from archsearch.record.database import Database, insert, now_ms
from archsearch.record.messages import (
    EpochEnded,
    Payload,
    SearchEnded,
    SearchStarted,
    SystemMetrics,
    TrialEnded,
    TrialStarted,
)
from archsearch.record.outbox import post
from archsearch.record.reader import find_search
from archsearch.record.requests import RequestKind, are_waiting, take_requests
from archsearch.record.settings import SearchSettings
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
    identity: SearchIdentity,
    settings: SearchSettings,
    space: Cell,
) -> SearchRow:
    """The search of that name, made if need be; of two drivers that try, one makes it."""
    with database.write() as connection:
        query = insert(connection, t.searches).values(
            uuid=uuid.uuid4().hex,
            name=name,
            identity=identity.stored(),
            settings=settings.stored(),
            space=space,
            created_ms=now_ms(),
        )
        connection.execute(query.on_conflict_do_nothing(index_elements=["name"]))
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
        load: SystemMetrics | None = None,
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

    def _post(self, connection: Connection, payload: Payload, number: int | None = None) -> None:
        post(connection, self.search_id, payload, number)

    def beat(self, seconds: float) -> None:
        """See `lease.beat`."""
        lease.beat(self.database, self.search_id, self._token, seconds)

    def release(self) -> None:
        """See `lease.release`."""
        lease.release(self.database, self.search_id, self._token)

    def take_requests(self) -> list[RequestKind]:
        """What other commands ask for, in order; a driver that lost its lease takes nothing."""
        if not are_waiting(self.database, self.search_id):
            return []
        with self._event() as connection:
            return take_requests(connection, self.search_id)

    def start(self, announcement: SearchStarted, *, is_wider: bool = False) -> None:
        """A driver begins or continues; what it is asked for may differ from the last time.

        Args:
            announcement: What tracking is told; the record keeps the settings in it.
            is_wider: Whether the search's space has become wider: then the record keeps the
                announcement's identity and space too.
        """
        values = {"settings": announcement.settings.stored()}
        if is_wider:
            values |= {"identity": announcement.identity.stored(), "space": announcement.space}
        with self._event() as connection:
            connection.execute(
                t.searches.update()
                .where(t.searches.c.id == self.search_id)
                .values(finished=False, ending=None, **values)
            )
            self._post(connection, announcement)

    def finish(self, summary: SearchEnded) -> None:
        """A driver ends; `finished` when nothing of what was asked for is left to do."""
        with self._event() as connection:
            connection.execute(
                t.searches.update()
                .where(t.searches.c.id == self.search_id)
                .values(finished=summary.finished, ending=summary.ending)
            )
            self._post(connection, summary)

    def refuse(self, refusal: Refusal) -> None:
        """A draw took no number."""
        with self._event() as connection:
            connection.execute(
                t.refused.insert().values(search_id=self.search_id, **vars(refusal))
            )

    def add_trial(self, trial: TrialRecord) -> None:
        """A trial is issued, with its first attempt."""
        with self._event() as connection:
            values = {
                k: v
                for k, v in vars(trial).items()
                if k not in ("objective", "attempts", "epochs")
            }
            values["config"] = trial.config.model_dump(mode="json")
            values["complexity"] = trial.complexity.stored()
            connection.execute(t.trials.insert().values(search_id=self.search_id, **values))
            self._add_attempt(connection, trial.number, 1)
            started = TrialStarted(
                family=trial.family,
                name=trial.name,
                arm=trial.arm,
                params=trial.params,
                config=trial.config,
                complexity=trial.complexity,
            )
            self._post(connection, started, trial.number)

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
        load: SystemMetrics | None = None,
        shadow_rung_epochs: int | None = None,
        ending: Ending | None = None,
    ) -> None:
        """An epoch is finished, and with it what it decided.

        The decision belongs to the same transaction: a driver killed here either repeats both
        or neither.

        Args:
            number: The trial.
            epoch: One that is not recorded yet.
            load: What the worker asked of its machine, for tracking alone.
            shadow_rung_epochs: Set at the epoch at which the rule would have stopped the trial.
            ending: Set when the trial ends with it.
        """
        values = {k: v for k, v in vars(epoch).items() if k != "sequence"}
        values["result"] = result_cell(epoch.result)
        with self._event() as connection:
            connection.execute(
                t.epochs.insert().values(search_id=self.search_id, number=number, **values)
            )
            told = EpochEnded(epoch=epoch.epoch, result=epoch.result, load=load)
            self._post(connection, told, number)
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
        self._post(connection, TrialEnded(**vars(ending)), number)

    def _trial(self, number: int) -> sa.Update:
        return t.trials.update().where(
            t.trials.c.search_id == self.search_id, t.trials.c.number == number
        )
