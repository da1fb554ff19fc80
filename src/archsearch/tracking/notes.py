"""What a person reads first on a search's page: its note, and its leaderboard. Pure functions."""

from __future__ import annotations

import json

from archsearch.objective import Objective, objective_named
from archsearch.record.messages import (
    ConfirmedRow,
    LeaderboardRow,
    SearchEnded,
    SearchStarted,
)
from archsearch.redaction import redact
from archsearch.tracking.translation import LONGEST_TAG, question

_NOTE_ROWS = 20
_RULER = "\n\n---\n"
_RESULT = "**Result:** "


def opening_note(told: SearchStarted) -> str:
    """What a person reads on a search that still runs."""
    description = question(told)
    lines = [
        f"**{told.name}** asks: {description}" if description else f"**{told.name}**",
        "",
        f"Data: {told.data.name}, {told.data.num_train} training images. "
        "Nested runs are its trials; tags `outcome` and `reason` say how each one ended.",
    ]
    return redact("\n".join(lines))[: LONGEST_TAG // 2]


def closing_note(note: str, told: SearchEnded, name: str) -> str:
    """The note of a search that ended: what came out, and what to do next.

    Args:
        note: As it stands; of what is above its ruler all but the result is kept.
        told: What came out.
        name: Of the search, for the command to call next.
    """
    board, objective = told.leaderboard, objective_named(told.objective)
    ending = told.ending or ("finished" if told.finished else "interrupted")
    asked = note.partition(_RULER)[0]
    if asked.startswith(_RESULT):
        asked = asked.partition("\n\n")[2]
    # MLflow shows four lines before "Show more", so the result comes first.
    lines = [_result(told), "", asked + _RULER]
    lines += [f"How it ended: {ending}.", ""]
    if board:
        lines += [
            f"Best first, by {objective.name} after all epochs:",
            "",
            f"| trial | architecture | family | {objective.metric} | parameters | MACs |",
            "|--:|---|---|--:|--:|--:|",
            *(_note_row(row, objective) for row in board[:_NOTE_ROWS]),
            "",
        ]
        if len(board) > _NOTE_ROWS:
            lines += [f"… and {len(board) - _NOTE_ROWS} more in `leaderboard.json`.", ""]
        lines += _confirmed_note(told)
        lines.append(f"Register the best one: `python -m pipeline.promote {name}`")
    return redact("\n".join(lines))[:LONGEST_TAG]


def _result(told: SearchEnded) -> str:
    """One line: who won, or leads, by what figure."""
    winner, objective = told.winner, objective_named(told.objective)
    if winner is not None:
        text = f"**{winner.name}** wins (trial {winner.trial})"
        if winner.estimate is not None:
            text += f": {objective.name} {objective.format(winner.estimate)} over its confirm runs"
        if winner.test_accuracy is not None:
            text += f", {winner.test_accuracy:.4f} of the test images right"
    elif told.leaderboard:
        best = told.leaderboard[0]
        text = f"**{best.name}** is best so far (trial {best.number})"
        if best.value is not None:
            text += f": {objective.name} {objective.format(best.value)} after all epochs"
    else:
        text = "no trial was trained to the end"
    return f"{_RESULT}{text}."


def _confirmed_note(told: SearchEnded) -> list[str]:
    """The finalists and the winner."""
    if not told.confirmed:
        return []
    objective = objective_named(told.objective)
    lines = [
        "Finalists, trained again from scratch (runs named `confirm-…`), best first:",
        "",
        f"| trial | architecture | {objective.metric} | 95 % interval | runs |",
        "|--:|---|--:|--:|--:|",
        *(_confirmed_row(entry, objective) for entry in told.confirmed[:_NOTE_ROWS]),
        "",
    ]
    winner = told.winner
    if winner is not None:
        test = winner.test_accuracy
        read = "" if test is None else f", {test:.4f} of the test images right"
        lines += [
            f"**Winner: {winner.name}** (trial {winner.trial}); its network is run "
            f"{winner.model_trial}{read}.",
            "",
        ]
    return lines


def _confirmed_row(entry: ConfirmedRow, objective: Objective) -> str:
    estimate = "" if entry.estimate is None else objective.format(entry.estimate)
    interval = "" if entry.interval is None else " to ".join(map(objective.format, entry.interval))
    runs = f"{entry.completed} of {len(entry.runs)}"
    return _row(entry.trial, entry.name, estimate, interval, runs)


def leaderboard_table(told: SearchEnded) -> str:
    """The leaderboard as MLflow stores tables: JSON, `split` orientation."""
    fields = ["number", "name", "family", "value", "params", "macs"]
    rows = [[getattr(row, field) for field in fields] for row in told.leaderboard]
    columns = [told.objective if field == "value" else field for field in fields]
    return json.dumps({"columns": columns, "data": rows})


def _note_row(row: LeaderboardRow, objective: Objective) -> str:
    def count(value: int | None) -> str:
        return "" if value is None else f"{value:,}"

    value = "" if row.value is None else objective.format(row.value)
    return _row(row.number, row.name, row.family, value, count(row.params), count(row.macs))


def _row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"
