"""A report: whole, offline, safe, and the same in its two forms."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from archsearch.analysis.finalists import winner, winner_model
from archsearch.analysis.recorded_search import RecordedSearch
from archsearch.analysis.winner import Winner
from archsearch.errors import UsageError
from archsearch.report.compose import compose
from archsearch.report.figure_style import (
    BAD,
    DARK_BACKGROUND,
    FAMILY_COLOURS,
    GOOD,
    LIGHT_BACKGROUND,
    MAX_CURVES,
    NEUTRAL,
    thinned,
)
from archsearch.report.figures_outcome import learning_curves_figure, pareto_figure
from archsearch.report.html import report_html
from archsearch.report.markdown import report_markdown
from archsearch.report.opened_search import OpenedSearch, open_search
from archsearch.report.parts import Report
from tests.unit.conftest import NUM_TRIALS, Searched

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> {{ 7*7 }} `|` [a](b)"


class _Page(HTMLParser):
    """What a page holds: its elements, its text outside of scripts, its data."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: list[str] = []
        self._inside: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._inside and tag == self._inside[-1]:
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        if not self._inside:
            self.text += data
        elif self._inside[-1] == "script":
            self.scripts.append(data)


@pytest.fixture(scope="module")
def search(recorded: RecordedSearch) -> OpenedSearch:
    return OpenedSearch(recorded)


@pytest.fixture(scope="module")
def report(search: OpenedSearch) -> Report:
    return compose(search)


@pytest.fixture(scope="module")
def page(report: Report) -> _Page:
    return _Page(report_html(report))


def test_the_verdict_comes_first_then_the_leaderboard_then_the_evidence(
    search: OpenedSearch, report: Report, page: _Page
) -> None:
    order = [section.id for section in report.sections]
    assert order[:2] == ["leaderboard", "verdict"]
    assert order[-3:] == ["running", "failures", "reproduce"]
    assert {"families", "cost", "curves", "audit", "parameters", "slices"} < set(order)
    headings = [a["id"] for tag, a in page.elements if tag == "h2"]
    assert headings == ["headline", *(f"{anchor}-title" for anchor in order)]
    assert search.verdict().sentence.startswith(report.headline.rstrip("."))
    assert page.text.index(report.headline) < page.text.index("Leaderboard")


def test_the_page_holds_everything_and_asks_for_nothing(page: _Page) -> None:
    for tag, attributes in page.elements:
        assert "src" not in attributes, tag
        if "href" in attributes:
            assert str(attributes["href"]).startswith(("#", "data:,")), attributes
    (policy,) = [
        a["content"]
        for tag, a in page.elements
        if a.get("http-equiv") == "Content-Security-Policy"
    ]
    assert str(policy).startswith("default-src 'none'")
    assert any("plotly.js v" in script[:300] for script in page.scripts)


def test_every_figure_of_the_page_is_data_that_plotly_takes(
    search: OpenedSearch, page: _Page
) -> None:
    (data,) = [json.loads(script) for script in page.scripts if script.startswith('{"')]
    shown = [a["data-figure"] for tag, a in page.elements if "data-figure" in a]
    assert shown == list(data)
    assert set(shown) <= set(search.figures)
    assert {"pareto_macs", "learning_curves", "families", "timeline", "device_time"} < set(shown)
    for name in shown:
        assert data[name]["data"], name


def test_figures_tables_and_captions_can_be_read_without_seeing(page: _Page) -> None:
    counts = {tag: sum(t == tag for t, _ in page.elements) for tag in ("figure", "figcaption")}
    assert counts["figure"] == counts["figcaption"] > 10
    tables = sum(tag == "table" for tag, _ in page.elements)
    assert tables == sum(tag == "caption" for tag, _ in page.elements)
    assert all(a.get("scope") == "col" for tag, a in page.elements if tag == "th")
    assert ("html", {"lang": "en"}) in page.elements


@pytest.fixture(scope="module")
def hostile(recorded: RecordedSearch) -> RecordedSearch:
    """A search all of whose texts want to be markup."""
    trials = [
        replace(
            trial,
            name=f"{HOSTILE}{trial.number}",
            reason=f"{HOSTILE} happened",
            params=trial.params | ({"wrn/block": HOSTILE} if trial.family == "wrn" else {}),
        )
        for trial in recorded.trials
    ]
    space = recorded.search.space | {"description": HOSTILE}
    found = replace(recorded.search, space=space, ending=HOSTILE)
    return replace(recorded, search=found, state="interrupted", trials=trials)


def test_no_text_becomes_markup(hostile: RecordedSearch, page: _Page) -> None:
    attacked = _Page(report_html(compose(OpenedSearch(hostile))))

    def kinds(read: _Page) -> set[tuple[str, tuple[str, ...]]]:
        return {(tag, tuple(sorted(attributes))) for tag, attributes in read.elements}

    assert kinds(attacked) == kinds(page)
    assert len(attacked.scripts) == len(page.scripts)
    assert HOSTILE in attacked.text
    figures = next(script for script in attacked.scripts if script.startswith('{"'))
    assert "<" not in figures
    # Plotly reads HTML in its texts: what it gets is escaped once more.
    assert "&lt;img" in json.dumps(json.loads(figures))
    assert not re.search(r"<(?!/?b>|br>|/?extra>)", json.dumps(json.loads(figures)))


def test_markdown_stays_text(hostile: RecordedSearch) -> None:
    summary = report_markdown(compose(OpenedSearch(hostile)))
    outside_code = re.sub(r"^```.*?^```$", "", summary, flags=re.MULTILINE | re.DOTALL)
    assert not re.search(r"(?<!\\)<", outside_code)
    rows = [line for line in outside_code.splitlines() if line.startswith("|")]
    widths = {len(re.findall(r"(?<!\\)\|", row)) for row in rows if HOSTILE[:9] in row}
    headers = {len(re.findall(r"(?<!\\)\|", row)) for row in rows if "---" in row}
    assert widths <= headers


def test_secrets_do_not_reach_a_report(
    recorded: RecordedSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE_PASSWORD", "hunter2-and-more")
    reason = "OSError: https://ann:wordpass@host/x refused hunter2-and-more"
    trials = [replace(t, outcome="failed", reason=reason) for t in recorded.trials[:1]]
    leaky = replace(
        recorded,
        trials=trials,
        search=replace(recorded.search, space={"description": "hunter2-and-more"}),
    )
    report = compose(OpenedSearch(leaky))
    for text in (report_html(report), report_markdown(report)):
        assert "hunter2" not in text
        assert "wordpass" not in text
        assert "refused" in text


def test_the_summary_says_the_same_as_the_page(search: OpenedSearch, report: Report) -> None:
    summary = report_markdown(report)
    assert summary.startswith("# reported\n")
    best = search.leaderboard[0]
    assert f"| 1 | {best.name} | {best.value:.4f} |" in summary.replace("\\", "")
    for section in report.sections:
        if section.commands or any(not table.is_folded for table in section.tables):
            assert f"## {section.title}" in summary


def test_failures_are_told_by_reason_with_examples(report: Report) -> None:
    (section,) = [s for s in report.sections if s.id == "failures"]
    table = section.tables[0]
    assert table.caption == "Trials that broke"
    (row,) = table.rows  # four reasons that differ in a number alone
    assert [row[0].text, row[1].text] == ["failed", "4"]
    assert row[2].text == "RuntimeError: <b>5</b> & 'more'"
    assert row[3].text.count("trial ") == 3
    assert row[3].text.endswith("and 1 more")


def test_the_commands_ask_for_the_same_search_and_for_this_one(report: Report) -> None:
    (section,) = [s for s in report.sections if s.id == "reproduce"]
    lines = [command.line for command in section.commands]
    assert f"--space wrn_vs_resnext --data digits --seed 0 --trials {NUM_TRIALS}" in lines[0]
    assert "--max-epochs 8" in lines[0]
    assert "--random-share 0.5" in lines[0]
    assert "pipeline.report reported" in lines[1]
    assert any("pipeline.promote reported" in line for line in lines)


def _confirmed(recorded: RecordedSearch, *, is_unfinished: bool = False) -> RecordedSearch:
    """The search with its two best trained again, twice each."""
    board = OpenedSearch(recorded).leaderboard[:2]
    runs = []
    for place, finalist in enumerate(board):
        for replicate, gain in enumerate((-0.02, -0.01)):
            value = float(finalist.value or 0.0) + gain
            last = replace(finalist.epochs[-1], value=value)
            runs.append(
                replace(
                    finalist,
                    number=NUM_TRIALS + 2 * place + replicate,
                    arm="confirm",
                    epochs=[*finalist.epochs[:-1], last],
                )
            )
    trials = [*recorded.trials, *runs]
    best, model = winner(trials), winner_model(trials)
    assert best is not None
    assert model is not None
    found = None if is_unfinished else Winner(best, model, reading=None, num_models_read=0)
    return replace(recorded, trials=trials, winner=found)


def test_finalists_stand_before_the_leaderboard_and_confirm_runs_in_neither(
    recorded: RecordedSearch, search: OpenedSearch
) -> None:
    confirmed = OpenedSearch(_confirmed(recorded))
    report = compose(confirmed)
    assert [section.id for section in report.sections[:2]] == ["finalists", "leaderboard"]
    best = confirmed.winner
    assert best is not None
    assert best.estimate is not None
    told = report.sections[0].sentences[0]
    assert told.startswith(f"{best.name} wins: trained again 2 times")
    assert f"{best.estimate.estimate:.4f}" in told
    assert report.facts[0].label == f"winner: {best.name}"
    assert "; 4 confirm runs." in report.status
    assert [t.number for t in confirmed.leaderboard] == [t.number for t in search.leaderboard]
    rows = report.sections[0].tables[0].rows
    assert len(rows) == 2
    figure = confirmed.figures["finalists"].plot
    assert len(set(figure.data[0].y)) == 2  # also where both have one name
    assert confirmed.trials.num_rows == NUM_TRIALS + 4
    unfinished = compose(OpenedSearch(_confirmed(recorded, is_unfinished=True)))
    assert unfinished.sections[0].sentences[0].startswith(f"{best.name} leads so far: trained")
    assert unfinished.facts[0].label == f"leads so far: {best.name}"


def test_a_search_without_trials_or_families_has_a_report_too(recorded: RecordedSearch) -> None:
    for trials in ([], [replace(recorded.trials[0], outcome=None, epochs=[])]):
        empty = replace(
            recorded,
            trials=trials,
            attempts=[],
            refusals=[],
            state="running",
            search=replace(recorded.search, space={}, seconds=0.0),
        )
        report = compose(OpenedSearch(empty))
        assert "running" in report.status
        assert _Page(report_html(report, reload_seconds=5)).text


def test_a_page_reloads_itself_only_when_it_is_watched(report: Report) -> None:
    def body(**options: Any) -> dict[str, str | None]:
        page = _Page(report_html(report, **options))
        return next(attributes for tag, attributes in page.elements if tag == "body")

    assert body() == {}
    assert body(reload_seconds=5) == {"data-reload": "5"}


def _many(recorded: RecordedSearch, count: int) -> RecordedSearch:
    """The same trials over and over, each with its own number and accuracy."""
    trials = []
    for number in range(count):
        trial = recorded.trials[number % len(recorded.trials)]
        last = trial.epochs[-1]
        epochs = [*trial.epochs[:-1], replace(last, value=0.5 + 0.4 * number / count)]
        trials.append(replace(trial, number=number, epochs=epochs))
    return replace(recorded, trials=trials)


def test_figures_of_many_trials_are_thinned_and_say_so(recorded: RecordedSearch) -> None:
    many = _many(recorded, 6_000)
    curves = learning_curves_figure(many)
    assert curves is not None
    assert f"Shown: {MAX_CURVES} of 6,000 trials" in curves.caption
    gaps = sum(trace.x.count(None) for trace in curves.plot.data)
    assert gaps == MAX_CURVES
    front = pareto_figure(many, "macs")
    assert front is not None
    assert "Shown: 2,000 of" in front.caption
    assert sum(len(trace.x) for trace in front.plot.data if trace.mode == "markers") == 2_000


def test_thinning_keeps_what_it_must_and_the_order() -> None:
    items = list(range(1000))
    kept = thinned(items, 50, keep=lambda item: item % 100 == 0)
    assert kept == sorted(kept)
    assert len(kept) == 50
    assert set(range(0, 1000, 100)) <= set(kept)
    assert kept == thinned(items, 50, keep=lambda item: item % 100 == 0)
    assert len(thinned(items, 3, keep=lambda item: item < 9)) == 9


def _contrast(first: str, second: str) -> float:
    """Of WCAG 2.2: the ratio of relative luminances."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("background", [LIGHT_BACKGROUND, DARK_BACKGROUND])
@pytest.mark.parametrize("colour", [*FAMILY_COLOURS, GOOD, BAD, NEUTRAL])
def test_marks_stand_out_on_light_and_on_dark(colour: str, background: str) -> None:
    assert _contrast(colour, background) >= 3


def test_a_notebook_gets_the_same_as_objects(searched: Searched, search: OpenedSearch) -> None:
    import archsearch

    opened = archsearch.open_search(searched.name, searched.runs_dir)
    assert opened.trials.num_rows == NUM_TRIALS
    assert opened.epochs.to_pandas().number.nunique() == NUM_TRIALS
    assert [t.number for t in opened.leaderboard] == [t.number for t in search.leaderboard]
    assert opened.verdict() == search.verdict()
    assert set(opened.audit) == {"wrn", "resnext"}
    assert opened.finalists == []
    assert opened.winner is None
    assert opened.figure("pareto_macs").data
    with pytest.raises(UsageError, match="did you mean pareto_macs"):
        opened.figure("pareto_mac")
    with pytest.raises(UsageError, match="there is no search 'nobody'"):
        open_search("nobody", searched.runs_dir)
