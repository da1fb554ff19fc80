"""What a person reads first on a search's page: its note, and its leaderboard. Pure functions."""

from __future__ import annotations

import json
from typing import Any

from archsearch.redaction import redact
from archsearch.tracking.translation import LONGEST_TAG, question

_NOTE_ROWS = 20
_RULER = "\n\n---\n"
_RESULT = "**Result:** "


def opening_note(payload: dict[str, Any]) -> str:
    """What a person reads on a search that still runs."""
    description = question(payload)
    data = payload["data"]
    lines = [
        f"**{payload['name']}** asks: {description}" if description else f"**{payload['name']}**",
        "",
        f"Data: {data.get('name')}, {data.get('num_train')} training images. "
        "Nested runs are its trials; tags `outcome` and `reason` say how each one ended.",
    ]
    return redact("\n".join(lines))[: LONGEST_TAG // 2]


def closing_note(note: str, payload: dict[str, Any], name: str) -> str:
    """The note of a search that ended: what came out, and what to do next.

    Args:
        note: As it stands; of what is above its ruler all but the result is kept.
        payload: Of the message `search_ended`.
        name: Of the search, for the command to call next.
    """
    board = payload.get("leaderboard") or []
    ending = payload.get("ending") or ("finished" if payload.get("finished") else "interrupted")
    asked = note.partition(_RULER)[0]
    if asked.startswith(_RESULT):
        asked = asked.partition("\n\n")[2]
    # MLflow shows four lines before "Show more", so the result comes first.
    lines = [_result(board, payload.get("winner")), "", asked + _RULER]
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
        lines += _confirmed_note(payload)
        lines.append(f"Register the best one: `python -m pipeline.promote {name}`")
    return redact("\n".join(lines))[:LONGEST_TAG]


def _result(board: list[dict[str, Any]], winner: dict[str, Any] | None) -> str:
    """One line: who won, or leads, by what figure."""
    if winner is not None:
        told = f"**{winner['name']}** wins (trial {winner['trial']})"
        if winner["estimate"] is not None:
            told += f": validation accuracy {winner['estimate']:.4f} over its confirm runs"
        if winner["test_accuracy"] is not None:
            told += f", {winner['test_accuracy']:.4f} of the test images right"
    elif board:
        best = board[0]
        told = f"**{best['name']}** is best so far (trial {best['number']})"
        if best.get("val_accuracy") is not None:
            told += f": validation accuracy {best['val_accuracy']:.4f} after all epochs"
    else:
        told = "no trial was trained to the end"
    return f"{_RESULT}{told}."


def _confirmed_note(payload: dict[str, Any]) -> list[str]:
    """The finalists and the winner."""
    entries, winner = payload.get("confirmed") or [], payload.get("winner")
    if not entries:
        return []
    lines = [
        "Finalists, trained again from scratch (runs named `confirm-…`), best first:",
        "",
        "| trial | architecture | val_accuracy | 95 % interval | runs |",
        "|--:|---|--:|--:|--:|",
    ]
    for entry in entries[:_NOTE_ROWS]:
        estimate, (low, high) = entry["estimate"], entry["interval"] or (None, None)
        told = ["", ""] if estimate is None else [f"{estimate:.4f}", f"{low:.4f} to {high:.4f}"]
        cells = [entry["trial"], entry["name"], *told]
        runs = f"{entry['completed']} of {len(entry['runs'])}"
        lines.append("| " + " | ".join(str(cell) for cell in [*cells, runs]) + " |")
    lines.append("")
    if winner is not None:
        test = winner["test_accuracy"]
        read = "" if test is None else f", {test:.4f} of the test images right"
        lines += [
            f"**Winner: {winner['name']}** (trial {winner['trial']}); its network is run "
            f"{winner['model_trial']}{read}.",
            "",
        ]
    return lines


def leaderboard_table(board: list[dict[str, Any]]) -> str:
    """The leaderboard as MLflow stores tables: JSON, `split` orientation."""
    columns = ["number", "name", "family", "val_accuracy", "params", "macs"]
    rows = [[row.get(c) for c in columns] for row in board]
    return json.dumps({"columns": columns, "data": rows})


def _note_row(row: dict[str, Any]) -> str:
    def count(key: str) -> str:
        value = row.get(key)
        return "" if value is None else f"{value:,.0f}"

    accuracy = row.get("val_accuracy")
    shown = "" if accuracy is None else f"{accuracy:.4f}"
    cells = [row["number"], row["name"], row["family"], shown, count("params"), count("macs")]
    return "| " + " | ".join(str(c) for c in cells) + " |"
