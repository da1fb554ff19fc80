"""What a promotion finds out about a candidate: beside the champion, and by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from archsearch.analysis.intervals import Interval
from archsearch.analysis.winner import ModelChoice
from archsearch.errors import PromotionRefusedError
from archsearch.promotion import paired_test as paired_test
from archsearch.promotion.criteria import GateResult, Measured
from archsearch.promotion.paired_test import PairedCounts
from archsearch.record.database import Database
from archsearch.record.readings import TestReading
from archsearch.record.trained import TrainedTrial
from archsearch.record.trial import TrialRecord
from archsearch.registry.kept_evidence import champion_answers
from archsearch.registry.registered_version import RegisteredVersion
from archsearch.registry.registration import Challenger
from archsearch.registry.versions import Registry

_SEED = 0
"""Of the bootstrap: the same answers give the same interval."""


@dataclass(frozen=True)
class Comparison:
    """The champion's answers beside the candidate's, or why there are none.

    Attributes:
        version: The champion's.
        tags: Of its version.
        source: Where its answers come from; None without a comparison.
        counts: Of the test images; None without a comparison.
        difference: Of the accuracies, with a bootstrap interval; None without a comparison.
        obstacle: Why there is no comparison, where a promotion was forced past it.
        caution: What a reader should know of the comparison.
    """

    version: str
    tags: Mapping[str, str]
    source: str | None
    counts: PairedCounts | None
    difference: Interval | None
    obstacle: str | None = None
    caution: str | None = None


@dataclass(frozen=True)
class Examination:
    """All that a promotion found out about one candidate.

    Attributes:
        choice: Why this candidate and no other of its search.
        trials: All of the search, for what it cost.
        code: What the search ran with, then what promotes, by name.
        comparison: With the champion; None without one.
        forced: Whether the gates were to be overridden.
        when: Date and time, UTC.
    """

    model: str
    alias: str
    candidate: TrainedTrial
    choice: ModelChoice
    reading: TestReading
    challenger: Challenger
    comparison: Comparison | None
    measured: Measured
    results: tuple[GateResult, ...]
    trials: list[TrialRecord]
    code: Mapping[str, Mapping[str, str]]
    forced: bool
    when: str

    @property
    def failed(self) -> tuple[GateResult, ...]:
        """The gates that the candidate did not pass."""
        return tuple(result for result in self.results if result.verdict == "failed")

    @property
    def overridden(self) -> tuple[str, ...]:
        """What the promotion was forced past."""
        if not self.forced:
            return ()
        obstacle = self.comparison and self.comparison.obstacle
        return (*(["comparison"] if obstacle else []), *(result.name for result in self.failed))

    @property
    def status(self) -> Literal["passed", "failed"]:
        """What the tag `validation_status` says."""
        return "failed" if self.failed or self.overridden else "passed"

    @property
    def is_promoted(self) -> bool:
        """Whether the version is to have the alias."""
        return self.forced or not self.failed


def compare(
    registry: Registry,
    champion: RegisteredVersion,
    candidate: TrainedTrial,
    database: Database,
    reading: TestReading,
    labels: npt.NDArray[np.int64],
    *,
    force: bool,
) -> Comparison:
    """Both models' answers on the same test images.

    Args:
        registry: Where the champion is.
        champion: The version that has the alias.
        candidate: What is to have it.
        database: The candidate's record.
        reading: The candidate's answers.
        labels: (N,) the right answers.
        force: Whether to go on where they cannot be compared; the comparison says why then.

    Raises:
        PromotionRefusedError: They cannot be compared.
    """
    version, tags = champion.version, dict(champion.tags)
    try:
        _refuse_other_data(champion, candidate)
        answers = champion_answers(registry, champion, candidate, database, labels)
    except PromotionRefusedError as error:
        if not force:
            raise
        return Comparison(version, tags, None, None, None, obstacle=str(error))
    counts = PairedCounts.of(reading.predictions == labels, answers.predictions == labels)
    difference = paired_test.difference_interval(counts, np.random.default_rng(_SEED))
    caution = None
    if "data_digest" not in tags:
        caution = (
            f"version {version} does not say what it was trained on; if these test images were "
            "among them, the comparison flatters it"
        )
    return Comparison(version, tags, answers.source, counts, difference, caution=caution)


def _refuse_other_data(champion: RegisteredVersion, candidate: TrainedTrial) -> None:
    digest, data = champion.tags.get("data_digest"), candidate.data
    if digest is not None and digest != data.digest:
        raise PromotionRefusedError(
            f"{champion.name} version {champion.version} was measured on other data "
            f"({champion.tags.get('data')}, digest {digest[:12]}) than the candidate "
            f"({data.name}, digest {data.digest[:12]}): they cannot be compared; choose another "
            "--model"
        )


def measured_of(
    candidate: TrainedTrial,
    reading: TestReading,
    labels: npt.NDArray[np.int64],
    comparison: Comparison | None,
    challenger: Challenger,
) -> Measured:
    """What the gates judge."""
    from archsearch.models.complexity import complexity

    cost = complexity(candidate.config.architecture, candidate.data.input_spec)
    return Measured(
        num_right=int((reading.predictions == labels).sum()),
        num_test=len(labels),
        chance=paired_test.chance_accuracy(labels),
        counts=comparison.counts if comparison else None,
        difference=comparison.difference if comparison else None,
        latency_ms=challenger.latency.median_ms,
        size_bytes=challenger.size_bytes,
        params=cost.params,
        macs=cost.macs,
    )
