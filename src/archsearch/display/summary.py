"""What a search's command prints at its end."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from archsearch.analysis.winner import standing_lines
from archsearch.command_line import command_line
from archsearch.display.formatting import print_table, shown_params
from archsearch.driver.result import SearchResult
from archsearch.phrases import duration, plural
from archsearch.record.trial import TrialRecord
from archsearch.redaction import shown_address
from archsearch.search.request import SearchRequest

_ROWS = 10


def print_summary(result: SearchResult, request: SearchRequest, console: Console) -> None:
    """The leaderboard, the best of each family, where everything is, and what comes next."""
    searched, again = result.search_trials, len(result.confirm_runs)
    outcomes = Counter(trial.outcome or "unfinished" for trial in searched)
    counted = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
    num_epochs = sum(len(trial.epochs) for trial in result.trials)

    def line(text: str = "") -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    line()
    line(
        f"{result.name}: {result.ending}; {plural(len(searched), 'trial')} ({counted}), "
        + (f"{plural(again, 'confirm run')}, " if again else "")
        + f"{plural(num_epochs, 'epoch')} in {duration(result.seconds)}"
        + (
            f"; {plural(result.num_refused, 'draw')} refused before launch"
            if result.num_refused
            else ""
        )
    )
    if result.caution is not None:
        line(f"{result.caution}.")
    if result.whole_space is not None and result.whole_space not in result.ending:
        line(f"Nothing is left to try: {result.whole_space}.")
    if result.leaderboard:
        line()
        line(f"Leaderboard: fully trained, by {result.leaderboard[0].objective.label}")
        print_table(console, _leaderboard(result.leaderboard[:_ROWS]))
        line()
        line("Best of each family:")
        for family, trial in result.best_of_family.items():
            line(f"  {family:10} {trial.name} (trial {trial.number}) {trial.shown_value}")
            line(f"  {'':10} {shown_params(trial.params)}")
        for family, told in _families_without_best(result):
            line(f"  {family:10} {told}")
    else:
        line("No trial was trained fully, so there is no best one.")
        for trial in [t for t in searched if t.outcome not in (None, "stopped")][:5]:
            line(f"  trial {trial.number} {trial.name}: {trial.outcome}: {trial.reason}")
    for text in _standing(result):
        line(text)
    line()
    line("Where everything is:")
    line(f"  record       {result.record}")
    if result.paths.report.is_file():
        line(f"  report       {result.paths.report}")
    line(f"  checkpoints  {result.paths.trials / 'NNNN'}, each with its worker.log")
    line(f"  tracking     {result.tracking}")
    if result.worker_logs:
        line(f"  Ray's logs   {result.worker_logs}/logs")
    line()
    line("Next:")
    for what, command in _next_commands(result, request):
        line(f"  {what:12} {command}")


def _standing(result: SearchResult) -> list[str]:
    """An empty line, the finalists and the winner or why there is none yet; or nothing."""
    lines = standing_lines(result.confirmed, result.winner)
    if lines and result.winner is None:
        lines += ["", "No winner yet: the same command goes on with the confirm runs"]
    return ["", *lines] if lines else []


def _families_without_best(result: SearchResult) -> list[tuple[str, str]]:
    """What became of each family of which no trial was trained fully."""
    told = []
    searched = result.search_trials
    for family in sorted({trial.family for trial in searched} - result.best_of_family.keys()):
        trials = [trial for trial in searched if trial.family == family]
        outcomes = Counter(trial.outcome or "unfinished" for trial in trials)
        counted = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
        text = f"no trial was trained fully ({counted})"
        wrong = [t for t in trials if t.outcome not in (None, "stopped", "completed")]
        if wrong:
            text += f"; trial {wrong[0].number}: {wrong[0].reason}"
        told.append((family, text))
    return told


def _leaderboard(trials: list[TrialRecord]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("#", "trial", "variant", trials[0].objective.short, "params", "MACs", "arm"):
        left = title in ("variant", "arm")
        table.add_column(title, justify="left" if left else "right", no_wrap=True)
    for place, trial in enumerate(trials, start=1):
        table.add_row(
            str(place),
            str(trial.number),
            trial.name,
            trial.shown_value,
            f"{trial.complexity.params:,}",
            f"{trial.complexity.macs:,}",
            trial.arm,
        )
    return table


def _next_commands(result: SearchResult, request: SearchRequest) -> list[tuple[str, str]]:
    """Commands that work when pasted, for what people do next."""
    folder = [] if request.runs_dir == Path("runs") else ["--runs-dir", request.runs_dir]
    where = folder if request.database is None else [*folder, "--database", "URL"]
    commands = []
    if result.finished:
        changes = _to_go_on(result)
        if changes is not None:
            commands.append(("go on", request.command(**changes)))
    else:
        commands.append(("resume", request.command(**_budget_to_go_on(result, request))))
    commands.append(("look", command_line("status", result.name, *where)))
    uri = request.tracking_uri
    tracking = [] if uri is None else ["--tracking-uri", shown_address(uri)]
    commands.append(("browse", command_line("ui", *folder, *tracking)))
    if result.leaderboard:
        commands.append(("promote", command_line("promote", result.name, *where)))
    if result.undelivered:
        commands.append(("track", command_line("track", result.name, *where)))
    return commands


_MORE = 20
"""Trials that are proposed to who has all that were asked for."""

_LIFTS: dict[str, dict[str, object]] = {
    "(lift it: --max-macs": {"max_macs": "none"},
    "(lift it: --max-params": {"max_params": None},
    "(lift it: --retry-memory": {"retry_memory": True},
}
"""What a refusal's reason says of the option that lifts it, and that option."""


def _to_go_on(result: SearchResult) -> dict[str, object] | None:
    """How to ask for more of a finished search; None where nothing asks for more.

    A search that ran out of members goes on without the cap that refused the last one.
    """
    if result.whole_space is not None:
        return None
    more: dict[str, object] = {"trials": len(result.search_trials) + _MORE, "more_trials": None}
    if len(result.search_trials) >= result.num_asked:
        return more
    lifts = (lift for told, lift in _LIFTS.items() if told in (result.last_refusal or ""))
    return more | next(lifts, {})


def _budget_to_go_on(result: SearchResult, request: SearchRequest) -> dict[str, float]:
    """As much time again for a search that has used its budget: with the same it would end."""
    budget = request.time_budget_seconds
    if budget is None or result.seconds < budget:
        return {}
    return {"time_budget_seconds": float(round(result.seconds + budget))}
