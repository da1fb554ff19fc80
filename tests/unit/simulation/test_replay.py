"""A replay spends a budget on rows of a table as a search would, and counts its regret."""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from archsearch.analysis.recorded_search import RecordedSearch
from archsearch.record.policy import Policy
from archsearch.report.tables import write_tables
from archsearch.simulation.curve_table import CurveTable, read_curve_table
from archsearch.simulation.policies import REPLAY_POLICIES, OfProduct, replay_policy
from archsearch.simulation.regret import PolicyResult, answer, compare
from archsearch.simulation.replay import TrainedEpoch
from archsearch.simulation.search import DATA
from archsearch.simulation.table_space import RowArchitecture, TableSpace, row_of
from archsearch.spaces.parameters import Scalar
from archsearch.spaces.recipe import Recipe
from archsearch.spaces.suggest import UniformSuggester
from tests.cli_support import call_here

NUM_ROWS, MAX_EPOCHS = 60, 9

every_policy = pytest.mark.parametrize("policy", REPLAY_POLICIES)


def made_table(num_rows: int = NUM_ROWS, seed: int = 0) -> CurveTable:
    """Curves that rise to what width, depth and activation together allow."""
    generator = np.random.default_rng(seed)
    width = generator.integers(1, 200, num_rows)
    depth = generator.choice([8, 14, 20], num_rows, p=[0.6, 0.3, 0.1])
    activation = generator.choice(["relu", "gelu"], num_rows)
    end = 0.5 + 0.001 * width + 0.005 * depth + 0.03 * (activation == "gelu")
    epochs = np.arange(1, MAX_EPOCHS + 1)
    curves = end[:, None] * (1 - 0.6**epochs) + generator.normal(0, 0.01, (num_rows, MAX_EPOCHS))
    parameters: dict[str, list[Scalar | None]] = {
        "width": [int(value) for value in width],
        "depth": [int(value) for value in depth],
        "activation": [str(value) for value in activation],
    }
    seconds = generator.uniform(1, 3, num_rows)
    return CurveTable("made", curves, parameters, ["table"] * num_rows, seconds)


def written(folder: Path, table: CurveTable) -> Path:
    """The table as a CSV file."""
    columns = [*table.parameters, *(f"acc_{n}" for n in range(1, table.max_epochs + 1))]
    rows = zip(*table.parameters.values(), *table.curves.T, strict=True)
    path = folder / "made.csv"
    path.write_text("\n".join(",".join(map(str, row)) for row in [columns, *rows]))
    return path


@pytest.fixture(scope="module")
def table() -> CurveTable:
    return made_table()


def test_every_row_is_a_member_and_each_is_found_by_its_parameters(table: CurveTable) -> None:
    space = TableSpace(table)
    for row in range(table.num_rows):
        given = params_of(space, table, row)
        assert space.fits(given)
        assert row_of(space.config(given, DATA.input_spec, seed=0)) == row


def params_of(space: TableSpace, table: CurveTable, row: int) -> dict[str, Scalar]:
    """The parameters of a row."""
    architecture: Any = RowArchitecture(family=table.families[row], row=row)
    return space.params_of(architecture, Recipe())


def test_a_uniform_draw_of_numbers_is_a_uniform_row() -> None:
    made = made_table()
    numbers = {name: made.parameters[name] for name in ("width", "depth")}
    table = CurveTable("made", made.curves, numbers, made.families, made.seconds)
    space, draws = TableSpace(table), UniformSuggester(np.random.default_rng(0))
    hits = np.zeros(table.num_rows)
    for _ in range(100 * table.num_rows):
        hits[row_of(space.config(space.suggest(draws).params, DATA.input_spec, seed=0))] += 1
    # Each count is binomial with mean 100 and deviation 10.
    assert hits.min() > 60
    assert hits.max() < 140


def test_a_larger_value_lies_further_up(table: CurveTable) -> None:
    numbers = {"width": table.parameters["width"]}
    space = TableSpace(CurveTable("w", table.curves, numbers, table.families, table.seconds))
    points = np.linspace(0, 1, 200)
    widths = [
        table.parameters["width"][
            row_of(space.config({"family": "table", "table/width": p}, DATA.input_spec, seed=0))
        ]
        for p in points
    ]
    assert widths == sorted(widths, key=float)  # type: ignore[arg-type]


@every_policy
def test_a_policy_trains_rows_epoch_after_epoch_until_its_budget_is_spent(
    policy: str, table: CurveTable
) -> None:
    budget = 10 * MAX_EPOCHS
    trained = replay_policy(policy).replay(table, 4, seed=3, num_epochs=budget)
    assert len(trained) == budget
    reached: dict[int, int] = {}
    for one in trained:
        assert one.epoch == reached.get(one.row, 0) + 1
        reached[one.row] = one.epoch
    assert max(reached.values()) == MAX_EPOCHS


@every_policy
def test_the_same_seed_gives_the_same_search_and_another_one_another(
    policy: str, table: CurveTable
) -> None:
    first, again, other = (
        replay_policy(policy).replay(table, 4, seed, num_epochs=100) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


@every_policy
def test_a_policy_ends_when_every_row_was_tried(policy: str) -> None:
    few = made_table(num_rows=12)
    trained = replay_policy(policy).replay(few, 4, seed=0, num_epochs=10_000)
    assert {one.row for one in trained} == set(range(12))


def test_full_training_finds_what_so_many_uniform_rows_hold(table: CurveTable) -> None:
    """The exact mean of the best of k rows drawn without replacement."""
    results = compare(table, ["full"], workers=1, trainings=10, searches=200)
    [result] = list(results)
    ends = np.sort(table.best - table.curves[:, -1])
    for budget in (5, 10):
        shares = [
            math.comb(NUM_ROWS - 1 - place, budget - 1) / math.comb(NUM_ROWS, budget)
            for place in range(NUM_ROWS)
        ]
        values = [search.regret[budget] for search in result.searches]
        error = statistics.stdev(values) / math.sqrt(len(values))
        assert abs(result.regret(budget) - float(ends @ shares)) < 4 * error


def test_only_arms_take_epochs_for_the_audit(table: CurveTable) -> None:
    shares = {
        result.policy: result.arm_share
        for result in compare(table, ["default", "uniform", "ray"], trainings=20, searches=3)
    }
    assert shares["default"] > 0
    assert shares["uniform"] == shares["ray"] == 0


def test_the_default_is_what_a_search_does_without_options() -> None:
    assert REPLAY_POLICIES["default"][0] == OfProduct(Policy())


CURVES = np.array([[0.5, 0.6, 0.7], [0.65, 0.61, 0.62], [0.9, math.nan, math.nan]])
HAND_MADE = CurveTable("hand", CURVES, {"x": [1, 2, 3]}, ["table"] * 3, np.ones(3))


def epochs(*pairs: tuple[int, int]) -> list[TrainedEpoch]:
    return [TrainedEpoch(row, epoch) for row, epoch in pairs]


def test_the_best_fully_trained_trial_is_the_answer() -> None:
    trained = epochs((1, 1), (1, 2), (1, 3), (0, 1), (0, 2), (0, 3))
    assert answer(HAND_MADE, trained, 3) == 0.62
    assert answer(HAND_MADE, trained, 5) == 0.62
    assert answer(HAND_MADE, trained, 6) == 0.7


def test_a_search_without_one_must_finish_its_leader_within_the_budget() -> None:
    trained = epochs((0, 1), (1, 1), (0, 2))
    # After two epochs row 1 leads, and two more would finish it: within four, not within three.
    assert answer(HAND_MADE, trained[:2], 4) == 0.62
    assert answer(HAND_MADE, trained, 3) == 0.7
    assert answer(HAND_MADE, trained, 4) == 0.62


def test_a_search_that_can_finish_nothing_has_found_nothing() -> None:
    assert answer(HAND_MADE, epochs((0, 1)), 2) == 0
    assert answer(HAND_MADE, epochs((2, 1), (2, 2)), 6) == 0


def test_wins_and_losses_are_counted_against_uniform_draws_seed_by_seed(
    table: CurveTable,
) -> None:
    by_name = {r.policy: r for r in compare(table, ["full", "uniform"], searches=6)}
    pairs = [
        (one.regret[20], other.regret[20])
        for one, other in zip(by_name["full"].searches, by_name["uniform"].searches, strict=True)
    ]
    assert by_name["full"].wins == sum(one < other for one, other in pairs)
    assert by_name["full"].losses == sum(one > other for one, other in pairs)
    assert (by_name["uniform"].wins, by_name["uniform"].losses) == (0, 0)
    alone: PolicyResult = next(compare(table, ["full"], searches=6))
    assert (alone.wins, alone.losses) == (by_name["full"].wins, by_name["full"].losses)


def test_the_command_prints_one_object_a_policy(tmp_path: Path, table: CurveTable) -> None:
    asked = ["--policy", "full", "--policy", "one-epoch", "--trainings", 10, "--searches", 3]
    told = call_here("simulate", "--curves", written(tmp_path, table), *asked, "--json")
    assert told.code == 0, told.err
    results = json.loads(told.out)
    assert [result["policy"] for result in results] == ["full", "one-epoch"]
    for result in results:
        assert result["table"] == "made"
        assert (result["workers"], result["searches"]) == (4, 3)
        assert result["regret"].keys() == result["interval"].keys() == {"5", "10"}
        for budget, (low, high) in result["interval"].items():
            assert low <= result["regret"][budget] <= high
    shown = call_here("simulate", "--curves", written(tmp_path, table), *asked)
    assert shown.code == 0
    assert f"{100 * results[0]['regret']['5']:.2f}" in shown.out


def test_a_table_as_parquet_is_the_same_table(tmp_path: Path, table: CurveTable) -> None:
    path = written(tmp_path, table)
    from_csv = read_curve_table(path)
    columns = {**from_csv.parameters}
    columns |= {f"acc_{n + 1}": list(column) for n, column in enumerate(from_csv.curves.T)}
    pq.write_table(pa.table(columns), tmp_path / "made.parquet")
    from_parquet = read_curve_table(tmp_path / "made.parquet")
    assert np.array_equal(from_parquet.curves, from_csv.curves)
    assert from_parquet.parameters == from_csv.parameters


def test_what_tells_a_sampler_nothing_is_no_parameter(tmp_path: Path) -> None:
    lines = ["net,data,lr,acc_0,acc_1"]
    lines += [f"net-{n},svhn,{0.1 * (n % 3)},0.{n + 10},0.{n + 20}" for n in range(8)]
    path = tmp_path / "named.csv"
    path.write_text("\n".join(lines))
    read = read_curve_table(path)
    assert list(read.parameters) == ["lr"]
    assert set(read.left_out) == {"net", "data"}


def test_the_epochs_of_a_search_are_a_table_of_its_completed_trials(
    recorded: RecordedSearch,
) -> None:
    _, path = write_tables(recorded)
    table = read_curve_table(path)
    completed = [t for t in recorded.trials if t.outcome == "completed" and t.arm != "confirm"]
    assert table.name == recorded.search.name
    assert list(table.families) == [trial.family for trial in completed]
    for curve, trial in zip(table.curves, completed, strict=True):
        assert curve.tolist() == [epoch.value for epoch in trial.epochs]
    space = TableSpace(table)
    for row, trial in enumerate(completed):
        own = {f"{trial.family}/{name}" for name in table.parameters}
        params = params_of(space, table, row)
        assert {name for name in params if name != "family"} <= own


BAD = {
    "empty": ("", "cannot be read"),
    "no accuracy": ("lr,loss\n1,2\n2,3\n", "acc_N"),
    "a gap": ("lr,acc_1,acc_3\n1,2,3\n2,3,4\n", "without gaps"),
    "text": ("lr,acc_1\n1,high\n2,low\n", "must hold numbers"),
    "one row": ("lr,acc_1\n1,0.5\n", "at least two rows"),
    "no end": ("lr,acc_1,acc_2\n1,0.5,\n2,0.5,\n", "at least two rows and one such"),
    "no parameter": ("acc_1,acc_2\n0.5,0.6\n0.5,0.7\n", "no parameter"),
    "twice": ("lr,lr,acc_1\n1,2,0.3\n1,2,0.4\n", "two columns"),
    "ragged": ("lr,acc_1\n1,0.3,7\n1\n", "cannot be read"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_table_is_one_sentence(case: str, tmp_path: Path) -> None:
    text, told = BAD[case]
    path = tmp_path / "bad.csv"
    path.write_text(text)
    answered = call_here("simulate", "--curves", path)
    assert answered.code == 3
    assert told in answered.err
    assert str(path) in answered.err
    assert len(answered.err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--curves", "nowhere.csv"], "nowhere.csv"),
        (["--policy", "ray"], "--policy"),
        (["--trainings", 5], "--trainings"),
        (["--curves", "{}", "--policy", "rey"], "did you mean ray"),
        (["--curves", "{}", "--scenario", "equal"], "--scenario"),
        (["--curves", "{}", "--trials", 5], "--trials"),
        (["--curves", "{}", "first"], "a search's name"),
    ],
)
def test_what_does_not_go_together_is_refused(
    args: list[object], told: str, tmp_path: Path, table: CurveTable
) -> None:
    path = written(tmp_path, table)
    answered = call_here("simulate", *(path if arg == "{}" else arg for arg in args))
    assert answered.code == 2
    assert told in answered.err
