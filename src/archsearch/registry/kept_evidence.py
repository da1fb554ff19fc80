"""The evidence of versions, in the registry: answers on a test split, and cards."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.data import load_test
from archsearch.errors import PromotionRefusedError, UnfitError
from archsearch.record.database import Database
from archsearch.record.readings import Subject, find_reading
from archsearch.record.trained import TrainedTrial
from archsearch.registry import evidence
from archsearch.registry.evidence import Answers
from archsearch.registry.registered_version import RegisteredVersion
from archsearch.registry.registration import Challenger
from archsearch.registry.versions import Registry
from archsearch.tracking.client import sentence


def champion_answers(
    registry: Registry,
    champion: RegisteredVersion,
    candidate: TrainedTrial,
    database: Database,
    labels: npt.NDArray[np.int64],
) -> Answers:
    """The champion's answers on the candidate's test split: stored ones, or evaluated once.

    They are looked for in the record, where the champion is of the candidate's search, then with
    the version itself. Else the champion is asked now, and its answers are kept with it.

    Args:
        registry: Of the champion.
        champion: Its version; of the same data, as far as its tags say.
        candidate: What it is compared with.
        database: The record of the candidate's search.
        labels: (N,), of the test split.

    Raises:
        PromotionRefusedError: It cannot be evaluated.
        UnfitError: It has stored answers, but they cannot be fetched.
    """
    recorded = _recorded_answers(champion, candidate, database)
    if recorded is not None:
        return Answers(recorded, "its search's record")
    about = _about(champion.tags, candidate.data.digest)
    kept = _kept_answers(registry, champion, len(labels), about)
    if kept is not None:
        return Answers(kept, "the version's evidence")
    answers = _evaluated(registry, champion, candidate)
    model_id = getattr(champion, "model_id", None) or champion.tags.get("logged_model")
    if model_id:
        keep_answers(registry, model_id, answers, labels, about)
    return Answers(answers, "evaluated now")


def keep_answers(
    registry: Registry,
    model_id: str,
    predictions: npt.NDArray[np.integer],
    labels: npt.NDArray[np.integer],
    about: dict[str, str],
) -> None:
    """Keep a model's answers on a test split with its files."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / evidence.PREDICTIONS
        evidence.write_predictions(path, predictions, labels, about)
        evidence.attach(registry.client, model_id, {path.name: path})


def kept_card(registry: Registry, version: RegisteredVersion) -> dict[str, Any]:
    """The version's evidence card of an earlier examination; empty if there was none.

    Raises:
        UnfitError: There is one, but it cannot be fetched: what it tells must not be lost.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = _fetched(registry, version, Path(folder), evidence.CARD_JSON)
        if path is None:
            return {}
        try:
            card: dict[str, Any] = json.loads(path.read_bytes())
        except ValueError:  # a promotion was killed while it wrote it
            return {}
        return card


def keep_card(
    registry: Registry, challenger: Challenger, card: dict[str, Any], markdown: str
) -> str:
    """Put the card with the version's files and on the page of its trial's run; where it is."""
    files = {
        evidence.CARD_JSON: json.dumps(card, indent=2, ensure_ascii=False) + "\n",
        evidence.CARD_MARKDOWN: markdown,
    }
    version, client = challenger.version, registry.client
    evidence.attach(client, challenger.model_id, files)
    place = f"promotion/{version.name}-v{version.version}"
    evidence.attach_to_run(client, challenger.run_id, place, files)
    root = client.get_logged_model(challenger.model_id).artifact_location
    return f"{root.rstrip('/')}/{evidence.FOLDER}/{evidence.CARD_MARKDOWN}"


def about_candidate(candidate: TrainedTrial) -> dict[str, str]:
    """Whose answers on what, as `keep_answers` is told."""
    return {"data_digest": candidate.data.digest, "checkpoint_sha256": candidate.checksum}


def _about(tags: Mapping[str, str], data_digest: str) -> dict[str, str]:
    about = {"data_digest": data_digest}
    if "checkpoint_sha256" in tags:
        about["checkpoint_sha256"] = tags["checkpoint_sha256"]
    return about


def _recorded_answers(
    champion: RegisteredVersion, candidate: TrainedTrial, database: Database
) -> npt.NDArray[np.int64] | None:
    tags = champion.tags
    number, checksum = tags.get("trial", ""), tags.get("checkpoint_sha256")
    if tags.get("search") != candidate.search.uuid or not number.isdigit() or checksum is None:
        return None
    subject = Subject(int(number), checksum, candidate.data.digest)
    known = find_reading(database, candidate.search.id, subject)
    return None if known is None else known.predictions.astype(np.int64)


def _kept_answers(
    registry: Registry, champion: RegisteredVersion, num_images: int, about: dict[str, str]
) -> npt.NDArray[np.int64] | None:
    with tempfile.TemporaryDirectory() as folder:
        path = _fetched(registry, champion, Path(folder), evidence.PREDICTIONS)
        return None if path is None else evidence.read_predictions(path, num_images, about)


def _fetched(
    registry: Registry, version: RegisteredVersion, folder: Path, name: str
) -> Path | None:
    """A file of a version's evidence; None where the version has no such file.

    Raises:
        UnfitError: Whether it has one, or what is in it, cannot be learnt now.
    """
    part = f"{evidence.FOLDER}/{name}"
    try:
        return registry.fetch(version, folder, part) if registry.has(version, part) else None
    except Exception as error:  # each artifact store fails in its own way
        raise UnfitError(
            f"{part} of {version.name} version {version.version} cannot be fetched "
            f"({sentence(error)}): see that its files can be read, then call this again"
        ) from error


def _evaluated(
    registry: Registry, champion: RegisteredVersion, candidate: TrainedTrial
) -> npt.NDArray[np.int64]:
    from archsearch.registry.package import Package
    from archsearch.training.objective import answers_of

    name, data = f"{champion.name} version {champion.version}", candidate.data
    with tempfile.TemporaryDirectory() as folder:
        try:
            logits = Package(registry.fetch(champion, Path(folder))).answer(load_test(data).images)
        except Exception as error:  # whatever code a foreign model runs
            line = " ".join(str(error).split())[:300]
            raise PromotionRefusedError(
                f"{name} has no stored answers on the test split of {data.name} and cannot be "
                f"asked ({line}): compare by hand, then promote with --force"
            ) from error
    if logits.ndim != 2 or logits.shape[1] != data.num_classes:
        raise PromotionRefusedError(
            f"{name} answers {tuple(logits.shape)} to {data.num_test} images of {data.name}, not "
            f"{data.num_classes} logits each: it does another thing; choose another --model"
        )
    answers: npt.NDArray[np.int64] = answers_of(logits, multi_label=data.multi_label).numpy()
    return answers
