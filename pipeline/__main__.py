"""`python -m pipeline`: what commands there are."""

from __future__ import annotations

import sys

from archsearch.errors import nearest_names
from pipeline._main import leave

COMMANDS = {
    "search": "run a search, or continue it",
    "status": "how searches stand",
    "report": "write a search's report: one page, a summary, tables",
    "control": "pause, unpause, stop or cancel a running search",
    "doctor": "is this machine fit for searches?",
    "spaces": "list, show, validate spaces; describe a published network",
    "train": "train one published network",
    "export": "write a network as an ONNX or pt2 file",
    "ui": "open the MLflow UI on the store of all searches",
    "track": "deliver to MLflow what it missed",
    "promote": "hold a search's model against the champion and register it",
    "predict": "what a model sees in image files",
    "simulate": "whole searches in seconds, on recorded curves or known truth",
}


def main() -> None:
    """Print the commands; given anything else than `--help`, say what to type and exit 2."""
    words = [word for word in sys.argv[1:] if word not in ("-h", "--help")]
    if not words:
        print("usage: python -m pipeline.COMMAND --help\n")
        for command, what in COMMANDS.items():
            print(f"  python -m pipeline.{command:8} {what}")
        return
    if words[0] in COMMANDS:
        told = f"a command is one word with its package: python -m pipeline.{words[0]}"
    else:
        told = f"there is no command {words[0]!r}: {nearest_names(words[0], COMMANDS)}"
    print(f"error: {told} (see `python -m pipeline --help`)", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:
        leave(1)
