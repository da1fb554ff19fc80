"""What goes wrong inside a trial: numbers that are none, and memory that is not there.

The trials are real, trained by the worker's own code in the driver's process.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from optuna.trial import TrialState
from torch import nn

from archsearch.engine.in_process import run_in_process
from archsearch.halving.decision import Decision, standing
from archsearch.objective import ACCURACY
from archsearch.record.trial import TrialRecord, incumbent
from archsearch.schema import InputSpec
from archsearch.search.request import SearchRequest
from archsearch.search.tpe_sampler import feedback_of
from archsearch.spaces.catalogue import parse_name
from archsearch.training import loop
from archsearch.training.footprint import training_memory
from tests.chaos.conftest import STEPS_PER_EPOCH, NewRequest
from tests.chaos.drivers import start
from tests.chaos.fault_table import FaultTable, Snapshot, account_of, snapshot


class Saboteur:
    """Puts a hook on the networks of chosen trials, as they are built.

    Args:
        hooks: Trial number to what is called after each forward pass, with the number of passes
            in training so far.
    """

    def __init__(self, hooks: dict[int, Callable[[nn.Module, torch.Tensor, int], object]]) -> None:
        self._hooks = hooks
        self._build = vars(loop)["build_model"]
        self._num_built = 0

    def install(self) -> None:
        """For the rest of the process's life. One worker builds one network a trial."""
        vars(loop)["build_model"] = self._built

    def _built(self, *arguments: object, **keywords: object) -> nn.Module:
        model: nn.Module = self._build(*arguments, **keywords)
        hook = self._hooks.get(self._num_built)
        self._num_built += 1
        if hook is not None:
            model.register_forward_hook(_Counted(hook))
        return model


class _Counted:
    """Counts forward passes; a network's average is a copy of it, but has the same counter."""

    def __init__(self, hook: Callable[[nn.Module, torch.Tensor, int], object]) -> None:
        self._hook = hook
        self._passes = 0

    def __deepcopy__(self, memo: object) -> _Counted:
        return self

    def __call__(
        self, module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor
    ) -> object:
        self._passes += module.training
        return self._hook(module, output, self._passes)


def nan_loss(from_pass: int) -> Callable[..., object]:
    def hook(module: nn.Module, output: torch.Tensor, passes: int) -> object:
        return output * float("nan") if module.training and passes >= from_pass else None

    return hook


def infinite_metric(from_pass: int) -> Callable[..., object]:
    def hook(module: nn.Module, output: torch.Tensor, passes: int) -> object:
        return output * float("inf") if not module.training and passes >= from_pass else None

    return hook


def infinite_weight(from_pass: int) -> Callable[..., object]:
    """In a statistic of BatchNorm, which no loss of training shows."""

    def hook(module: nn.Module, output: torch.Tensor, passes: int) -> object:
        if module.training and passes == from_pass:
            means = (b for name, b in module.named_buffers() if name.endswith("running_mean"))
            next(means).data.fill_(float("inf"))
        return None

    return hook


def test_what_is_no_number_ends_a_trial_in_its_epoch_and_counts_nowhere(
    training_request: SearchRequest, faults: FaultTable
) -> None:
    # In the first epoch, which is a rung; between rungs; in the last epoch.
    hooks = {
        1: (nan_loss(2), 1, "loss"),
        2: (infinite_metric(STEPS_PER_EPOCH), 1, "validation loss"),
        0: (infinite_weight(2 * STEPS_PER_EPOCH), 2, "running_mean"),
        4: (infinite_weight(1), 1, "running_mean"),
    }
    saboteur = Saboteur({number: hook for number, (hook, _, _) in hooks.items()})
    end = start(training_request, run_in_process, before=saboteur.install).wait()
    assert end.code == 0, end.told
    now = snapshot(training_request.runs_dir)
    trials = now.recorded.trials
    for number, (_, epoch, what) in hooks.items():
        trial = trials[number]
        assert trial.outcome == "diverged", trial.reason
        assert what in str(trial.reason)
        assert [e.epoch for e in trial.epochs] == list(range(1, epoch + 1))
        assert trial.epochs[-1].value is None
        assert trial.attempts == {1: "finished"}
        assert feedback_of(trial).state is TrialState.PRUNED
        assert not feedback_of(trial).feasible
    best = incumbent(trials)
    assert best is not None
    assert best.number not in hooks
    assert _rulings(trials) == {t.number: t.rung_epochs for t in trials if t.rung_epochs}
    faults.add(
        "not-finite",
        "NaN in the loss, Inf in the metric, Inf in a BatchNorm statistic",
        len(hooks),
        "`diverged` in that epoch, one attempt; the rungs' decisions are those without it",
        account_of([], now),
    )


def _rulings(trials: list[TrialRecord]) -> dict[int, int]:
    """Who is stopped at which rung, judged from finite values alone, one trial after another."""
    values: list[float] = []
    stopped = {}
    for trial in trials:
        first = trial.epochs[0].value
        if first is None:
            continue
        protected = trial.arm != "sampler"
        if standing(first, values, 3, ACCURACY).decision is Decision.STOP and not protected:
            stopped[trial.number] = 1
        values.append(first)
    return stopped


def out_of_memory(room: int, from_pass: int = 1) -> Callable[..., object]:
    """A device with room for so many images in training, from some forward pass on."""

    def hook(module: nn.Module, output: torch.Tensor, passes: int) -> object:
        if module.training and passes >= from_pass and len(output) > room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return None

    return hook


@pytest.fixture
def trained(training_request: SearchRequest, new_request: NewRequest) -> Snapshot:
    """The same trials without a fault."""
    calm = new_request("calm").runs_dir
    request = training_request.model_copy(update={"runs_dir": calm})
    end = start(request, run_in_process).wait()
    assert end.code == 0, end.told
    return snapshot(calm)


def test_out_of_memory_halves_the_micro_batch_and_ends_one_trial_alone(
    training_request: SearchRequest, trained: Snapshot, faults: FaultTable
) -> None:
    small, from_step_7 = 0, 2
    saboteur = Saboteur({small: out_of_memory(8), from_step_7: out_of_memory(0, from_pass=7)})
    end = start(training_request, run_in_process, before=saboteur.install).wait()
    assert end.code == 0, end.told
    now = snapshot(training_request.runs_dir)
    trials = now.recorded.trials
    halved = trials[small]
    assert halved.outcome in ("completed", "stopped")
    assert {epoch.result.micro_batch for epoch in halved.epochs} == {8}
    assert all(
        halved.epochs[i].result.images == calm.result.images
        for i, calm in enumerate(trained.recorded.trials[small].epochs)
    )
    ended = trials[from_step_7]
    assert ended.outcome == "out_of_memory"
    assert "at step 7" in str(ended.reason)
    assert len(ended.epochs) == 1
    assert feedback_of(ended).state is TrialState.PRUNED
    assert not feedback_of(ended).feasible
    assert all(trial.attempts == {1: "finished"} for trial in trials)
    # The neighbour between them is what it is without them.
    assert trials[1].params == trained.recorded.trials[1].params
    assert [e.value for e in trials[1].epochs] == [
        e.value for e in trained.recorded.trials[1].epochs
    ]
    assert {trial.outcome for trial in trials[3:]} <= {"completed", "stopped"}
    faults.add(
        "out-of-memory",
        "`torch.OutOfMemoryError` above 8 of 32 images; at every size from step 7 on",
        2,
        "trained on in micro-batches of 8, same images an epoch; `out_of_memory` at step 7",
        account_of([], now),
    )


class SmallDevice(Saboteur):
    """A device with so much room: whatever is predicted to take more runs out of memory."""

    def __init__(self, room: int) -> None:
        super().__init__({})
        self._room = room

    def _built(self, *arguments: object, **keywords: object) -> nn.Module:
        model = super()._built(*arguments, **keywords)

        def hook(module: nn.Module, output: torch.Tensor, passes: int) -> None:
            if not module.training:
                return
            spec, input_spec = arguments
            needed = training_memory(spec, input_spec, len(output)).peak
            if needed > self._room:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

        model.register_forward_hook(_Counted(hook))
        return model


def test_a_device_that_is_too_small_is_learned_and_what_does_not_fit_is_not_tried_again(
    training_request: SearchRequest, faults: FaultTable
) -> None:
    request = training_request.model_copy(update={"trials": 8})
    images = InputSpec(in_channels=1, image_size=8, num_classes=10)
    room = training_memory(parse_name("WRN-10-2"), images, 2).peak - 1
    end = start(request, run_in_process, before=SmallDevice(room).install).wait()
    now = snapshot(request.runs_dir)
    assert end.code == 0, [(trial.outcome, trial.reason) for trial in now.recorded.trials]
    ended = [trial for trial in now.recorded.trials if trial.outcome == "out_of_memory"]
    assert [trial.name for trial in ended] == ["WRN-10-2"]
    assert any(f"trial {ended[0].number} ran out of memory" in w for w in end.warnings)
    refused = [r for r in now.recorded.refusals if "ran out of memory" in r.reason]
    assert len(refused) == len(now.recorded.refusals) >= 1
    assert {refusal.params["family"] for refusal in refused} == {"wrn"}
    fitted = [trial for trial in now.recorded.trials if trial not in ended]
    assert len(fitted) == 7
    for trial in fitted:
        config = trial.config
        micro_batch = trial.epochs[-1].result.micro_batch
        needed = training_memory(config.architecture, images, micro_batch).peak
        assert needed <= room
        assert trial.outcome in ("completed", "stopped")
    faults.add(
        "out-of-memory",
        "a device with room for what is predicted for WRN-10-2 in pairs of images, less a byte",
        1,
        f"one WRN-10-2 was tried; {len(refused)} later draws refused before launch; the others "
        "trained in micro-batches that fit",
        account_of([], now),
    )
