"""The score interval of a share is the textbook's."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from archsearch.analysis.intervals import wilson_interval


@settings(max_examples=60)
@given(st.integers(1, 500), st.data(), st.floats(0.5, 0.999))
def test_it_is_the_one_that_scipy_knows(trials: int, data: st.DataObject, level: float) -> None:
    successes = data.draw(st.integers(0, trials))
    known = binomtest(successes, trials).proportion_ci(level, method="wilson")
    interval = wilson_interval(successes, trials, level)
    assert interval.low == pytest.approx(known.low, abs=1e-12)
    assert interval.high == pytest.approx(known.high, abs=1e-12)
    assert 0 <= interval.low <= interval.estimate <= interval.high <= 1


@pytest.mark.parametrize(
    ("successes", "trials", "level"), [(1, 0, 0.95), (-1, 3, 0.95), (4, 3, 0.95), (1, 3, 1.0)]
)
def test_what_is_no_share_is_refused(successes: int, trials: int, level: float) -> None:
    with pytest.raises(ValueError, match="must hold"):
        wilson_interval(successes, trials, level)
