"""`make upgrade` moves Ray's bound with Ray, and nothing else; the registry is not asked here."""

from __future__ import annotations

import pytest

from tests.scripts import ROOT, load_script

lock = load_script(".ci/lock.py")

TEXT = """
dependencies = [
  "numpy>=2.0",
  "ray[tune]>=2.56,<2.61",  # why
]
extra = ["ray[default]"]
"""


@pytest.mark.parametrize(
    ("newest", "bound"),
    [
        ("2.61.0", "<2.62"),
        ("2.61.3", "<2.62"),
        ("2.99.0", "<2.100"),
        ("3.0.0", "<3.1"),
        ("2.62.0.post1", "<2.63"),
    ],
)
def test_the_bound_allows_the_newest_ray_and_not_the_next_minor(newest: str, bound: str) -> None:
    assert lock.raise_ray_bound(TEXT, newest) == TEXT.replace("<2.61", bound)


@pytest.mark.parametrize("newest", ["2.60.0", "2.60.1", "2.9.0", "1.13.0"])
def test_a_bound_that_allows_the_newest_stays_and_is_never_lowered(newest: str) -> None:
    assert lock.raise_ray_bound(TEXT, newest) == TEXT


@pytest.mark.parametrize("text", ["", '"ray[tune]>=2.56"', '"ray>=2.56,<2.61"', '"xray[tune]"'])
def test_a_bound_that_is_not_found_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="must bound Ray"):
        lock.raise_ray_bound(text, "2.61.0")


def test_the_project_has_a_bound_to_raise() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    assert 'ray[tune]>=2.56,<1000.1"' in lock.raise_ray_bound(text, "1000.0.0")
