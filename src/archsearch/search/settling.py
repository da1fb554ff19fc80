"""The last step of a search: the winner's network answers the test split, once."""

from __future__ import annotations

from collections.abc import Sequence

from archsearch.analysis.winner import Winner, find_winner
from archsearch.record.database import Database
from archsearch.record.paths import RunsFolder
from archsearch.record.reader import read_trials
from archsearch.record.trial import SearchRow, TrialRecord
from archsearch.search.events import Listener, Warned, WinnerFound
from archsearch.search.interruption import InterruptedSearchError


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

    from archsearch.tracking.candidate import find_candidate, read_test_split

    candidate = find_candidate(database, search, runs, found.model.number)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    read_test_split(database, candidate, candidate.model().to(device), force=force)
    return find_winner(database, search, trials)


def settle_winner(
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
        listener(Warned(told))
        return
    if found is not None and (force or before is None or before.reading is None):
        listener(WinnerFound(found.as_json()))
