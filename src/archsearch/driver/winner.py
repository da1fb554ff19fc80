"""The last step of a search: the winner's network answers the test split, once; all are told."""

from __future__ import annotations

from collections.abc import Sequence

from archsearch.analysis.winner import Winner, find_winner
from archsearch.driver.final_report import write_final_report
from archsearch.driver.result import summary_of
from archsearch.driver.signals import InterruptedSearchError
from archsearch.record.database import Database
from archsearch.record.messages import SearchEnded, WinnerRead
from archsearch.record.outbox import Outbox
from archsearch.record.paths import RunsFolder
from archsearch.record.reader import read_trials
from archsearch.record.trial import SearchRow, TrialRecord
from archsearch.search.events import Listener, WarningNotice, WinnerFound


def read_winner(
    database: Database,
    search: SearchRow,
    runs: RunsFolder,
    trials: Sequence[TrialRecord],
    *,
    force: bool = False,
) -> Winner | None:
    """The winner with its reading of the test split, which is made now if it was not before.

    Needs no lease: of several processes that do it at once, the first one's reading counts.

    Args:
        database: The record.
        search: As its driver has left it.
        runs: Where the search's files are.
        trials: Of the search.
        force: Read again although there is a reading; it is recorded beside the first one, as
            forced, and replaces nothing.

    Raises:
        UnfitError: The network's checkpoint or the data is not here or damaged.
    """
    found = find_winner(database, search, trials)
    if found is None or (found.reading is not None and not force):
        return found
    import torch

    from archsearch.record.test_split import read_test_split
    from archsearch.record.trained import find_candidate

    candidate = find_candidate(database, search, runs, found.model.number)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    read_test_split(database, candidate, candidate.network().to(device), force=force)
    return find_winner(database, search, trials)


def announce_winner(
    database: Database,
    search: SearchRow,
    runs: RunsFolder,
    listener: Listener,
    *,
    force: bool = False,
) -> None:
    """`read_winner` for a driver: the listener is told, and a search does not fail for it.

    Raises:
        InterruptedSearchError: A signal came; the same command reads later.
    """
    trials = read_trials(database, search.id)
    before = find_winner(database, search, trials)
    try:
        found = read_winner(database, search, runs, trials, force=force)
    except InterruptedSearchError:
        raise
    except Exception as error:  # whatever a last step runs into, the trials are there
        told = f"the test split was not read ({error}); the same command tries again"
        listener(WarningNotice(told))
        return
    if found is not None and (force or before is None or before.reading is None):
        listener(WinnerFound(found.as_json(), search.objective))
    tell_of_reading(database, search, runs, trials, listener)


def tell_of_reading(
    database: Database,
    search: SearchRow,
    runs: RunsFolder,
    trials: Sequence[TrialRecord],
    listener: Listener = lambda event: None,
) -> bool:
    """Renew what a finished search has told of its winner, if the test split was read since.

    A driver tells of its reading when it ends. One that is made later, by the same command or by
    a promotion, is told here: to tracking, which is not told twice, and in the report.

    Args:
        database: The record.
        search: As its driver has left it.
        runs: Where the search's files are.
        trials: Of the search.
        listener: Told if the report cannot be written.

    Returns:
        Whether there is a new message for tracking.
    """
    found = find_winner(database, search, trials)
    if not search.finished or found is None or found.reading is None:
        return False
    outbox, winner = Outbox(database, search.id), found.as_row()
    kinds = (SearchEnded.KIND, WinnerRead.KIND)
    last = outbox.last(*kinds)
    told = last.payload.winner if last and isinstance(last.payload, SearchEnded) else None
    if told is not None and (told.model_trial, told.test_accuracy) == (
        winner.model_trial,
        winner.test_accuracy,
    ):
        return False
    paths = runs.of(search)
    reports = write_final_report(database, search, paths, trials, listener)
    message = summary_of(WinnerRead, search, list(trials), paths, found, reports)
    return outbox.add(message, after=last, among=kinds)
