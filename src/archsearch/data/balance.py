"""How many images of each class are in each split, and what follows for an accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from archsearch.data.arrow_file import SPLIT_NAMES, ArrowFile, SplitName
from archsearch.phrases import plural
from archsearch.schema import PreparedData

_MOST_CLASSES_TOLD = 12
_SPLITS: dict[SplitName, str] = {"train": "training", "val": "validation", "test": "test"}


@dataclass(frozen=True)
class ClassBalance:
    """Images by split and class.

    Attributes:
        class_names: In the order of the counts.
        counts: Images of each class, by split.
        constant_accuracy: Share of the validation images that one answer for all gets right, the
            best there is.
    """

    class_names: tuple[str, ...]
    counts: dict[SplitName, tuple[int, ...]]
    constant_accuracy: float

    @property
    def sentence(self) -> str:
        """How many images there are of each class, and what a constant answer reaches."""
        told = "; ".join(f"{name} {self._told(split)}" for split, name in _SPLITS.items())
        return (
            f"Images by class: {told}. One answer for all would get "
            f"{self.constant_accuracy:.4f} of the validation images right."
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes accuracies say less than they seem to: classes that are not examined."""
        told = []
        for split in ("val", "test"):
            missing = [
                name
                for name, here, trained in zip(
                    self.class_names, self.counts[split], self.counts["train"], strict=True
                )
                if not here and (trained or split == "test")
            ]
            if missing:
                named = ", ".join(missing[:_MOST_CLASSES_TOLD])
                more = len(missing) - _MOST_CLASSES_TOLD
                named += f" and {more:,} more" if more > 0 else ""
                told.append(
                    f"no {_SPLITS[split]} image is of {plural(len(missing), 'class', 'classes')} "
                    f"({named}): an accuracy there says nothing of them"
                )
        return tuple(told)

    def _told(self, split: SplitName) -> str:
        counts = self.counts[split]
        if len(counts) > _MOST_CLASSES_TOLD:
            return f"{min(counts):,} to {max(counts):,} of each of {len(counts):,} classes"
        if len(set(counts)) == 1:
            return f"{counts[0]:,} each"
        return ", ".join(
            f"{count:,} {name}" for name, count in zip(self.class_names, counts, strict=True)
        )


def class_balance(data: PreparedData) -> ClassBalance | None:
    """Count the labels of the images in use; None where an image may have several classes.

    Raises:
        UnfitError: The Arrow file is missing or damaged.
    """
    if data.multi_label:
        return None
    file = ArrowFile(Path(data.path))
    counts: dict[SplitName, tuple[int, ...]] = {}
    for split in SPLIT_NAMES:
        labels = file.read(split, verify=False).labels
        used = labels[: data.num_train] if split == "train" else labels
        counts[split] = tuple(np.bincount(used, minlength=data.num_classes).tolist())
    return ClassBalance(data.class_names, counts, max(counts["val"]) / data.num_val)
