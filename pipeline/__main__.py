"""`python -m pipeline`: what commands there are."""

from __future__ import annotations

import sys

COMMANDS = {
    "search": "run a search, or continue it",
    "status": "how searches stand",
    "control": "pause, unpause, stop or cancel a running search",
    "doctor": "is this machine fit for searches?",
    "spaces": "list, show, validate spaces; describe a published network",
    "ui": "open the MLflow UI on the store of all searches",
    "track": "deliver to MLflow what it missed",
    "promote": "register the best model of a search",
}


def main() -> None:
    """Print the commands; with one of them as argument, point at its module."""
    print("usage: python -m pipeline.COMMAND --help\n")
    for command, what in COMMANDS.items():
        print(f"  python -m pipeline.{command:8} {what}")
    unknown = [word for word in sys.argv[1:] if word not in ("-h", "--help")]
    if unknown:
        print(f"\nerror: commands are modules: python -m pipeline.{unknown[0]}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
