"""A report in a real browser: it draws, sorts, fits a phone, and asks for nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from archsearch.driver.run import run_search
from archsearch.search.request import SearchRequest
from tests.browser import CHROMIUM, Page, browser_page
from tests.cli_support import call_here
from tests.search_support import NO_TRACKING, SyntheticRunner

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and os.environ.get("CI") != "true",
    reason="Chromium is not installed; CI runs this with it",
)

DESKTOP, PHONE = (1280, 900), (390, 844)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a search of eight trials."""
    runs_dir = tmp_path_factory.mktemp("shown") / "runs"
    request = SearchRequest(
        space="wrn_vs_resnext",
        trials=8,
        max_epochs=6,
        confirm="none",
        name="shown",
        runs_dir=runs_dir,
        tracking_uri=NO_TRACKING,
    )
    run_search(request, run_trials=SyntheticRunner(num_slots=2))
    answer = call_here("report", "shown", "--runs-dir", runs_dir)
    assert answer.code == 0, answer.err
    return runs_dir / "shown" / "report.html"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """One browser for all tests: to start one takes seconds."""
    assert CHROMIUM is not None, "CI installs chromium (.ci/run)"
    with browser_page(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def draw_all(page: Page) -> int:
    """Scroll to each figure, as a reader does; how many were drawn."""
    wanted = "document.querySelectorAll('.plot').length"
    page.evaluate(
        """(async () => {
          for (const plot of document.querySelectorAll('.plot')) {
            plot.scrollIntoView();
            while (!plot.querySelector('.main-svg')) await new Promise((r) => setTimeout(r, 20));
          }
        })()"""
    )
    drawn = page.evaluate("document.querySelectorAll('.plot .main-svg:first-child').length")
    assert drawn == page.evaluate(wanted)
    return int(drawn)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_it_draws_everything_without_a_complaint_or_a_request(
    page: Page, report: Path, size: tuple[int, int], dark: bool
) -> None:
    page.complaints.clear()
    page.requests.clear()
    page.open(report.as_uri(), width=size[0], height=size[1], dark=dark)
    assert draw_all(page) > 8
    assert page.complaints == []
    assert page.requests == [report.as_uri()]
    # Nothing is wider than the window but what scrolls by itself.
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(20, 24, 29)" if dark else "rgb(255, 255, 255)")
    text = page.evaluate("getComputedStyle(document.querySelector('.xtick text')).fill")
    assert text == ("rgb(232, 235, 239)" if dark else "rgb(27, 32, 39)")


def column(page: Page, place: int) -> list[str]:
    """The leaderboard's cells of one column, from the top."""
    cells = f"#leaderboard table tbody tr td:nth-child({place + 1})"
    found: list[str] = page.evaluate(
        f"[...document.querySelectorAll('{cells}')].map((c) => c.textContent)"
    )
    return found


def test_tables_sort_by_click_and_by_keyboard(page: Page, report: Path) -> None:
    page.open(report.as_uri(), width=DESKTOP[0], height=DESKTOP[1])
    titles = page.evaluate(
        "[...document.querySelector('#leaderboard table').tHead.rows[0].cells]"
        ".map((head) => head.textContent.trim())"
    )
    parameters = titles.index("Parameters")
    button = f"document.querySelectorAll('#leaderboard table th button')[{parameters}]"

    def numbers() -> list[int]:
        rows = page.evaluate("document.querySelector('#leaderboard table').tBodies[0].rows.length")
        return [int(cell.replace(",", "")) for cell in column(page, parameters)[:rows]]

    page.evaluate(f"{button}.click()")
    assert numbers() == sorted(numbers(), reverse=True)
    page.evaluate(f"{button}.focus()")
    page.press("Enter", 13, "\r")
    assert numbers() == sorted(numbers())
    assert page.evaluate(f"{button}.closest('th').getAttribute('aria-sort')") == "ascending"
    page.press(" ", 32, " ")
    assert numbers() == sorted(numbers(), reverse=True)


def test_it_follows_the_reader_from_light_to_dark(page: Page, report: Path) -> None:
    page.open(report.as_uri(), width=DESKTOP[0], height=DESKTOP[1])
    draw_all(page)
    dark = {"name": "prefers-color-scheme", "value": "dark"}
    page.call("Emulation.setEmulatedMedia", features=[dark])
    page.evaluate("new Promise((r) => setTimeout(r, 300))")
    text = page.evaluate("getComputedStyle(document.querySelector('.xtick text')).fill")
    assert text == "rgb(232, 235, 239)"
