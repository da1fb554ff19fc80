"""A search over pretrained networks: weights are fetched first, trials train, resume, promote."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision.models._api import get_model

from archsearch.driver.run import run_search
from archsearch.engine.in_process import run_in_process
from archsearch.engine.weights import fetch_weights, share_weights, weights_here
from archsearch.errors import UnfitError, UsageError
from archsearch.models import build_model
from archsearch.schema import InputSpec
from archsearch.search.events import Event, Notice
from archsearch.search.request import SearchRequest
from archsearch.spaces.load import load_space, parse_space, write_space
from archsearch.storage import LocalPath
from archsearch.training.checkpoint_file import newest_valid
from archsearch.training.state import load_averaged_model
from tests.search_support import NO_TRACKING, recorded

SPACE = """\
description: How much of it should stay frozen?
families:
  torchvision:
    network: resnet18
    weights: {weights}
    frozen_stages: {{int: [3, 4]}}
    head: {{choice: [linear, mlp]}}
training:
  learning_rate: 0.01
  head_learning_rate_factor: {{float: [1, 10], log: true}}
  batch_size: 16
fidelity: {{max_epochs: 2, grace_period_epochs: 1}}
baselines: [{baselines}]
"""


@pytest.fixture
def space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A space whose weights are in a file beside it."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.chdir(tmp_path)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(get_model("resnet18", weights=None).state_dict(), "r18.pth")
    baseline = "torchvision-resnet18-frozen4-weights=r18.pth"
    path = tmp_path / "mine.yaml"
    path.write_text(SPACE.format(weights="r18.pth", baselines=baseline))
    return path


def request(space: Path, **changes: Any) -> SearchRequest:
    fields: dict[str, Any] = {
        "space": str(space),
        "data": "digits_attributes",
        "train_size": 32,
        "image_size": 32,
        "trials": 2,
        "runs_dir": space.parent / "runs",
        "tracking_uri": NO_TRACKING,
        "confirm": "none",
    }
    return SearchRequest(**fields | changes)


def test_a_search_trains_pretrained_networks_on_several_labels(
    space: Path, tmp_path: Path
) -> None:
    said: list[Event] = []
    result = run_search(request(space), said.append, run_trials=run_in_process)
    assert result.exit_code == 0
    digest = load_space(space).model_dump(mode="json")["families"]["torchvision"]["weights"]
    sentences = [event.text for event in said if isinstance(event, Notice)]
    kept = tmp_path / "torch" / "hub" / "checkpoints" / f"{digest.replace(':', '-')}.pth"
    assert f"Weights of resnet18: {kept}" in sentences

    trials = recorded(tmp_path / "runs").trials
    assert [trial.outcome for trial in trials] == ["completed", "completed"]
    assert trials[0].name == f"torchvision-resnet18-weights={digest[7:]}-frozen4"
    assert trials[0].arm == "baseline"
    # Head and frozen stages alone differ, so what is trained is far less than what there is.
    assert trials[0].complexity.params > 11_000_000
    config = trials[1].config
    assert config.architecture.family == "torchvision"
    assert config.architecture.weights == digest
    assert config.input.num_classes == 5

    # A finished trial needs the file of weights no more, wherever it has gone.
    (tmp_path / "r18.pth").unlink()
    kept.unlink()
    folder = recorded(tmp_path / "runs").paths.trial(1).checkpoints
    found = newest_valid(folder, trials[1].attempts, config.seeded_digest)
    assert found.checkpoint is not None
    model = load_averaged_model(config, found.checkpoint.payload())
    assert model(torch.zeros(1, 1, 32, 32)).shape == (1, 5)


def test_a_machine_without_the_weights_takes_them_from_the_storage(
    space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, storage = load_space(space), LocalPath(tmp_path / "shared")
    (copy,) = (storage / "weights" / Path(s).name for s in fetch_weights(wanted))
    sent = f"Weights of resnet18 are in {copy} now, from which each node takes a copy."
    assert list(share_weights(wanted, storage)) == [sent]
    assert list(share_weights(wanted, storage)) == []

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "node"))
    images = InputSpec(in_channels=1, image_size=32, num_classes=5)
    params = wanted.params_of_baseline(wanted.baselines[0])
    architecture = wanted.config(params, images, seed=0).architecture
    with pytest.raises(UnfitError, match="there is no such file on this machine"):
        build_model(architecture, images)
    weights_here(architecture, storage)
    (kept,) = (tmp_path / "node" / "hub" / "checkpoints").glob("*.pth")
    assert kept.read_bytes() == (tmp_path / "r18.pth").read_bytes()
    build_model(architecture, images)

    kept.write_bytes(b"cut short")
    weights_here(architecture, storage)
    build_model(architecture, images)


def test_other_contents_of_the_file_are_another_search(space: Path, tmp_path: Path) -> None:
    before = load_space(space)
    state = torch.load("r18.pth", weights_only=True)
    state["conv1.weight"].zero_()
    torch.save(state, "r18.pth")
    assert load_space(space).digest != before.digest
    written = write_space(before)
    assert parse_space(written.encode(), source="space.yaml").digest == before.digest
    for sentence in fetch_weights(before):
        assert sentence.endswith(".pth")
    assert tmp_path.joinpath("runs").exists() is False


def test_weights_that_cannot_be_had_end_a_search_before_it_begins(
    space: Path, tmp_path: Path
) -> None:
    torch.save({"conv1.weight": torch.zeros(1)}, "r18.pth")
    with pytest.raises(UnfitError, match="does not fit torchvision's resnet18") as caught:
        run_search(request(space), run_trials=run_in_process)
    assert caught.value.exit_code == 3
    assert not any((tmp_path / "runs").glob("*/search.db"))
    (tmp_path / "r18.pth").unlink()
    with pytest.raises(UnfitError, match=r"weights 'r18\.pth' cannot be used: r18\.pth: No such"):
        run_search(request(space), run_trials=run_in_process)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("weights: defualt", "`weights` must be none, default, IMAGENET1K_V1, the path"),
        ("weights: none", "`frozen_stages = 0` must hold without pretrained weights"),
        ("weights: IMAGENET1K_V1", "`weights = default` is how resnet18's weights IMAGENET1K_V1"),
        ("network: resnet19", "torchvision/network: "),
    ],
)
def test_a_space_that_breaks_a_rule_is_told_with_its_line(line: str, sentence: str) -> None:
    field = line.partition(":")[0]
    text = SPACE.format(weights="default", baselines="")
    broken = re.sub(rf"\b{field}: .*", line, text)
    with pytest.raises(UsageError, match=r"^f\.yaml:[345]: families/torchvision") as caught:
        parse_space(broken.encode(), source="f.yaml")
    assert sentence in str(caught.value)


def test_a_space_without_pretrained_networks_fetches_nothing() -> None:
    assert list(fetch_weights(load_space("smoke"))) == []
