"""A search on a GPU, as its user runs it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from archsearch.record.paths import RunsFolder
from archsearch.tracking.client import open_client
from archsearch.tracking.store import tracking_store
from tests.cli_support import call, start_search, status

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("default")]

SEARCH = (
    "--space", "smoke", "--trials", 4, "--name", "shared", "--confirm", "1x1",
    "--gpus-per-trial", 0.5,
)  # fmt: skip
LOADS = ("system/gpu_memory_usage_mebibytes", "system/worker_memory_usage_mebibytes")


def test_two_trials_share_a_gpu_and_a_killed_driver_goes_on(tmp_path: Path) -> None:
    with start_search(*SEARCH, cwd=tmp_path) as search:
        events = search.wait_for("epoch_finished", 3)
        (begun,) = (event for event in events if event["event"] == "search_started")
        assert begun["num_slots"] >= 2
        search.process.kill()
    done = call("search", *SEARCH, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "accelerator" not in done.stdout  # so no default cap on MACs
    answer = status(tmp_path, "shared")
    assert answer["state"] == "finished"
    assert set(answer["outcomes"]) <= {"completed", "stopped"}
    logs = [path.read_text() for path in (tmp_path / "runs/shared/trials").glob("*/worker.log")]
    assert len(logs) == 5  # one confirms
    assert all("on cuda, by 1 worker" in log and "on cpu" not in log for log in logs)
    store = tracking_store(RunsFolder(tmp_path / "runs"), None)
    client = open_client(store, 30)
    (experiment,) = (e for e in client.search_experiments() if e.name != "Default")
    runs = client.search_runs([experiment.experiment_id], "tags.kind = 'trial'")
    assert len(runs) >= 4
    assert all(run.data.metrics[load] > 0 for run in runs for load in LOADS)
    assert all(run.data.metrics["system/gpu_utilization_percentage"] >= 0 for run in runs)
    assert {run.data.tags["gpu"] for run in runs} == {torch.cuda.get_device_name()}


def test_a_processor_promotes_and_predicts_what_a_gpu_has_trained(tmp_path: Path) -> None:
    """Parity with the trial's network is checked on the way."""
    asked = ("--space", "smoke", "--trials", 2, "--name", "first", "--confirm", "1x1")
    done = call("search", *asked, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "of the test images right" in done.stdout
    promoted = call("promote", "first", cwd=tmp_path, CUDA_VISIBLE_DEVICES="")
    assert promoted.returncode == 0, promoted.stderr
    for format in ("onnx", "pt2"):
        path = tmp_path / f"model.{format}"
        model = "models:/archsearch-digits@champion"
        words = ("export", model, "--format", format, "--output", path)
        exported = call(*words, cwd=tmp_path, CUDA_VISIBLE_DEVICES="")
        assert exported.returncode == 0, exported.stderr
