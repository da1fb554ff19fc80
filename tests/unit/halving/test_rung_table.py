from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch.halving.decision import Decision
from archsearch.halving.rung_table import RungTable
from archsearch.halving.rungs import Ladder
from archsearch.halving.stopping_rule import Ruling
from archsearch.objective import ACCURACY

LADDER = Ladder(1, 9, 3)  # decisions after epochs 1 and 3

# Trial → validation accuracy after epochs 1, 2, 3, …; trained one after the other.
CURVES = {
    0: [0.50, 0.60, 0.70, 0.71, 0.72, 0.73, 0.74, 0.75, 0.76],  # first everywhere: never stopped
    1: [0.40, 0.90, 0.90],  # second of two at epoch 1, where ceil(2/3) = 1 goes on
    2: [0.55, 0.60, 0.65],  # best of epoch 1, second of two at epoch 3
    3: [0.50, 0.99, 0.99],  # epoch 1: 2nd of 4, two go on; tie with trial 0; best of epoch 3
    4: [0.60, math.nan],  # diverges between rungs
    5: [math.nan],  # diverges at a rung
    6: [0.54, 0.10, 0.70],  # epoch 1: 3rd of 6 values (NaN not counted), two go on: stopped
    7: [0.58, 0.10, 0.10],  # epoch 1: 2nd of 7, three go on; epoch 3: last of four
}
STOPPED_AT = {1: 1, 2: 3, 4: 2, 5: 1, 6: 1, 7: 3}


def play(
    table: RungTable, number: int, curve: list[float], protected: bool = False
) -> list[Ruling]:
    rulings = []
    for epoch, value in enumerate(curve, start=1):
        rulings.append(table.report(number, epoch, value, protected=protected))
        if rulings[-1].decision is Decision.STOP:
            break
    return rulings


def test_hand_made_curves_are_stopped_exactly_where_the_rule_says() -> None:
    table = RungTable(LADDER, ACCURACY)
    stopped_at = {}
    for number, curve in CURVES.items():
        rulings = play(table, number, curve)
        if rulings[-1].decision is Decision.STOP:
            stopped_at[number] = len(rulings)
            assert rulings[-1].reason
    assert stopped_at == STOPPED_AT
    assert table.values_at(1) == {0: 0.5, 1: 0.4, 2: 0.55, 3: 0.5, 4: 0.6, 6: 0.54, 7: 0.58}
    assert table.values_at(3) == {0: 0.7, 2: 0.65, 3: 0.99, 7: 0.1}


def test_a_stop_says_rank_rung_and_places() -> None:
    table = RungTable(LADDER, ACCURACY)
    table.report(0, 1, 0.5)
    ruling = table.report(1, 1, 0.4)
    assert ruling.rung == 1
    assert ruling.reason == "0.4000 was number 2 of 2 after epoch 1, where the best 1 went on"


def test_a_protected_trial_gets_one_shadow_stop_and_goes_on() -> None:
    table = RungTable(LADDER, ACCURACY)
    play(table, 0, CURVES[0])
    rulings = play(table, 1, [0.4, 0.4, 0.4, 0.4], protected=True)
    assert [ruling.decision for ruling in rulings] == [Decision.CONTINUE] * 4
    assert [ruling.shadow_stop for ruling in rulings] == [True, False, False, False]
    assert 1 in table.values_at(1)
    assert 1 not in table.values_at(3)


def test_a_protected_trial_that_diverges_is_stopped() -> None:
    table = RungTable(LADDER, ACCURACY)
    ruling = table.report(0, 2, math.nan, protected=True)
    assert ruling.decision is Decision.STOP
    assert not ruling.shadow_stop
    assert ruling.reason
    assert "nan" in ruling.reason


curves = st.lists(
    st.lists(
        st.one_of(st.integers(0, 20).map(lambda x: x / 20), st.just(math.nan)),
        min_size=9,
        max_size=9,
    ),
    min_size=1,
    max_size=12,
)


@given(curves, st.data())
def test_protecting_a_trial_changes_no_other_trials_ruling(
    values: list[list[float]], data: st.DataObject
) -> None:
    chosen = data.draw(st.integers(0, len(values) - 1))
    plain, guarded = RungTable(LADDER, ACCURACY), RungTable(LADDER, ACCURACY)
    for number, curve in enumerate(values):
        one = play(plain, number, curve)
        two = play(guarded, number, curve, protected=number == chosen)
        if number != chosen:
            assert one == two


@given(curves, st.randoms(use_true_random=False))
def test_replaying_the_recorded_epochs_gives_the_same_rulings(
    values: list[list[float]], random: object
) -> None:
    """Trials in parallel: epochs interleave in some order, which the record keeps."""
    table, again = RungTable(LADDER, ACCURACY), RungTable(LADDER, ACCURACY)
    pending = {number: iter(enumerate(curve, start=1)) for number, curve in enumerate(values)}
    recorded: list[tuple[int, int, float, Ruling]] = []
    while pending:
        number = random.choice(sorted(pending))  # type: ignore[attr-defined]
        try:
            epoch, value = next(pending[number])
        except StopIteration:
            del pending[number]
            continue
        ruling = table.report(number, epoch, value, protected=number % 3 == 0)
        recorded.append((number, epoch, value, ruling))
        if ruling.decision is Decision.STOP:
            del pending[number]
    for number, epoch, value, ruling in recorded:
        protected = number % 3 == 0
        assert again.report(number, epoch, value, protected=protected) == ruling
    for number, epoch, value, ruling in recorded:  # an epoch told twice changes nothing
        protected = number % 3 == 0
        assert again.report(number, epoch, value, protected=protected) == ruling
    assert all(again.values_at(rung) == table.values_at(rung) for rung in LADDER.rungs)


def test_values_of_an_unknown_rung_are_an_error() -> None:
    with pytest.raises(KeyError):
        RungTable(LADDER, ACCURACY).values_at(2)
