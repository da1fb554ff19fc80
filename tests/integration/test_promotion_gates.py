"""Who becomes champion: gates, cards, races, force, rollback, through a real registry.

Answers on the test split are planted in the record, so every count is known.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import requests

from archsearch.data import DataSpec, PreparedData, prepare
from archsearch.errors import PromotionRefusedError, UnfitError, UsageError
from archsearch.promotion.promote import PromotionRequest, promote_named, roll_back
from archsearch.record.test_split import right_answers
from archsearch.registry import kept_evidence
from archsearch.registry.evidence import Answers
from archsearch.registry.package import Package
from archsearch.registry.versions import open_registry
from archsearch.tracking.client import open_client
from archsearch.tracking.store import TrackingStore
from tests.promotion_support import (
    Trained,
    add_trained,
    plant_answers,
    promote,
    trained_search,
)
from tests.tracking_support import call

pytestmark = pytest.mark.filterwarnings("default", "ignore:The ``noload`` loader")

MANY, FEW, OTHERS = range(0, 30), range(0, 10), range(6, 12)
"""Test images that models have wrong. FEW against MANY: 20 wins, no loss; OTHERS against FEW: 6
wins, 2 losses."""
WORSE, BETTER, EQUAL, UNREAD = 0, 1, 2, 3
"""The trials that have these wrong; the last one's answers are its own."""


@pytest.fixture(scope="module")
def data(data_cache: Path) -> PreparedData:
    return prepare(DataSpec(name="digits"), cache_dir=data_cache)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, data: PreparedData) -> Iterator[Trained]:
    """One search for all tests: each of its models is exported once."""
    with trained_search(tmp_path_factory.mktemp("runs"), data) as search:
        for number in (EQUAL, UNREAD):
            add_trained(search.record, data, number, accuracy=0.1)
        for number, wrong in ((WORSE, MANY), (BETTER, FEW), (EQUAL, OTHERS)):
            plant_answers(search, number, wrong)
        search.record.finish()
        search.record.writer.release()
        yield search


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory, data: PreparedData) -> Iterator[Trained]:
    """A search of another folder of runs."""
    with trained_search(tmp_path_factory.mktemp("elsewhere"), data, "second") as search:
        plant_answers(search, WORSE, range(0, 350))  # worse than what one epoch trains to
        plant_answers(search, BETTER, FEW)
        yield search


def fetched(store: TrackingStore, model: str, version: str, part: str, folder: Path) -> Path:
    with open_registry(store, model) as registry:
        return registry.fetch(registry.version(model, version), folder, part)


def aliases(store: TrackingStore, model: str) -> dict[str, str]:
    found: dict[str, str] = open_client(store).get_registered_model(model).aliases
    return {alias: str(number) for alias, number in found.items()}


def tags(store: TrackingStore, model: str, version: str) -> dict[str, str]:
    found: dict[str, str] = open_client(store).get_model_version(model, version).tags
    return found


def test_a_better_model_takes_the_alias_and_a_rollback_gives_it_back(
    trained: Trained, store: TrackingStore, tmp_path: Path, data: PreparedData
) -> None:
    first = promote(trained, store, "gates-a", trial=WORSE)
    assert [(g.name, g.verdict) for g in first.gates] == [
        ("mcnemar", "not applicable"),
        ("chance", "passed"),
    ]
    second = promote(trained, store, "gates-a")
    assert second.is_promoted
    assert (second.version, second.previous) == ("2", "1")
    assert aliases(store, "gates-a") == {"champion": "2"}
    found = tags(store, "gates-a", "2")
    assert found["validation_status"] == "passed"
    assert found["previous_version.champion"] == "1"

    card = json.loads(fetched(store, "gates-a", "2", "evidence/card.json", tmp_path).read_text())
    assert card["champion_comparison"]["counts"] == {
        "both_right": data.num_test - 30,
        "wins": 20,
        "losses": 0,
        "both_wrong": 10,
    }
    assert card["champion_comparison"]["answers_from"] == "its search's record"
    assert card["gates"][0]["measured"] == pytest.approx(2 * 0.5**20 - 0.5**20)
    difference = card["champion_comparison"]["difference"]
    assert difference["estimate"] == pytest.approx(20 / data.num_test)
    assert 0 < difference["low"] < 20 / data.num_test < difference["high"]
    assert card["data"]["digest"] == data.digest
    assert card["candidate"]["seed"] == 1
    assert card["cost"]["search_trials"] == 4
    assert [row["epoch"] for row in card["learning_curve"]] == [1]
    told = fetched(store, "gates-a", "2", "evidence/card.md", tmp_path).read_text()
    assert "**Promoted** to `champion`" in told
    assert f"| **candidate right** | {data.num_test - 30} | 20 |" in told
    rows = pq.read_table(
        fetched(store, "gates-a", "2", "evidence/test_predictions.parquet", tmp_path)
    )
    assert rows["label"].to_pylist() == right_answers(data).tolist()
    right = np.equal(rows["label"].to_pylist(), rows["prediction"].to_pylist())
    assert np.flatnonzero(~right).tolist() == list(FEW)

    done = roll_back(store, "gates-a", "champion")
    assert (done.withdrawn, done.restored) == ("2", "1")
    assert aliases(store, "gates-a") == {"champion": "1"}
    assert tags(store, "gates-a", "2")["rolled_back.champion"].endswith("to version 1")
    assert tags(store, "gates-a", "1")["restored.champion"].endswith("from version 2")
    with pytest.raises(PromotionRefusedError, match="the first with the alias"):
        roll_back(store, "gates-a", "champion")

    with pytest.raises(PromotionRefusedError, match=r"was rolled back .* give --force"):
        promote(trained, store, "gates-a")
    again = promote(trained, store, "gates-a", force=True)
    assert again.version == "2"
    assert [e["status"] for e in again.card["examinations"]] == ["passed", "passed"]
    assert "rolled_back.champion" not in tags(store, "gates-a", "2")


def test_a_model_that_is_not_better_stays_challenger_and_says_what_is_missing(
    trained: Trained, store: TrackingStore, tmp_path: Path
) -> None:
    promote(trained, store, "gates-b", trial=BETTER)
    refused = promote(trained, store, "gates-b", "params=1K", "latency_ms=1000", trial=EQUAL)
    assert not refused.is_promoted
    assert aliases(store, "gates-b") == {"champion": "1", "challenger": "2"}
    found = tags(store, "gates-b", "2")
    assert found["validation_status"] == "failed"
    assert found["failed_gates"] == "mcnemar, params"
    assert "previous_version.champion" not in found
    message = str(refused.refusal())
    assert "p = 0.18" in message
    assert "the candidate alone has 6 right, the champion alone 2" in message
    assert "2 test images more right would do" in message  # both losses turned: 6 to 0
    assert "(at most 1,000 parameters)" in message
    told = fetched(store, "gates-b", "2", "evidence/card.md", tmp_path).read_text()
    assert "**Not promoted** to `champion`" in told

    forced = promote(trained, store, "gates-b", trial=EQUAL, force=True)
    assert forced.is_promoted
    assert forced.version == "2"
    assert aliases(store, "gates-b") == {"champion": "2"}
    found = tags(store, "gates-b", "2")
    assert found["validation_status"] == "failed"
    assert found["forced"].endswith("past mcnemar")
    assert forced.card["overridden"] == ["mcnemar"]
    assert [e["promoted"] for e in forced.card["examinations"]] == [False, True]
    told = fetched(store, "gates-b", "2", "evidence/card.md", tmp_path / "again").read_text()
    assert "**Forced** to `champion`" in told


def test_a_champion_of_another_folder_is_compared_by_the_answers_that_it_carries(
    trained: Trained, elsewhere: Trained, store: TrackingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(trained, store, "gates-c", trial=WORSE)
    monkeypatch.setattr(kept_evidence, "_evaluated", not_to_be_called)
    promotion = promote(elsewhere, store, "gates-c")
    assert promotion.card["champion_comparison"]["answers_from"] == "the version's evidence"
    assert promotion.card["champion_comparison"]["counts"]["wins"] == 20
    assert promotion.is_promoted


def not_to_be_called(*args: Any) -> None:
    raise AssertionError("the champion was evaluated again")


def test_a_champion_without_stored_answers_is_asked_once(
    trained: Trained,
    elsewhere: Trained,
    store: TrackingStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    champion = promote(trained, store, "gates-d", trial=UNREAD)
    remove_artifact(store, "gates-d", "evidence/test_predictions.parquet")
    answers: list[Answers] = []
    whole = kept_evidence.champion_answers

    def noted(*args: Any) -> Answers:
        answers.append(whole(*args))
        return answers[-1]

    monkeypatch.setattr("archsearch.promotion.examination.champion_answers", noted)
    for _ in range(2):
        assert not promote(elsewhere, store, "gates-d", trial=WORSE).is_promoted
    assert [a.source for a in answers] == ["evaluated now", "the version's evidence"]
    for each in answers:
        assert np.array_equal(each.predictions, champion.found.reading.predictions)


def remove_artifact(store: TrackingStore, model: str, part: str) -> None:
    place = open_client(store).get_model_version_download_uri(model, "1")
    (Path(place.removeprefix("file://")) / part).unlink()


@pytest.fixture
def out_of_reach(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Evidence that lies in the store and is listed, but whose download gets no answer."""
    import mlflow.artifacts

    names: set[str] = set()
    download = mlflow.artifacts.download_artifacts

    def slow(uri: str, **options: Any) -> str:
        if uri.rpartition("/evidence/")[2] in names:
            raise requests.ReadTimeout("Read timed out. (read timeout=60)")
        return str(download(uri, **options))

    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", slow)
    return names


def test_earlier_examinations_are_not_lost_to_a_store_that_does_not_answer(
    trained: Trained, store: TrackingStore, out_of_reach: set[str]
) -> None:
    """The card is written anew with each examination, with those that the stored one tells of."""
    promote(trained, store, "gates-l", trial=BETTER)
    refused = promote(trained, store, "gates-l", trial=EQUAL)
    assert not refused.is_promoted
    out_of_reach.add("card.json")
    with pytest.raises(UnfitError, match=r"card.json of gates-l version 2 .*does not answer"):
        promote(trained, store, "gates-l", trial=EQUAL, force=True)
    assert aliases(store, "gates-l") == {"champion": "1", "challenger": "2"}
    out_of_reach.clear()
    forced = promote(trained, store, "gates-l", trial=EQUAL, force=True)
    *earlier, last = forced.card["examinations"]
    assert earlier == refused.card["examinations"]
    assert last["promoted"]


def test_a_champion_whose_answers_cannot_be_fetched_is_not_asked_again(
    trained: Trained,
    elsewhere: Trained,
    store: TrackingStore,
    out_of_reach: set[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A test split is read once for each model."""
    promote(trained, store, "gates-m", trial=WORSE)
    monkeypatch.setattr(kept_evidence, "_evaluated", not_to_be_called)
    out_of_reach.add("test_predictions.parquet")
    with pytest.raises(UnfitError, match=r"test_predictions.parquet of gates-m version 1"):
        promote(elsewhere, store, "gates-m")
    out_of_reach.clear()
    assert promote(elsewhere, store, "gates-m").is_promoted


def test_a_champion_of_other_data_can_be_replaced_by_force_alone(
    trained: Trained, store: TrackingStore
) -> None:
    client = open_client(store)
    client.create_registered_model("gates-e")
    client.create_model_version("gates-e", "s3://nowhere/m", tags={"data_digest": "other"})
    client.set_registered_model_alias("gates-e", "champion", "1")
    with pytest.raises(PromotionRefusedError, match="other data"):
        promote(trained, store, "gates-e")
    assert len(client.search_model_versions("name='gates-e'")) == 1  # nothing was registered
    forced = promote(trained, store, "gates-e", force=True)
    assert forced.is_promoted
    assert forced.card["overridden"] == ["comparison"]
    assert tags(store, "gates-e", "2")["validation_status"] == "failed"
    assert aliases(store, "gates-e") == {"champion": "2"}


def test_a_race_that_another_machine_wins_is_told(
    trained: Trained, store: TrackingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    promote(trained, store, "gates-f", trial=WORSE)
    client = open_client(store)
    client.create_model_version("gates-f", "s3://nowhere/m")  # the other machine's, version 2
    set_alias = MlflowClient.set_registered_model_alias

    def other_was_first(self: MlflowClient, name: str, alias: str, version: str) -> None:
        if alias == "challenger":  # between the two readings of the champion
            set_alias(self, name, "champion", "2")
        set_alias(self, name, alias, version)

    def other_follows_at_once(self: MlflowClient, name: str, alias: str, version: str) -> None:
        set_alias(self, name, alias, version)
        if alias == "champion":
            set_alias(self, name, alias, "2")

    for race in (other_was_first, other_follows_at_once):
        set_alias(client, "gates-f", "champion", "1")
        with monkeypatch.context() as patch:
            patch.setattr(MlflowClient, "set_registered_model_alias", race)
            with pytest.raises(PromotionRefusedError, match=r"faster: champion is version 2 now"):
                promote(trained, store, "gates-f")
        assert aliases(store, "gates-f") == {"champion": "2", "challenger": "3"}
        assert "previous_version.champion" not in tags(store, "gates-f", "3")


def test_promotions_of_one_model_on_one_machine_wait_for_each_other(
    store: TrackingStore,
) -> None:
    ended = threading.Event()

    def second() -> None:
        with open_registry(store, "gates-g"):
            ended.set()

    with open_registry(store, "gates-g"):
        thread = threading.Thread(target=second)
        thread.start()
        assert not ended.wait(0.5)
        with open_registry(store, "gates-h"):  # another model's goes on
            pass
    assert ended.wait(10)
    thread.join()


def test_a_notebook_promotes_by_the_search_s_name(trained: Trained, store: TrackingStore) -> None:
    folder, request = trained.runs.root, PromotionRequest(model="gates-j", trial=WORSE)
    promotion = promote_named("first", request, runs_dir=folder, tracking_uri=store.uri)
    assert promotion.uri == "models:/gates-j@champion"
    with pytest.raises(UsageError, match="did you mean first"):
        promote_named("frist", request, runs_dir=folder)


@pytest.mark.parametrize("fault", ["parity", "signature"])
def test_an_export_that_is_not_what_was_trained_is_never_promoted(
    trained: Trained, store: TrackingStore, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    if fault == "parity":
        answer = Package.answer
        monkeypatch.setattr(Package, "answer", lambda self, images: answer(self, images) + 1e-3)
    else:
        check, more = Package.check_signature, {"num_classes": 11}
        monkeypatch.setattr(
            Package, "check_signature", lambda self, d: check(self, d.model_copy(update=more))
        )
    message = {"parity": "differ from the trial's by 0.001", "signature": "signature says"}
    with pytest.raises(UnfitError, match=message[fault]):
        promote(trained, store, f"gates-{fault}", force=True)
    assert "champion" not in aliases(store, f"gates-{fault}")


def test_the_command_refuses_with_the_numbers_and_rolls_back(
    trained: Trained, store: TrackingStore, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [
        f"--runs-dir={trained.runs.root}",
        f"--tracking-uri={store.uri}",
        "--model=gates-i",
    ]
    assert call("pipeline.promote", "first", "--trial=1", *options) == 0
    told = capsys.readouterr().out
    assert "not applicable" in told
    assert "no champion" in told
    assert call("pipeline.promote", "first", "--trial=0", *options, "--json") == 5
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert not report["promoted"]
    assert report["validation_status"] == "failed"
    assert report["uri"] == "models:/gates-i@challenger"
    assert "the candidate is not the better one" in printed.err
    assert call("pipeline.promote", "first", "--trial=0", "--force", *options) == 0
    assert "forced past" in capsys.readouterr().out
    assert call("pipeline.promote", "--rollback", *options) == 0
    assert "is version 1 again (it was version 2)" in capsys.readouterr().out
    assert call("pipeline.promote", "first", "--gate", "mcnemra=0.01", *options) == 2
    assert "did you mean mcnemar?" in capsys.readouterr().err


def test_before_all_confirm_runs_have_ended_the_best_so_far_is_promoted_with_a_caution(
    data: PreparedData, store: TrackingStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [f"--tracking-uri={store.uri}", "--model=gates-k", "--gate=mcnemar=none"]
    options.append(f"--runs-dir={tmp_path / 'runs'}")
    with trained_search(tmp_path / "runs", data, "confirmed", confirm="1x2", trials=2) as search:
        add_trained(search.record, data, 2, accuracy=0.15, arm="confirm")
        early = promote(search, store, "gates-k", "chance=none")
        assert early.found.candidate.trial.number == 2
        caution = "1 of 2 confirm runs have ended: another variant may win"
        assert early.card["candidate"]["caution"].startswith(caution)
        told = fetched(store, "gates-k", "1", "evidence/card.md", tmp_path / "early").read_text()
        assert f"Caution: {caution}" in told
        assert "| chosen | the best so far |" in told
        assert call("pipeline.promote", "confirmed", *options, "--gate=chance=none") == 5

        add_trained(search.record, data, 3, accuracy=0.16, arm="confirm")
        search.record.finish()
        search.record.writer.release()
        capsys.readouterr()
        assert call("pipeline.promote", "confirmed", *options, "--gate=chance=none") == 0
        told = capsys.readouterr().out
        assert "version 2 is trial 3" in told
        assert "chosen               the winner of 2 confirm runs\n" in told
        assert "caution" not in told
