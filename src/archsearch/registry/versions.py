"""MLflow's model registry: versions, the aliases that name them, and moving an alias safely.

MLflow has no compare-and-swap. Promotions of one model from one machine wait for each other on a
lock; across machines an alias is read before and after it is set, and a race that was seen is
told. One that falls between two calls of another machine is not seen: best effort.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import filelock

from archsearch.errors import PromotionRefusedError, UnfitError, UsageError
from archsearch.files import user_cache_dir
from archsearch.registry.registered_version import RegisteredVersion
from archsearch.tracking import translation as translation
from archsearch.tracking.client import (
    FIRST_WITH_MODELS,
    is_missing,
    open_client,
    sentence,
    server_version,
    transport_errors,
)
from archsearch.tracking.store import TrackingStore

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHALLENGER = "challenger"
"""The alias of the version that is being examined, and of one that did not pass."""

VALIDATION_STATUS = "validation_status"


def check_names(model: str, alias: str) -> None:
    """Refuse names that the registry would refuse.

    Raises:
        UsageError: One of them is such a name.
    """
    if not re.fullmatch(r"(?!\.\.?$)[^/\\:'\"\s\x00-\x1f\x7f\ud800-\udfff]{1,200}", model):
        raise UsageError(
            f"--model {model!r}: a registered model's name has 1 to 200 characters, without "
            "spaces, quotes, slashes or `:`, and is neither `.` nor `..`"
        )
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,200}", alias) or re.fullmatch(r"v\d+|latest", alias):
        raise UsageError(
            f"--alias {alias!r}: an alias has letters, digits, `_` and `-`, and is neither "
            "`latest` nor like `v1`"
        )
    if alias == CHALLENGER:
        raise UsageError(
            f"--alias {alias!r}: every version has this alias while it is examined; choose the "
            "one that it is to have afterwards, such as champion"
        )


@contextlib.contextmanager
def open_registry(store: TrackingStore, model: str) -> Iterator[Registry]:
    """The registry of one store, for one model, for the time of the block.

    Raises:
        UnfitError: The server fails, in here or in the block; or the lock cannot be taken.
    """
    client = open_client(store)
    with _lock(store, model):
        try:
            _require_models(store)
            yield Registry(client, store)
        except transport_errors() as error:
            raise UnfitError(
                f"the model registry at {store.label} fails ({sentence(error)}); call this again: "
                "what was done is not done twice"
            ) from error


def _require_models(store: TrackingStore) -> None:
    """Refuse a server without logged models: it would answer each call that it knows no such one.

    Raises:
        UnfitError: It is such a server.
    """
    version = server_version(store)
    if version is not None and version < FIRST_WITH_MODELS:
        raise UnfitError(
            f"the tracking server at {store.label} runs MLflow {version}: it takes runs, but a "
            f"promotion needs MLflow {FIRST_WITH_MODELS} or newer there. Upgrade the server, or "
            "promote into another store by --tracking-uri; nothing was changed"
        )


def _lock(store: TrackingStore, model: str) -> filelock.BaseFileLock:
    """The lock on (registry, model) of this machine: whatever folder of runs is promoted from."""
    digest = hashlib.sha256(f"{store.key} {model}".encode()).hexdigest()[:16]
    if store.sqlite is not None:  # whoever reaches the store reaches this folder
        digest = hashlib.sha256(model.encode()).hexdigest()[:16]
        folder = store.sqlite.parent
    else:
        folder = user_cache_dir() / "locks"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnfitError(f"{folder}: cannot be made: {error.strerror or error}") from error
    return filelock.FileLock(folder / f".promote-{digest}.lock")


@dataclass(frozen=True)
class RolledBack:
    """An alias that was moved back.

    Attributes:
        withdrawn: The version that had it.
        restored: The version that has it again.
    """

    model: str
    alias: str
    withdrawn: str
    restored: str


class Registry:
    """Versions and aliases of registered models; made by `open_registry`.

    Args:
        client: Of the store.
        store: Where the client points.
    """

    def __init__(self, client: MlflowClient, store: TrackingStore) -> None:
        self.client = client
        self.store = store

    def holder(self, model: str, alias: str) -> RegisteredVersion | None:
        """The version that has an alias now, if any; an alias of no version is taken away."""
        from mlflow.exceptions import MlflowException

        number = self.aliases(model).get(alias)
        if number is None:
            return None
        try:
            return self._read(model, number)
        except MlflowException as error:
            if not is_missing(error):
                raise
        # Whoever deleted the version has left its alias: nobody else may get it while it is there.
        self.client.delete_registered_model_alias(model, alias)
        return None

    def _read(self, model: str, number: str) -> RegisteredVersion:
        return RegisteredVersion.of(self.client.get_model_version(model, number))

    def aliases(self, model: str) -> dict[str, str]:
        """Version by alias; empty for a model that is not there."""
        from mlflow.exceptions import MlflowException

        try:
            found = self.client.get_registered_model(model).aliases
        except MlflowException as error:
            if is_missing(error):
                return {}
            raise
        return {alias: str(number) for alias, number in found.items()}

    def find(self, model: str, key: str) -> RegisteredVersion | None:
        """The version that carries a unique tag, if any."""
        for version in self.client.search_model_versions(f"name='{model}'"):
            if version.tags.get(translation.UNIQUE_TAG) == key:
                return RegisteredVersion.of(version)
        return None

    def version(self, model: str, name: str) -> RegisteredVersion:
        """A version by its number or one of its aliases.

        Raises:
            UsageError: There is none.
        """
        from mlflow.exceptions import MlflowException

        aliases = self.aliases(model)
        number = aliases.get(name, name)
        if number.isdecimal():  # else a server answers that its user may not see such a version
            try:
                return self._read(model, number)
            except MlflowException as error:
                if not is_missing(error) and error.error_code != "INVALID_PARAMETER_VALUE":
                    raise
        told = ", ".join(f"{alias} (version {number})" for alias, number in aliases.items())
        raise UsageError(
            f"{self.store.label} has no version or alias {name!r} of a model {model!r}; its "
            f"aliases: {told or 'none'}"
        )

    def give(self, version: RegisteredVersion, alias: str, *, before: str | None = None) -> None:
        """Give a version an alias; see the module on races.

        Args:
            version: What gets it.
            alias: Which.
            before: The version that is expected to have it now; None if none.

        Raises:
            PromotionRefusedError: Another one has it, before or right after.
        """
        self._require(version, alias, before)
        self.client.set_registered_model_alias(version.name, alias, version.version)
        self._require(version, alias, version.version)

    def _require(self, version: RegisteredVersion, alias: str, expected: str | None) -> None:
        now = self.aliases(version.name).get(alias)
        if now != expected:
            raise PromotionRefusedError(
                f"another promotion of {version.name} was faster: {alias} is "
                f"{'no version' if now is None else f'version {now}'} now, not "
                f"{'none' if expected is None else f'version {expected}'} as this one saw it; the "
                f"candidate is version {version.version}. Call this again to compare with what is "
                "there now"
            )

    def challenge(self, version: RegisteredVersion) -> None:
        """Give a version the alias of what is being examined, whoever has it."""
        self.client.set_registered_model_alias(version.name, CHALLENGER, version.version)

    def withdraw(self, version: RegisteredVersion, alias: str) -> None:
        """Take an alias from a version, if it has it."""
        if self.aliases(version.name).get(alias) == version.version:
            self.client.delete_registered_model_alias(version.name, alias)

    def tag(self, version: RegisteredVersion, tags: dict[str, Any]) -> None:
        """Set tags of a version; None takes one away."""
        number = version.version
        known = self.client.get_model_version(version.name, number).tags
        for name, value in translation.as_tags(tags).items():
            self.client.set_model_version_tag(version.name, number, name, value)
        for name in [name for name, value in tags.items() if value is None and name in known]:
            self.client.delete_model_version_tag(version.name, number, name)

    def fetch(self, version: RegisteredVersion, folder: Path, part: str = "") -> Path:
        """What the registry hands out for a version, or a part of it.

        Asked of this store's client: MLflow looks `models:/` up where its environment points.

        Args:
            version: Which.
            folder: Where it is put.
            part: A path in the version's files; all of them by default.
        """
        import mlflow.artifacts

        return Path(
            mlflow.artifacts.download_artifacts(
                self._place(version, part), dst_path=str(folder), tracking_uri=self.store.uri
            )
        )

    def has(self, version: RegisteredVersion, part: str) -> bool:
        """Whether a file is there, without fetching it.

        A store that is asked for a file fails in its own way, whether the file is missing or the
        network is; of a folder that is not there, all say that it is empty.

        Args:
            version: Which.
            part: The file's path in the version's files.
        """
        import mlflow.artifacts

        path = PurePosixPath(part)
        place = self._place(version, str(path.parent))
        listed = mlflow.artifacts.list_artifacts(place, tracking_uri=self.store.uri)
        return path.name in (PurePosixPath(each.path).name for each in listed)

    def _place(self, version: RegisteredVersion, part: str) -> str:
        place: str = self.client.get_model_version_download_uri(version.name, version.version)
        return f"{place.rstrip('/')}/{part}" if part else place

    def rollback(self, model: str, alias: str, when: str) -> RolledBack:
        """Give an alias back to the version that had it before; both versions' tags tell it.

        Args:
            model: Which registered model.
            alias: Which alias.
            when: The date and time that the tags tell.

        Raises:
            PromotionRefusedError: There is no version before, or another promotion was faster.
        """
        holder = self.holder(model, alias)
        if holder is None:
            raise PromotionRefusedError(f"no version of {model!r} has the alias {alias!r}")
        number = holder.tags.get(previous_tag(alias))
        if number is None:
            raise PromotionRefusedError(
                f"{model} version {holder.version} is the first with the alias {alias!r}, or was "
                f"not promoted by this command: its tag `{previous_tag(alias)}` names no version"
            )
        try:
            before = self.version(model, number)
        except UsageError as error:
            raise PromotionRefusedError(
                f"{model} version {number}, which had {alias!r} before version {holder.version}, "
                "was deleted: promote another model"
            ) from error
        self.tag(holder, {rolled_back_tag(alias): f"{when}, to version {number}"})
        self.tag(before, {f"restored.{alias}": f"{when}, from version {holder.version}"})
        self.give(before, alias, before=holder.version)
        return RolledBack(model, alias, holder.version, number)


def previous_tag(alias: str) -> str:
    """The tag of a version that names the version which had the alias before it."""
    return f"previous_version.{alias}"


def rolled_back_tag(alias: str) -> str:
    """The tag of a version from which the alias was taken back."""
    return f"rolled_back.{alias}"
