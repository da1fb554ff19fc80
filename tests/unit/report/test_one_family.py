"""A search of one family compares none: its report has no verdict, and the leader comes first."""

from __future__ import annotations

from pathlib import Path

from archsearch.driver.run import run_search
from archsearch.report.compose import compose
from archsearch.report.opened_search import open_search
from archsearch.search.request import SearchRequest
from tests.search_support import NO_TRACKING, SyntheticRunner


def test_the_winner_leads_and_there_is_no_verdict(tmp_path: Path, data_cache: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    (runs / "data").symlink_to(data_cache)
    request = SearchRequest(
        space="resnet_depth", max_epochs=3, trials=3, confirm="none", name="one", runs_dir=runs,
        tracking_uri=NO_TRACKING,
    )  # fmt: skip
    run_search(request, run_trials=SyntheticRunner())
    search = open_search("one", runs_dir=runs)
    report = compose(search)
    assert "verdict" not in [section.id for section in report.sections]
    best = search.leaderboard[0]
    assert report.headline.startswith(f"{best.name} is the best trial: {best.shown_value}")
    assert report.details == ()
    for section in report.sections:
        assert section.sentences or section.tables or section.figures or section.small_figures
