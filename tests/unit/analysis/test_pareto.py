"""The Pareto front is what nothing beats."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from archsearch.analysis.pareto import pareto_front

POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=12)


@given(POINTS)
def test_the_front_is_what_no_point_beats(points: list[tuple[int, int]]) -> None:
    costs, values = [float(c) for c, _ in points], [float(v) for _, v in points]

    def beaten(i: int) -> bool:
        return any(
            costs[j] <= costs[i]
            and values[j] >= values[i]
            and (costs[j] < costs[i] or values[j] > values[i] or j < i)
            for j in range(len(points))
        )

    front = pareto_front(costs, values)
    assert sorted(front) == [i for i in range(len(points)) if not beaten(i)]
    assert [costs[i] for i in front] == sorted({costs[i] for i in front})


def test_what_is_not_finite_is_on_no_front() -> None:
    nan = float("nan")
    assert pareto_front([1.0, 2.0, nan], [nan, 0.5, 0.9]) == [1]
