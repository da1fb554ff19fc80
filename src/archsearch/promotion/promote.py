"""Promotion with evidence: a search's model against the champion, and the alias that follows.

The registry's calls are in `registry`, the gates' statistics in `paired_test`; here they meet.
`promote` is what `pipeline.promote` calls, and what a notebook can.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.analysis.winner import ModelChoice, choose_model
from archsearch.driver.code_version import code_version
from archsearch.driver.winner import tell_of_reading
from archsearch.errors import PromotionRefusedError
from archsearch.promotion.card import Card, card_of
from archsearch.promotion.card_text import as_markdown
from archsearch.promotion.criteria import GateResult
from archsearch.promotion.examination import Examination, compare, measured_of
from archsearch.promotion.gates import judge, parse_gates
from archsearch.record.attempts import read_code_version
from archsearch.record.database import Database
from archsearch.record.paths import RunsFolder
from archsearch.record.reader import get_search, read_trials
from archsearch.record.status import existing_record
from archsearch.record.test_split import read_test_split, right_answers
from archsearch.record.trained import TrainedTrial, find_candidate
from archsearch.record.trial import SearchRow
from archsearch.registry.kept_evidence import (
    about_candidate,
    keep_answers,
    keep_card,
    kept_card,
)
from archsearch.registry.registered_version import RegisteredVersion
from archsearch.registry.registration import delivered_runs, register
from archsearch.registry.versions import (
    CHALLENGER,
    VALIDATION_STATUS,
    Registry,
    RolledBack,
    check_names,
    open_registry,
    previous_tag,
    rolled_back_tag,
)
from archsearch.tracking.sender import BusyError, deliver
from archsearch.tracking.store import TrackingStore, tracking_store, tracking_uri_of


@dataclass(frozen=True)
class PromotionRequest:
    """What a promotion is asked for.

    Attributes:
        model: The registered model's name; None for `archsearch-DATA`.
        alias: What the version is to have.
        gates: `NAME=LIMIT`, changes of the default gates.
        trial: The candidate; None for the search's winner, or its best before there is one.
        force: Promote whatever the gates say, and record it.
    """

    model: str | None = None
    alias: str = "champion"
    gates: Sequence[str] = ()
    trial: int | None = None
    force: bool = False


@dataclass(frozen=True)
class Promotion:
    """How a promotion ended.

    Attributes:
        found: What was found out about the candidate.
        previous: The version that had the alias before, if any.
        card: The evidence card, as it lies with the version.
        card_place: Where the card is.
    """

    found: Examination
    previous: str | None
    card: Card
    card_place: str

    @property
    def is_promoted(self) -> bool:
        """Whether the version has the alias now."""
        return self.found.is_promoted

    @property
    def version(self) -> str:
        """The candidate's, in the registry."""
        return self.found.challenger.version.version

    @property
    def gates(self) -> tuple[GateResult, ...]:
        """How the candidate stood to each."""
        return self.found.results

    @property
    def uri(self) -> str:
        """What `mlflow.pyfunc.load_model` takes."""
        alias = self.found.alias if self.is_promoted else CHALLENGER
        return f"models:/{self.found.model}@{alias}"

    def refusal(self) -> PromotionRefusedError:
        """Why it was not promoted, with the numbers and what would change it."""
        trial = self.found.candidate.trial
        lines = [
            f"  {each.name}: {each.told}"
            + (f"\n    what would do: {each.remedy}" if each.remedy else "")
            for each in self.found.failed
        ]
        return PromotionRefusedError(
            f"{self.found.model} version {self.version} (trial {trial.number}, {trial.name}) is "
            f"not promoted; it stays {CHALLENGER}, with {VALIDATION_STATUS}=failed:\n"
            + "\n".join(lines)
        )


def promote(
    database: Database,
    search: SearchRow,
    runs: RunsFolder,
    store: TrackingStore,
    request: PromotionRequest,
) -> Promotion:
    """Register a search's model, hold it against the gates, and give it the alias if it passes.

    A candidate that fails is registered all the same, as `challenger` with the tag
    `validation_status` = `failed`: its card says what was measured.

    Args:
        database: The record.
        search: Whose model.
        runs: Where its files are.
        store: Where the registry is.
        request: What is asked for.

    Raises:
        UsageError: A name or a gate cannot be.
        NoTrialSucceededError: No trial completed.
        PromotionRefusedError: The candidate has the alias already, cannot be compared with the
            champion, was rolled back, or another promotion was faster.
        UnfitError: Files or tracking cannot be used, or the export is not what was trained.
    """
    limits = parse_gates(request.gates)
    check_names("archsearch" if request.model is None else request.model, request.alias)
    choice = ModelChoice(request.trial, "asked for by its number", None)
    if request.trial is None:
        choice = choose_model(search, read_trials(database, search.id))
    candidate = find_candidate(database, search, runs, choice.number)
    model = f"archsearch-{candidate.data.name}" if request.model is None else request.model
    check_names(model, request.alias)
    with (
        open_registry(store, model) as registry,
        delivered_runs(registry, database, search) as tracking_runs,
    ):
        champion = registry.holder(model, request.alias)
        _refuse_repetition(registry, model, candidate, champion, request)
        network = candidate.network()
        reading = read_test_split(database, candidate, network)
        if tell_of_reading(database, search, runs, read_trials(database, search.id)):
            with contextlib.suppress(BusyError):  # whoever delivers now, delivers this too
                deliver(database, search.id, store)
        labels = right_answers(candidate.data)
        comparison = None
        if champion is not None:
            comparison = compare(
                registry, champion, candidate, database, reading, labels, force=request.force
            )
        challenger = register(registry, tracking_runs, candidate, network, reading, model)
        measured = measured_of(candidate, reading, labels, comparison, challenger)
        found = Examination(
            model=model,
            alias=request.alias,
            candidate=candidate,
            choice=choice,
            reading=reading,
            challenger=challenger,
            comparison=comparison,
            measured=measured,
            results=judge(measured, limits),
            trials=read_trials(database, search.id),
            code={"search": read_code_version(database, search.id), "promotion": code_version()},
            forced=request.force,
            when=_now(),
        )
        card, place = _leave_evidence(registry, found, labels)
        previous = None if champion is None else champion.version
        _conclude(registry, found, previous)
        return Promotion(found, previous, card, place)


def promote_named(
    name: str,
    request: PromotionRequest = PromotionRequest(),
    *,
    runs_dir: Path | str = "runs",
    database_url: str | None = None,
    tracking_uri: str | None = None,
) -> Promotion:
    """`promote` for a notebook: the search is found by its name.

    Args:
        name: The search's.
        request: What is asked for.
        runs_dir: Folder of all searches.
        database_url: Of the record, where it is on a server.
        tracking_uri: Where the registry is; by default where the search was tracked.

    Raises:
        UsageError: There is no such search; else as `promote`.
    """
    runs = RunsFolder(Path(runs_dir))
    database = existing_record(runs, name, database_url, read_only=False)
    try:
        search = get_search(database, name)
        store = tracking_store(runs, tracking_uri_of(search, tracking_uri))
        return promote(database, search, runs, store, request)
    finally:
        database.close()


def roll_back(store: TrackingStore, model: str, alias: str) -> RolledBack:
    """Give an alias back to the version that had it before; both versions' tags tell it.

    Raises:
        UsageError: A name cannot be.
        PromotionRefusedError: There is no version before, or another promotion was faster.
        UnfitError: The registry cannot be used.
    """
    check_names(model, alias)
    with open_registry(store, model) as registry:
        return registry.rollback(model, alias, _now())


def _refuse_repetition(
    registry: Registry,
    model: str,
    candidate: TrainedTrial,
    champion: RegisteredVersion | None,
    request: PromotionRequest,
) -> None:
    """Refuse what has the alias already, and what it was taken back from."""
    trial = candidate.trial
    named = f"trial {trial.number} ({trial.name}) of {candidate.search.name!r}"
    mine = registry.find(model, candidate.key)
    if mine is None:
        return
    if champion is not None and champion.version == mine.version:
        registry.withdraw(mine, CHALLENGER)  # a promotion that was killed may have left it
        raise PromotionRefusedError(
            f"{named} is {model} version {mine.version} already, and has the alias "
            f"{request.alias!r}; there is nothing to change"
        )
    rolled_back = mine.tags.get(rolled_back_tag(request.alias))
    if rolled_back is not None and not request.force:
        raise PromotionRefusedError(
            f"{named} is {model} version {mine.version}, which was rolled back ({rolled_back}); "
            "to promote it all the same, give --force"
        )


def _leave_evidence(
    registry: Registry, found: Examination, labels: npt.NDArray[np.int64]
) -> tuple[Card, str]:
    """Put answers and card with the version, and the card with its trial's run; where it is."""
    challenger = found.challenger
    keep_answers(
        registry,
        challenger.model_id,
        found.reading.predictions,
        labels,
        about_candidate(found.candidate),
    )
    earlier = kept_card(registry, challenger.version)
    card = card_of(found, earlier.get("examinations", []))
    return card, keep_card(registry, challenger, card, as_markdown(card))


def _conclude(registry: Registry, found: Examination, previous: str | None) -> None:
    """Tag the version by its status; give it the alias if it is to have it."""
    version = found.challenger.version
    tags: dict[str, Any] = {
        VALIDATION_STATUS: found.status,
        "failed_gates": ", ".join(result.name for result in found.failed) or None,
        "forced": f"{found.when}, past {', '.join(found.overridden)}"
        if found.overridden
        else None,
    }
    if not found.is_promoted:
        registry.tag(version, tags)
        return
    # Told first: a promotion that is killed after it has set the alias can be rolled back.
    told = {previous_tag(found.alias): previous, rolled_back_tag(found.alias): None}
    registry.tag(version, tags | told)
    try:
        registry.give(version, found.alias, before=previous)
    except PromotionRefusedError:
        registry.tag(version, {previous_tag(found.alias): None})
        raise
    registry.withdraw(version, CHALLENGER)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
