"""Policies compared on tables of real learning curves: the tables of docs/method.md.

    python -m benchmarks.policy CURVES.csv … [--policy NAME …] [--searches 40] [--json FILE]

Prints a Markdown table for each file as soon as it is done: regret in accuracy points after 5, 10,
20 and 50 full trainings' worth of epochs, with the standard error over seeds.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

from archsearch.errors import ArchsearchError
from archsearch.simulation.curve_table import CurveTable, read_curve_table
from archsearch.simulation.policies import REPLAY_POLICIES
from archsearch.simulation.regret import PolicyResult, compare


def markdown_row(result: PolicyResult, seconds: float) -> str:
    """One policy: means, standard errors, what arms took, wins and losses, processor time."""
    cells = [
        f"{100 * result.regret(b):.2f} ± {100 * result.standard_error(b):.2f}"
        for b in result.budgets
    ]
    share = f"{100 * result.arm_share:.0f} %"
    compared = f"{result.wins} : {result.losses}"
    return f"| `{result.policy}` | {' | '.join([*cells, share, compared])} | {seconds:.0f} s |"


def measured(table: CurveTable, policies: list[str], searches: int) -> list[PolicyResult]:
    """Print the table's rows one after the other."""
    print(f"\n{table.name}: {table.num_rows} curves of {table.max_epochs} epochs\n")
    print("| policy | 5 | 10 | 20 | 50 | arms | won : lost | processor |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    results = []
    began = time.process_time()
    for result in compare(table, policies, searches=searches):
        results.append(result)
        print(markdown_row(result, time.process_time() - began), flush=True)
        began = time.process_time()
    return results


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("curves", type=Path, nargs="+")
    parser.add_argument("--policy", action="append", choices=list(REPLAY_POLICIES))
    parser.add_argument("--searches", type=int, default=40)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    # `uniform` first: the others are compared with it, so it is searched anyway.
    policies = given.policy or sorted(REPLAY_POLICIES, key=lambda name: name != "uniform")
    told = ", ".join(f"{name} {version(name)}" for name in ("optuna", "numpy"))
    print(f"Python {platform.python_version()}, {told}; seeds 0 to {given.searches - 1}")
    results: list[PolicyResult] = []
    try:
        for path in given.curves:
            results += measured(read_curve_table(path), policies, given.searches)
    except ArchsearchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    if given.json is not None:
        given.json.write_text(json.dumps([result.as_json() for result in results], indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
