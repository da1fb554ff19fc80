"""The first sections of a report: what came out, before why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archsearch.analysis.finalists import Confirmed
from archsearch.analysis.members import Budget, device_seconds
from archsearch.analysis.recorded_search import RecordedSearch
from archsearch.analysis.superiority import Superiority
from archsearch.analysis.verdict import Verdict
from archsearch.analysis.verdict_text import BUDGET_NAMES, shown_probability
from archsearch.analysis.winner import Winner, interval_covers
from archsearch.objective import Objective
from archsearch.phrases import a_or_an, plural
from archsearch.record.trial import TrialRecord, leaderboard
from archsearch.report.figures_verdict import finalists_figure, verdict_figure
from archsearch.report.parts import (
    Cell,
    Column,
    Section,
    Table,
    number,
    seconds_cell,
    value_cell,
    words,
)

HEADLINE_BUDGET: Budget = "macs"
"""What is matched in the verdict that a report begins with."""

LEADERBOARD_ROWS = 20
ALL_TRIALS_ROWS = 300


def trial_columns(objective: Objective) -> tuple[Column, ...]:
    """What a table tells of every trial; `trial_row` has the cells."""
    return (
        Column("Variant", "text"),
        Column(objective.short.capitalize()),
        Column("Family", "text"),
        Column("Trial"),
        Column("Parameters"),
        Column("MACs"),
        Column("Training"),
        Column("Arm", "text"),
    )


def verdict_section(
    recorded: RecordedSearch, verdicts: Mapping[Budget, Verdict]
) -> Section | None:
    """Which family wins at matched cost, by what is matched; None where there is but one."""
    if len(recorded.families) < 2:
        return None
    rows = [
        (
            words(BUDGET_NAMES[budget]),
            words(pair.first),
            words(pair.second),
            _share(pair),
            _probability(pair),
            number(pair.num_pairs),
        )
        for budget, verdict in verdicts.items()
        for pair in verdict.pairs
    ]
    table = Table(
        "Families against each other at matched cost",
        (
            Column("Matched in", "text"),
            Column("A", "text"),
            Column("B", "text"),
            Column("A beats B (95 % interval)"),
            Column("P(A better)"),
            Column("Pairs"),
        ),
        tuple(rows),
        note="Pairs of random trials that cost the same within a factor of two, nearer ones "
        "weighing more. The intervals hold at every look: a search may be looked at, and made "
        "longer, as often as you like.",
    )
    figures = (
        verdict_figure(verdict, recorded.families, recorded.search.objective)
        for verdict in verdicts.values()
    )
    others = [v.sentence for budget, v in verdicts.items() if budget != HEADLINE_BUDGET]
    return Section(
        "verdict",
        "Verdict",
        (
            "Families are compared by their random arms: members drawn uniformly and never "
            "stopped, each against members of the other family that cost the same. What the "
            "sampler found counts for the best of a family, not here.",
            *others,
        ),
        (table,) if rows else (),
        tuple([f for f in figures if f is not None][:1]),
    )


def _share(pair: Superiority) -> Cell:
    share = pair.share
    if share is None:
        return Cell("–", None)
    told = f"{100 * share.estimate:.0f} % ({100 * share.low:.0f} to {100 * share.high:.0f} %)"
    return Cell(told, share.estimate)


def _probability(pair: Superiority) -> Cell:
    if pair.share is None:
        return Cell("–", None)
    return Cell(shown_probability(pair.probability), pair.probability)


def finalists_section(recorded: RecordedSearch, board: Sequence[Confirmed]) -> Section | None:
    """The finalists that were trained again, and the winner."""
    if not board:
        return None
    objective = recorded.search.objective
    rows = tuple(
        (
            number(place),
            words(confirmed.name),
            value_cell(confirmed.estimate.estimate if confirmed.estimate else None, objective),
            _interval(confirmed),
            number(confirmed.probability_best if confirmed.completed else None, ".2f"),
            words(confirmed.finalist.family),
            number(len(confirmed.completed)),
            value_cell(confirmed.mean, objective),
            number(confirmed.finalist.number, "d"),
            value_cell(confirmed.finalist.value, objective),
        )
        for place, confirmed in enumerate(board, start=1)
    )
    table = Table(
        "Finalists, best first",
        (
            Column("Place"),
            Column("Variant", "text"),
            Column("Estimate"),
            Column("95 % interval", "text"),
            Column("P(best)"),
            Column("Family", "text"),
            Column("Runs"),
            Column("Mean"),
            Column("Trial"),
            Column("Chosen by"),
        ),
        rows,
        note=f"Chosen by: the {objective.short} of the search's own run, which flatters a "
        "finalist and counts nothing here.",
    )
    best, show = board[0], objective.format
    sentences = []
    if best.estimate is not None:
        verb = "leads so far" if recorded.winner is None else "wins"
        sentences.append(
            f"{best.name} {verb}: trained again {plural(len(best.completed), 'time')} with other "
            f"seeds, it reaches {a_or_an(objective.short)} of {show(best.estimate.estimate)} on "
            f"{objective.where} (95 % interval {show(best.estimate.low)} to "
            f"{show(best.estimate.high)}, {interval_covers(best)}; probability "
            f"{best.probability_best:.2f} of being the best finalist)."
        )
    sentences += _test_sentences(recorded.winner)
    for confirmed in board:
        sentences += [
            f"Confirm run {run.number} of {confirmed.name} {run.outcome}: {run.reason}"
            for run in confirmed.unsuccessful
        ]
    figure = finalists_figure(board, recorded.families)
    return Section(
        "finalists",
        "Winner and finalists",
        tuple(sentences),
        (table,),
        (figure,) if figure else (),
    )


def _test_sentences(winner: Winner | None) -> list[str]:
    """What the test split said of the winner, once it was read."""
    test = winner.test_accuracy if winner else None
    if winner is None or winner.reading is None or test is None:
        return []
    read = f"{plural(len(winner.reading.predictions), 'test image')}"
    told = (
        f"On {read}, read once and looked at by no trial, its network (trial "
        f"{winner.model.number}) answers {test.estimate:.4f} right (95 % interval "
        f"{test.low:.4f} to {test.high:.4f})."
    )
    if winner.num_models_read > 1:
        told += (
            f" It is one of {winner.num_models_read} networks of this search that were read on "
            "them."
        )
    return [told]


def _interval(confirmed: Confirmed) -> Cell:
    estimate = confirmed.estimate
    if estimate is None:
        return Cell("–", None)
    low, high = map(confirmed.finalist.objective.format, (estimate.low, estimate.high))
    return Cell(f"{low} to {high}", low)


def leaderboard_section(recorded: RecordedSearch) -> Section:
    """The best fully trained trials, and all trials folded away."""
    board, objective = leaderboard(recorded.trials), recorded.search.objective
    sentences: tuple[str, ...] = ()
    tables: list[Table] = []
    if board:
        note = ""
        if len(board) > LEADERBOARD_ROWS:
            note = f"The best {LEADERBOARD_ROWS} of {len(board):,}; all are in trials.parquet."
        rows = tuple((number(i), *trial_row(t)) for i, t in enumerate(board, start=1))
        tables.append(
            Table(
                f"Fully trained trials by {objective.label}",
                (Column("Place"), *trial_columns(objective)),
                rows[:LEADERBOARD_ROWS],
                note,
            )
        )
    else:
        sentences = ("No trial has been trained to the end.",)
    if recorded.trials:
        tables.append(_all_trials(recorded, board))
    return Section("leaderboard", "Leaderboard", sentences, tuple(tables))


def _all_trials(recorded: RecordedSearch, board: Sequence[TrialRecord]) -> Table:
    trials: Sequence[TrialRecord] = recorded.trials
    note = ""
    if len(trials) > ALL_TRIALS_ROWS:
        newest = recorded.trials[-(ALL_TRIALS_ROWS - LEADERBOARD_ROWS) :]
        chosen = {t.number for t in (*board[:LEADERBOARD_ROWS], *newest)}
        trials = [t for t in trials if t.number in chosen]
        note = (
            f"The best {LEADERBOARD_ROWS} and the newest; all {len(recorded.trials):,} are in "
            "trials.parquet."
        )
    rows = tuple(
        (
            *trial_row(trial),
            words((trial.outcome or "unfinished").replace("_", " ")),
            number(len(trial.epochs)),
            words(trial.reason or ""),
        )
        for trial in trials
    )
    ending = (Column("Outcome", "text"), Column("Epochs"), Column("Reason", "text"))
    return Table(
        "All trials",
        (*trial_columns(recorded.search.objective), *ending),
        rows,
        note,
        is_folded=True,
    )


def trial_row(trial: TrialRecord) -> tuple[Cell, ...]:
    """A trial's cells under `trial_columns`."""
    return (
        words(trial.name),
        value_cell(trial.value, trial.objective),
        words(trial.family),
        number(trial.number, "d"),
        number(trial.complexity.params),
        number(trial.complexity.macs),
        seconds_cell(device_seconds(trial)),
        words(trial.arm),
    )
