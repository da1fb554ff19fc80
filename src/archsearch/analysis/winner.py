"""A search's winner as its record has it: the variant, the network, what the test split said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from archsearch.analysis.finalists import (
    ESTIMATOR,
    Confirmed,
    confirmed,
    is_confirmed,
    leader_of,
    missing_runs,
    parse_confirm,
    winner_model,
)
from archsearch.analysis.intervals import Interval, wilson_interval
from archsearch.objective import DEFAULT
from archsearch.phrases import plural
from archsearch.record.cells import finite
from archsearch.record.database import Database
from archsearch.record.messages import ConfirmedRow, WinnerRow
from archsearch.record.readings import TestReading, read_readings
from archsearch.record.status import SearchStatus
from archsearch.record.trial import (
    SearchRow,
    TrialRecord,
    confirm_runs,
    incumbent,
    search_trials,
)


@dataclass(frozen=True)
class Winner:
    """What a confirmed search has found.

    Attributes:
        confirmed: The winning variant with its estimate.
        model: The confirm run whose network is used.
        reading: Of the test split by that network; None before it was read.
        num_models_read: How many networks of the search have been read on the test split: a
            search that was extended may have had another winner before.
    """

    confirmed: Confirmed
    model: TrialRecord
    reading: TestReading | None
    num_models_read: int

    @property
    def test_accuracy(self) -> Interval | None:
        """Share of the test images that the network answers right, with Wilson's interval."""
        if self.reading is None:
            return None
        num_test = len(self.reading.predictions)
        return wilson_interval(round(self.reading.accuracy * num_test), num_test)

    def as_json(self) -> dict[str, Any]:
        """The winner as one JSON object."""
        return self.as_row().as_json(self.model.objective)

    def as_row(self) -> WinnerRow:
        """The winner as tracking and users are told of it."""
        test = self.test_accuracy
        return WinnerRow(
            **vars(confirmed_row(self.confirmed)),
            model_trial=self.model.number,
            model_value=self.model.value,
            test_accuracy=None if test is None else test.estimate,
            test_interval=None if test is None else (test.low, test.high),
            num_test=None if self.reading is None else len(self.reading.predictions),
            models_read_on_test=self.num_models_read,
        )


def find_winner(
    database: Database, search: SearchRow, trials: Sequence[TrialRecord]
) -> Winner | None:
    """`winner_of` with what the record says of the readings."""
    return winner_of(search, trials, read_readings(database, search.id))


def no_better_than_constant(search: SearchRow, trials: Sequence[TrialRecord]) -> str | None:
    """That the best network is not better than one answer for all images; None where it is.

    Args:
        search: Its settings say what one answer for all reaches.
        trials: All of its.
    """
    constant = search.settings.constant_accuracy
    board = finalists_of(search, trials)
    best, leader = incumbent(list(trials)), leader_of(board)
    reached = best.value if best is not None else None
    if leader is not None and leader.estimate is not None:
        reached = leader.estimate.estimate
    if best is None or best.objective.name != DEFAULT.name:
        return None
    if constant is None or reached is None or reached > constant:
        return None
    return (
        f"Nothing was learned that can be seen: the best reaches {reached:.4f} of the validation "
        f"images, and one answer for all of them {constant:.4f}"
    )


def finalists_of(search: SearchRow, trials: Sequence[TrialRecord]) -> list[Confirmed]:
    """What the confirm runs of a search say of each finalist, best first; see `confirmed`."""
    spec = parse_confirm(search.settings.confirm or "none")
    return confirmed(
        trials,
        num_images=search.settings.data.num_val,
        num_seeds=0 if spec is None else spec.num_seeds,
    )


def winner_of(
    search: SearchRow, trials: Sequence[TrialRecord], readings: Sequence[TestReading]
) -> Winner | None:
    """The winner of a search whose confirm runs have all ended; None before, and without any.

    Args:
        search: As its last driver has left it: its settings say how many runs are wanted.
        trials: All of its.
        readings: All of its.
    """
    spec = parse_confirm(search.settings.confirm or "none")
    best, model = leader_of(finalists_of(search, trials)), winner_model(trials)
    if best is None or model is None or not is_confirmed(trials, spec):
        return None
    own = (r for r in readings if r.subject.number == model.number and not r.forced)
    models = {(r.subject.number, r.subject.checksum) for r in readings}
    return Winner(best, model, next(own, None), len(models))


@dataclass(frozen=True)
class ModelChoice:
    """Which network stands for a search, and what that rests on.

    Attributes:
        number: Its trial; None for the best completed one.
        told: How it was chosen, for a person.
        caution: What speaks against relying on it; None where all confirm runs have ended.
    """

    number: int | None
    told: str
    caution: str | None


def choose_model(search: SearchRow, trials: Sequence[TrialRecord]) -> ModelChoice:
    """The network that stands for a search as it is now, finished or not.

    Args:
        search: As its last driver has left it.
        trials: All of its.
    """
    objective = search.objective
    spec = parse_confirm(search.settings.confirm or "none")
    runs, number = confirm_runs(trials), model_number(trials)
    num_ended = sum(run.is_finished for run in runs)
    num_wanted = len(runs) + len(missing_runs(trials, spec))
    searched = len(search_trials(trials))
    if not search.finished and _is_searching(search, trials):
        told, caution = "the best so far", "the search has not ended: a better one may come"
    elif num_wanted == 0:
        told = f"the best of {plural(searched, 'trial')}, by {objective.name}"
        caution = "no confirm runs were asked for: the best of many results flatters itself"
    elif num_ended < num_wanted:
        told = "the best so far"
        caution = (
            f"{num_ended} of {plural(num_wanted, 'confirm run')} have ended: another variant may "
            "win; the search's command goes on with them"
        )
    elif number is None:
        told = f"the best of {plural(searched, 'trial')}, by {objective.name}"
        caution = f"none of its {plural(num_wanted, 'confirm run')} was trained to the end"
    else:
        told, caution = f"the winner of {plural(num_wanted, 'confirm run')}", None
    return ModelChoice(number, told, caution)


def _is_searching(search: SearchRow, trials: Sequence[TrialRecord]) -> bool:
    """Whether trials that were asked for are still to be begun or ended."""
    searched = search_trials(trials)
    return len(searched) < search.settings.trials or not all(
        trial.is_finished for trial in searched
    )


def model_number(trials: Sequence[TrialRecord]) -> int | None:
    """The trial whose network stands for a search, as `find_candidate` takes it.

    It is the winner's where a confirm run has completed; None, for the best completed trial,
    where there is none.
    """
    model = winner_model(trials)
    return None if model is None else model.number


def standing_of(status: SearchStatus) -> tuple[list[Confirmed], Winner | None]:
    """The finalists, best first, and the winner if it is known."""
    trials = status.trials
    return finalists_of(status.search, trials), winner_of(status.search, trials, status.readings)


def confirmed_row(entry: Confirmed) -> ConfirmedRow:
    """What the confirm runs of one finalist say, as tracking and users are told of it."""
    estimate = entry.estimate
    return ConfirmedRow(
        name=entry.name,
        family=entry.finalist.family,
        trial=entry.finalist.number,
        search_value=entry.finalist.value,
        runs=tuple(run.number for run in entry.runs),
        completed=len(entry.completed),
        unsuccessful={str(r.number): f"{r.outcome}: {r.reason}" for r in entry.unsuccessful},
        mean=entry.mean,
        estimate=None if estimate is None else estimate.estimate,
        interval=None if estimate is None else (finite(estimate.low), finite(estimate.high)),
        interval_covers=("seeds", "images") if entry.covers_images else ("seeds",),
        probability_best=entry.probability_best,
        estimator=ESTIMATOR,
    )


def standing_json(entries: Sequence[Confirmed], best: Winner | None) -> dict[str, Any]:
    """The finalists and the winner as JSON."""
    return {
        "confirmed": [confirmed_row(entry).as_json(entry.finalist.objective) for entry in entries],
        "winner": None if best is None else best.as_json(),
    }


def interval_covers(entry: Confirmed) -> str:
    """What the interval of a finalist's estimate is over, for a person."""
    if entry.covers_images:
        return "over seeds and validation images, which the finalists share"
    return "over seeds; the validation images stay the same"


def standing_lines(entries: Sequence[Confirmed], best: Winner | None) -> list[str]:
    """The finalists as a table, what went wrong, and the winner, for a person; may be empty."""
    if not entries:
        return []
    rows = [_HEADER, *(_row(place, entry) for place, entry in enumerate(entries, start=1))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    objective = entries[0].finalist.objective
    lines = [f"Confirmed: finalists trained again from scratch, by {objective.label}"]
    for row in rows:
        cells = (
            cell.ljust(width) if title in _LEFT else cell.rjust(width)
            for title, cell, width in zip(_HEADER, row, widths, strict=True)
        )
        lines.append(("  " + "  ".join(cells)).rstrip())
    lines.append(f"  estimate: {ESTIMATOR}")
    lines.append(f"  interval: {interval_covers(entries[0])}")
    for entry in entries:
        lines += [
            f"  run {run.number} of {entry.name} {run.outcome}: {run.reason}"
            for run in entry.unsuccessful
        ]
    return lines + (["", *_winner_lines(best)] if best is not None else [])


_HEADER = (
    "#",
    "trial",
    "variant",
    "estimate",
    "95 % interval",
    "runs",
    "in search",
    "P(best)",
)
_LEFT = ("variant",)


def _row(place: int, entry: Confirmed) -> tuple[str, ...]:
    estimate, show = entry.estimate, entry.finalist.objective.format
    return (
        str(place),
        str(entry.finalist.number),
        entry.name,
        "–" if estimate is None else show(estimate.estimate),
        "–" if estimate is None else f"{show(estimate.low)}–{show(estimate.high)}",
        f"{len(entry.completed)} of {entry.num_wanted}",
        entry.finalist.shown_value,
        "–" if entry.mean is None else f"{entry.probability_best:.2f}",
    )


def _winner_lines(best: Winner) -> list[str]:
    finalist, test = best.confirmed.finalist, best.test_accuracy
    lines = [
        f"Winner: {finalist.name} (trial {finalist.number}); its network is trial "
        f"{best.model.number}, {best.model.shown_value} on {finalist.objective.where}"
    ]
    if best.reading is None or test is None:
        lines.append("  test split: not read yet")
        return lines
    others = best.num_models_read - 1
    lines.append(
        f"  test split: {test.estimate:.4f} of {len(best.reading.predictions):,} images right "
        f"({test.low:.4f}–{test.high:.4f}); read once, the answers are kept"
        + (f"; {plural(others, 'earlier model')} read it too" if others else "")
    )
    return lines
