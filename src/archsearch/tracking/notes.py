"""What a person reads first on a search's page: its note, and its leaderboard. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Sequence

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
    board = told.leaderboard
    ending = told.ending or ("finished" if told.finished else "interrupted")
    asked = note.partition(_RULER)[0]
    if asked.startswith(_RESULT):
        asked = asked.partition("\n\n")[2]
    # MLflow shows four lines before "Show more", so the result comes first.
    lines = [_result(told), "", asked + _RULER]
    lines += [f"How it ended: {ending}.", ""]
    if board:
        lines += [
            "Best first, by validation accuracy after all epochs:",
            "",
            "| trial | architecture | family | val_accuracy | parameters | MACs |",
            "|--:|---|---|--:|--:|--:|",
            *(_note_row(row) for row in board[:_NOTE_ROWS]),
            "",
        ]
        if len(board) > _NOTE_ROWS:
            lines += [f"… and {len(board) - _NOTE_ROWS} more in `leaderboard.json`.", ""]
        lines += _confirmed_note(told)
        lines.append(f"Register the best one: `python -m pipeline.promote {name}`")
    return redact("\n".join(lines))[:LONGEST_TAG]


def _result(told: SearchEnded) -> str:
    """One line: who won, or leads, by what figure."""
    winner = told.winner
    if winner is not None:
        text = f"**{winner.name}** wins (trial {winner.trial})"
        if winner.estimate is not None:
            text += f": validation accuracy {winner.estimate:.4f} over its confirm runs"
        if winner.test_accuracy is not None:
            text += f", {winner.test_accuracy:.4f} of the test images right"
    elif told.leaderboard:
        best = told.leaderboard[0]
        text = f"**{best.name}** is best so far (trial {best.number})"
        if best.val_accuracy is not None:
            text += f": validation accuracy {best.val_accuracy:.4f} after all epochs"
    else:
        text = "no trial was trained to the end"
    return f"{_RESULT}{text}."


def _confirmed_note(told: SearchEnded) -> list[str]:
    """The finalists and the winner."""
    if not told.confirmed:
        return []
    lines = [
        "Finalists, trained again from scratch (runs named `confirm-…`), best first:",
        "",
        "| trial | architecture | val_accuracy | 95 % interval | runs |",
        "|--:|---|--:|--:|--:|",
        *(_confirmed_row(entry) for entry in told.confirmed[:_NOTE_ROWS]),
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


def _confirmed_row(entry: ConfirmedRow) -> str:
    estimate = "" if entry.estimate is None else f"{entry.estimate:.4f}"
    low, high = entry.interval or (None, None)
    interval = "" if low is None or high is None else f"{low:.4f} to {high:.4f}"
    runs = f"{entry.completed} of {len(entry.runs)}"
    return _row(entry.trial, entry.name, estimate, interval, runs)


def leaderboard_table(board: Sequence[LeaderboardRow]) -> str:
    """The leaderboard as MLflow stores tables: JSON, `split` orientation."""
    columns = ["number", "name", "family", "val_accuracy", "params", "macs"]
    rows = [[getattr(row, column) for column in columns] for row in board]
    return json.dumps({"columns": columns, "data": rows})


def _note_row(row: LeaderboardRow) -> str:
    def count(value: int | None) -> str:
        return "" if value is None else f"{value:,}"

    accuracy = "" if row.val_accuracy is None else f"{row.val_accuracy:.4f}"
    return _row(row.number, row.name, row.family, accuracy, count(row.params), count(row.macs))


def _row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"
