"""The last sections of a report: how it ran, what went wrong, how to do it again."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from archsearch.analysis.device_time import device_time
from archsearch.analysis.recorded_search import RecordedSearch
from archsearch.analysis.timeline import Span
from archsearch.phrases import plural
from archsearch.record.trial import TrialRecord
from archsearch.report.figures_running import device_time_figure, timeline_figure
from archsearch.report.parts import (
    Column,
    Section,
    Table,
    duration,
    number,
    seconds_cell,
    words,
)
from archsearch.report.reproduction import reproduction_commands

_EXAMPLES = 3
_REASONS = 50


def running_section(recorded: RecordedSearch, spans: Sequence[Span]) -> Section:
    """Who worked when, and where the device time went."""
    account = device_time(recorded, spans)
    table = Table(
        "Uses of the slots' time",
        (Column("Use", "text"), Column("Time"), Column("Share"), Column("What it is", "text")),
        tuple(
            (
                words(share.use),
                seconds_cell(share.seconds),
                number(share.seconds / account.capacity, ".1%"),
                words(share.explanation),
            )
            for share in account.shares
        ),
    )
    lost = [span for span in spans if span.ended not in (None, "finished")]
    sentences = []
    if lost:
        sentences.append(
            f"{plural(len(lost), 'attempt')} ended before its trial did (a lost worker, a pause, "
            "a driver that ended); the trials went on from their last checkpoint."
        )
    drawn = (device_time_figure(account), timeline_figure(spans))
    return Section(
        "running",
        "Where the device time went",
        tuple(sentences),
        (table,) if account.shares else (),
        tuple(f for f in drawn if f is not None),
    )


def failures_section(recorded: RecordedSearch) -> Section:
    """What did not work, by reason, with examples."""
    broken = [t for t in recorded.trials if t.outcome not in (None, "completed", "stopped")]
    tables = []
    if broken:
        tables.append(
            _reasons(
                "Trials that broke",
                "Outcome",
                [(str(t.outcome).replace("_", " "), t.reason or "", _named(t)) for t in broken],
            )
        )
    by_number = {trial.number: trial for trial in recorded.trials}
    lost = [
        (a.ended, a.reason or "", f"{_named(by_number[a.number])}, attempt {a.attempt}")
        for a in recorded.attempts
        if a.ended not in (None, "finished") and a.number in by_number
    ]
    if lost:
        rows = [(str(how), reason, example) for how, reason, example in lost]
        tables.append(_reasons("Attempts that ended before their trial", "How", rows))
    if recorded.refusals:
        refused = [(r.kind, r.reason, _own_values(r.params)) for r in recorded.refusals]
        tables.append(_reasons("Draws refused before a worker was asked", "Kind", refused))
    sentences = () if broken else ("No trial broke.",)
    return Section("failures", "What went wrong", sentences, tuple(tables))


def _named(trial: TrialRecord) -> str:
    return f"trial {trial.number} ({trial.name})"


def _own_values(params: Mapping[str, object]) -> str:
    """A draw by its family's own parameters: those that make it large."""
    own = {k: v for k, v in params.items() if not k.startswith("training/") and k != "family"}
    told = ", ".join(f"{k.rpartition('/')[2]}={v}" for k, v in own.items())
    return f"{params.get('family', '?')} ({told})"


def _reasons(caption: str, kind: str, rows: Iterable[tuple[str, str, str]]) -> Table:
    """Rows of (kind, reason, example), those that differ in numbers alone taken together."""
    groups: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for what, reason, example in rows:
        groups[what, _masked(reason)].append((reason, example))
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    told = []
    for (what, _), members in ordered[:_REASONS]:
        named = [example for _, example in members]
        more = f" and {len(named) - _EXAMPLES:,} more" if len(named) > _EXAMPLES else ""
        told.append(
            (
                words(what),
                number(len(members)),
                words(members[0][0]),
                words("; ".join(named[:_EXAMPLES]) + more),
            )
        )
    hidden = sum(len(members) for _, members in ordered[_REASONS:])
    note = "Reasons that differ in numbers alone are one row, told by its first example."
    if hidden:
        note += f" {hidden:,} with {len(ordered) - _REASONS:,} rarer reasons are not shown."
    columns = (
        Column(kind, "text"),
        Column("Count"),
        Column("Reason", "text"),
        Column("Examples", "text"),
    )
    return Table(caption, columns, tuple(told), note)


def _masked(reason: str) -> str:
    """A reason without what differs from case to case: numbers, and names with numbers."""
    return re.sub(r"\S*\d\S*", "#", reason)


_VERSIONS = ("python", "torch", "ray", "mlflow", "optuna")


def _how_alike(recorded: RecordedSearch) -> str:
    """What can be expected of the same commands, given what the search ran on."""
    changed = [
        f"{each} {' and '.join(seen)}"
        for each in ("archsearch", *_VERSIONS)
        if len(seen := _versions_seen(recorded, each)) > 1
    ]
    if changed:
        return (
            f"The search was continued on other versions ({', '.join(changed)}): the same "
            "commands need not give the same numbers."
        )
    return (
        "On one worker and these versions the same commands give the same trials and the same "
        "numbers; on several workers, each configuration trains to the same numbers on the same "
        "hardware, but what the sampler knew when it proposed depends on timing."
    )


def _versions_seen(recorded: RecordedSearch, what: str) -> list[str]:
    """The versions of one thing that drivers of the search ran, in order, each once."""
    versions = (code.get(f"{what}_version") for code in recorded.all_code)
    return list(dict.fromkeys(version for version in versions if version is not None))


def reproduction_section(recorded: RecordedSearch) -> Section:
    """Commands and digests: what it takes to get the same again."""
    identity = recorded.search.identity
    rows = [
        ("release", recorded.code.get("archsearch_version", "not recorded")),
        ("commit", recorded.code.get("git_commit", "not recorded")),
        *((each, recorded.code.get(f"{each}_version", "not recorded")) for each in _VERSIONS),
        ("data", f"{recorded.search.settings.data.name}, digest {identity.data}"),
        ("split", f"digest {identity.split}"),
        ("space", f"digest {identity.space}"),
        ("seed", str(identity.seed)),
        ("search", recorded.search.uuid),
    ]
    table = Table(
        "What it was made from",
        (Column("What", "text"), Column("Which", "text")),
        tuple((words(what), words(which)) for what, which in rows),
    )
    sentences = (
        _how_alike(recorded),
        f"The search ran for {duration(recorded.search.seconds)} in all.",
    )
    return Section(
        "reproduce",
        "Do it again",
        sentences,
        (table,),
        commands=reproduction_commands(recorded),
    )
