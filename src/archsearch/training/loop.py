"""The training of one trial: a generator that yields one result an epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from archsearch.data import PreparedData, ResidentData, Split
from archsearch.models import build_model
from archsearch.spaces.trial_config import TrialConfig
from archsearch.training.batches import TrainingBatches
from archsearch.training.checkpoint_file import CheckpointError
from archsearch.training.distributed import ALONE, Ranks, with_synchronised_norms
from archsearch.training.memory import told_as_running_out
from archsearch.training.metrics import VALIDATION_METRICS
from archsearch.training.precision import Precision, native_precision, settle_arithmetic
from archsearch.training.predict import predict
from archsearch.training.progress import Progress
from archsearch.training.randomness import LentRandomness
from archsearch.training.result import EpochResult
from archsearch.training.state import TrainingState, pack, unpack
from archsearch.training.stepper import Stepper
from archsearch.training.streams import RandomStreams

_NAN = float("nan")


@dataclass(frozen=True)
class _Totals:
    """What an epoch's steps add up to; `reason` says why they ended early."""

    loss: float
    num_right: int
    num_images: int
    reason: str | None


class Training:
    """One trial's training, from its first epoch or from a checkpoint, one `EpochResult` an epoch.

    The same configuration and data give the same numbers on the same hardware, whatever the
    process did before or does between two epochs; and as many epochs, however they are divided
    by checkpoints, give the same numbers bit for bit: on a processor, and on one GPU as far as
    `tests/gpu` looks, which trains a small network of each family.

    Several processes can train one network: each is given the same arguments but for `ranks`,
    and all call the same methods in turn. They share every batch, and train what one process
    would that has the whole of it, to rounding; but each augments its part from its own stream,
    has its own dropout, and BatchNorm normalises by its part. Every process has the same results.

    The caller pins torch's threads. On a GPU, cuDNN is held to deterministic algorithms.

    Args:
        config: What to train.
        prepared: Describes the data: its normalisation, and whether images may be mirrored.
        data: The training and validation split, on any device.
        device: Where to train; the data is moved there once.
        precision: Of the network's arithmetic; None takes what the device computes natively.
            Weights, averages, losses and BatchNorm's statistics are float32 either way.
        micro_batch: Most images that go through the network at once; None puts the whole batch
            through, and halves when memory runs out. A smaller one gives the same mean gradient,
            except that BatchNorm normalises each micro-batch by its own mean and variance
            ("ghost batch normalisation", Hoffer et al. 2017, section 4).
        ranks: The processes that train it.
        synchronise_norms: Let BatchNorm normalise by the batch of all processes; on GPUs only.
        progress: Advanced by each step, and by each batch of validation images.

    Raises:
        ValueError: The data does not fit `config.input`; or `micro_batch` is below 1, or would
            feed single images to a network with BatchNorm, which cannot learn from them.
        UnfitError: A batch has too few images for so many processes.
        LostRankError: A process is gone.
        archsearch.models.ArchitectureError: The network cannot be built for its input.
        OutOfMemoryDuringTrainingError: The network itself does not fit.
    """

    def __init__(
        self,
        config: TrialConfig,
        prepared: PreparedData,
        data: ResidentData,
        *,
        device: str | torch.device = "cpu",
        precision: Precision | None = None,
        micro_batch: int | None = None,
        ranks: Ranks = ALONE,
        synchronise_norms: bool = False,
        progress: Progress | None = None,
    ) -> None:
        if config.input != prepared.input_spec:
            raise ValueError(
                "`config.input` must describe the data, but got "
                f"({config.input!r}) for ({prepared.input_spec!r})"
            )
        if micro_batch is not None and micro_batch < 1:
            raise ValueError(f"`micro_batch >= 1` must hold, but got micro_batch={micro_batch}")
        self.config = config
        self.device = torch.device(device)
        self.precision: Precision = precision or native_precision(self.device)
        self._prepared = prepared
        self._finished_epochs = 0
        self._reason: str | None = None
        self._is_between_epochs = True
        self._progress = progress or Progress()
        settle_arithmetic(self.device)
        self._ranks = ranks
        self._synchronise_norms = synchronise_norms and ranks.size > 1
        building = f"out of memory while {config.name} was built"
        with ranks.run_out_together(building):
            # The first to touch a GPU, which takes some of its memory for the process.
            self._randomness = LentRandomness(config.seed, self.device)
            model = self._built_model()
            self._batches = self._batches_of(data.train)
            self._val = _moved(_part_of(data.val, ranks), self.device)
        with ranks.run_out_together(building):
            self._stepper = Stepper(
                model,
                config.effective_recipe,
                total_steps=config.max_epochs * self._batches.steps_per_epoch,
                precision=self.precision,
                batch_size=self._batches.batch_size,
                micro_batch=micro_batch,
                ranks=ranks,
            )
        self._num_val = len(data.val)
        self._streams = RandomStreams(config.seed, self._randomness, self._batches, ranks)

    def _built_model(self) -> nn.Module:
        model: nn.Module
        with self._randomness.lent():
            model = build_model(self.config.architecture, self.config.input)
        if self._synchronise_norms:
            model = with_synchronised_norms(model)
        # torch types no `to` that takes a memory format, though it documents one.
        return model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def _batches_of(self, train: Split) -> TrainingBatches:
        recipe, seed = self.config.effective_recipe, self.config.seed
        if self._ranks.size == 1:
            return TrainingBatches(_moved(train, self.device), self._prepared, recipe, seed)
        device = None if self.device.type == "cpu" else self.device
        return TrainingBatches(
            train, self._prepared, recipe, seed, device=device, ranks=self._ranks
        )

    @property
    def finished_epochs(self) -> int:
        """Epochs trained so far, those before a checkpoint included."""
        return self._finished_epochs

    @property
    def micro_batch(self) -> int:
        """Most images that go through the network at once; halves when memory runs out."""
        return self._stepper.micro_batch

    @property
    def averaged_model(self) -> nn.Module:
        """The network of averaged weights, in evaluation mode, on the training's device."""
        return self._stepper.average.model

    def epochs(self) -> Iterator[EpochResult]:
        """Train the epochs that are left; the next one starts when the next result is asked for.

        Ends after `max_epochs`, or after the epoch that diverged: a loss, a weight or a
        statistic was not finite. That epoch ends at once, its result says why.

        Raises:
            OutOfMemoryDuringTrainingError: Not even the smallest micro-batches fit.
            LostRankError: A process is gone.
        """
        while self._finished_epochs < self.config.max_epochs and self._reason is None:
            yield self._train_epoch()

    def _train_epoch(self) -> EpochResult:
        started = time.perf_counter()
        self._is_between_epochs = False
        # A step makes room for itself; but batches are made on the device too, between steps.
        between_steps = f"out of memory in epoch {self._finished_epochs + 1}, between two steps"
        with told_as_running_out(between_steps), self._randomness.lent():
            totals = self._take_steps()
            self._stepper.unite_statistics()
            reason = totals.reason or self._stepper.what_is_not_finite()
        trained = time.perf_counter()
        measured = dict.fromkeys(VALIDATION_METRICS, _NAN) if reason else self._validate()
        broken = [name for name, value in measured.items() if not math.isfinite(value)]
        if reason is None and broken:
            name = broken[0].replace("val_", "validation ")
            reason = f"the averaged network's {name} was {measured[broken[0]]}"
            measured = {**dict.fromkeys(VALIDATION_METRICS, _NAN), broken[0]: measured[broken[0]]}
        self._finished_epochs += 1
        self._reason = reason
        self._is_between_epochs = True
        return EpochResult(
            epoch=self._finished_epochs,
            train_loss=totals.loss,
            train_accuracy=totals.num_right / totals.num_images,
            **measured,
            learning_rate=self._stepper.learning_rate,
            images=totals.num_images,
            train_seconds=trained - started,
            val_seconds=time.perf_counter() - trained,
            micro_batch=self.micro_batch,
            workers=self._ranks.size,
            diverged=reason is not None,
            reason=reason,
        )

    def _take_steps(self) -> _Totals:
        """One epoch's steps, until a loss is not finite.

        On a GPU, the look at the loss every 32 steps is all that waits for the device.
        """
        look_every = 1 if self.device.type == "cpu" else 32
        loss_sum = torch.zeros((), device=self.device)
        num_right = torch.zeros((), device=self.device, dtype=torch.int64)
        step, reason = 0, None
        self._stepper.model.train()
        for step, (images, labels) in enumerate(self._batches.epoch(), start=1):
            loss, right = self._stepper.step(images, labels)
            loss_sum += loss
            num_right += right
            self._progress.advance()
            if step % look_every == 0 and not math.isfinite(float(loss_sum)):
                reason = (
                    f"the training loss was {float(loss):.4g} at step {step} of "
                    f"{self._batches.steps_per_epoch} "
                    f"(learning rate {self._stepper.learning_rate:.3g})"
                )
                break
        num_images = step * self._batches.batch_size
        return _Totals(float(loss_sum) / step, int(num_right), num_images, reason)

    def _validate(self) -> dict[str, float]:
        """The metrics of the averaged network on the validation split, by name.

        Each process answers its part of the images; their sums are added, so every image counts
        once.
        """
        lengths = [metric.length for metric in VALIDATION_METRICS.values()]
        sums = torch.zeros(sum(lengths), dtype=torch.float64)
        with self._ranks.run_out_together("out of memory while validating"):
            if len(self._val):
                logits = predict(
                    self.averaged_model,
                    self._val,
                    mean=self._prepared.mean,
                    std=self._prepared.std,
                    precision=self.precision,
                    on_batch=self._progress.advance,
                )
                parts = [m.sums(logits, self._val.labels) for m in VALIDATION_METRICS.values()]
                sums.copy_(torch.cat(parts))
        self._ranks.sum_in_place(sums)
        return {
            name: metric.value(own)
            for (name, metric), own in zip(
                VALIDATION_METRICS.items(), sums.split(lengths), strict=True
            )
        }

    def state_bytes(self) -> bytes:
        """All that the next epoch depends on, as a checkpoint's payload.

        Every process gets the same, with the random streams of all.

        Raises:
            RuntimeError: An epoch was begun and not finished.
            LostRankError: A process is gone.
        """
        if not self._is_between_epochs:
            raise RuntimeError("a state can be taken between epochs only; this one broke off")
        return pack(
            TrainingState(
                finished_epochs=self._finished_epochs,
                reason=self._reason,
                stepper=self._stepper.state(),
                generators=self._streams.states(),
            )
        )

    def load_state_bytes(self, payload: bytes) -> None:
        """Continue where `state_bytes` was taken, on any device, by any number of processes.

        From a GPU to a processor or back, the global generators of the kind of device that was
        not there start anew; everything else continues. As many processes as before continue
        exactly. Of fewer, each continues its own streams of augmentation and dropout, and those
        of the others end; of more, the new ones begin theirs, from seed, rank and epoch.

        Raises:
            CheckpointError: It is no such state, or that of another configuration; this object
                is then of no more use.
        """
        state = unpack(payload)
        try:
            self._stepper.load_state(state.stepper)
            self._streams.load(state.generators, state.finished_epochs)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"the state is not of {self.config.name}: {error}") from error
        self._finished_epochs = state.finished_epochs
        self._reason = state.reason
        self._is_between_epochs = True


def _part_of(split: Split, ranks: Ranks) -> Split:
    part = ranks.part_of(len(split))
    return Split(split.images[part], split.labels[part])


def _moved(split: Split, device: torch.device) -> Split:
    return Split(split.images.to(device), split.labels.to(device))
