"""Workers that get on are left alone however slow they are; workers that do not are replaced."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.cli_support import call, start_search, status

# Training steps that take STEP_SECONDS longer, or the first of which blocks for ever.
OTHER_STEPS = """
import importlib.abc, importlib.machinery, os, sys, threading, time

class Saboteur(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        if name != "archsearch.training.stepper":
            return None
        sys.meta_path.remove(self)
        self.found = importlib.machinery.PathFinder.find_spec(name, path)
        return importlib.machinery.ModuleSpec(name, self, origin=self.found.origin)

    def create_module(self, spec):
        return importlib.util.module_from_spec(self.found)

    def exec_module(self, module):
        self.found.loader.exec_module(module)
        step = module.Stepper.step

        def slow(stepper, images, labels):
            time.sleep(float(os.environ["STEP_SECONDS"]))
            return step(stepper, images, labels)

        def blocked(stepper, images, labels):
            try:
                os.close(os.open(os.environ["BLOCKED_ONCE"], os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return step(stepper, images, labels)
            threading.Event().wait()

        module.Stepper.step = slow if "STEP_SECONDS" in os.environ else blocked

sys.meta_path.insert(0, Saboteur())
"""


def other_steps(folder: Path, **variables: str) -> dict[str, str]:
    """The environment of a search whose workers take other steps."""
    (folder / "sitecustomize.py").write_text(OTHER_STEPS)
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {"PYTHONPATH": path, **variables}


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_an_epoch_may_take_longer_than_hang_seconds(tmp_path: Path, workers: int) -> None:
    hang_seconds = 15
    done = call(
        "search", "--space", "smoke", "--trials", 1, "--confirm", "none", "--name", "slow",
        "--max-epochs", 1, "--hang-seconds", hang_seconds, "--workers-per-trial", workers,
        cwd=tmp_path, **other_steps(tmp_path, STEP_SECONDS="1.5"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (trial,) = status(tmp_path, "slow")["trials"]
    assert (trial["outcome"], trial["attempts"]) == ("completed", 1)
    log = (tmp_path / "runs" / "slow" / "trials" / "0000" / "worker.log").read_text()
    (took,) = re.findall(r"epoch 1: accuracy \S+ in (\S+) s", log)
    assert float(took) > hang_seconds


@pytest.mark.slow
def test_a_step_that_never_ends_costs_its_worker_and_the_trial_goes_on_with_another(
    tmp_path: Path,
) -> None:
    search = ("--space", "smoke", "--trials", 1, "--confirm", "none", "--name", "blocked")
    environment = other_steps(tmp_path, BLOCKED_ONCE=str(tmp_path / "blocked"))
    with start_search(*search, "--hang-seconds", 20, cwd=tmp_path, **environment) as running:
        events = running.wait_for("trial_ended")
        code, errors = running.end()
    assert code == 0, errors
    warnings = [event["text"] for event in events if event["event"] == "warned"]
    assert any("no sign of life for 2" in text for text in warnings), warnings
    (trial,) = status(tmp_path, "blocked")["trials"]
    assert (trial["outcome"], trial["attempts"]) == ("completed", 2)
