"""A registered model, `models:/NAME@ALIAS` or `models:/NAME/VERSION`, to answer images or export.

It is looked up in the store that is given, not where MLflow's environment points.
"""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from archsearch.errors import UnfitError, UsageError
from archsearch.models import ArchitectureSpec, FamilySpec, build_model
from archsearch.registry.package import Package
from archsearch.registry.registered_version import RegisteredVersion
from archsearch.registry.versions import Registry
from archsearch.schema import InputSpec
from archsearch.tracking.client import open_client, sentence, transport_errors
from archsearch.tracking.store import TrackingStore
from archsearch.training.answering import Answering
from archsearch.training.exportable import Exportable, noise
from archsearch.training.standalone import StandaloneModel

SCHEME = "models:/"


def is_registered_model(text: str) -> bool:
    """Whether a text means a registered model."""
    return text.startswith(SCHEME)


@dataclass(frozen=True)
class RegisteredName:
    """A model's name with a version's number or alias."""

    model: str
    version: str

    @classmethod
    def of(cls, uri: str) -> RegisteredName:
        """Read `models:/NAME@ALIAS` or `models:/NAME/VERSION`.

        Raises:
            UsageError: It is neither.
        """
        match = re.fullmatch(r"models:/([^/@\ud800-\udfff]+)(?:@([A-Za-z0-9_-]+)|/(\d+))", uri)
        if match is None:
            raise UsageError(
                f"{uri!r} names no version of a registered model: give models:/NAME@ALIAS, such "
                "as models:/archsearch-digits@champion, or models:/NAME/VERSION"
            )
        return cls(match[1], match[2] or match[3])


def registered_answering(store: TrackingStore, uri: str) -> Answering:
    """A registered model that answers images, just as a server would serve it.

    Raises:
        UsageError: There is no such version.
        UnfitError: The registry or the model cannot be used.
    """
    with _fetched(store, RegisteredName.of(uri)) as (version, folder):
        package = Package(folder)
    input_spec = _input_spec(package, uri)
    told = package.metadata
    names = told.get("class_names") or range(input_spec.num_classes)
    return Answering(
        name=version.tags.get("architecture", version.name),
        origin=f"{version.name} version {version.version}",
        class_names=tuple(map(str, names)),
        input_spec=input_spec,
        multi_label=bool(told.get("multi_label")),
        answer=package.answer_numbers,
    )


def registered_exportable(store: TrackingStore, uri: str) -> tuple[Exportable, str]:
    """A registered model as its network again, and what its file is called.

    Raises:
        UsageError: There is no such version.
        UnfitError: The registry or the model cannot be used, or it is not one of this package's.
    """
    with _fetched(store, RegisteredName.of(uri)) as (version, folder):
        package = Package(folder)
        weights = _weights(folder)
    told, input_spec = package.metadata, _input_spec(package, uri)
    spec = _architecture(told, uri)
    network = _network(spec, input_spec, weights, uri)
    exportable = Exportable(
        spec=spec,
        input_spec=input_spec,
        network=network.network,
        class_names=tuple(map(str, told["class_names"])),
        mean=tuple(network.mean.flatten().tolist()),
        std=tuple(network.std.flatten().tolist()),
        images=noise(input_spec),
        compared_on="images of noise",
        facts={
            "weights": f"{version.name} version {version.version}",
            "registered_model": version.name,
            "model_version": version.version,
            "data": told.get("data"),
            "data_digest": told.get("data_digest"),
            "multi_label": bool(told.get("multi_label")),
            "search": told.get("search"),
            "trial": told.get("trial"),
            "checkpoint_sha256": told.get("checkpoint_sha256"),
        },
    )
    return exportable, f"{version.name}-v{version.version}"


@contextmanager
def _fetched(
    store: TrackingStore, name: RegisteredName
) -> Iterator[tuple[RegisteredVersion, Path]]:
    """A version with its files, which are gone after the block."""
    registry = Registry(open_client(store), store)
    failures: tuple[type[Exception], ...] = (*transport_errors(), OSError)
    with tempfile.TemporaryDirectory() as folder:
        try:
            version = registry.version(name.model, name.version)
            files = registry.fetch(version, Path(folder))
        except failures as error:
            raise UnfitError(
                f"{name.model} ({name.version}) cannot be fetched from {store.label}: "
                f"{sentence(error)}"
            ) from error
        yield version, files


def _input_spec(package: Package, uri: str) -> InputSpec:
    match package.shapes:
        case ((_, channels, height, width), (_, classes)) if height == width:
            return InputSpec(in_channels=channels, image_size=height, num_classes=classes)
        case shapes:
            raise UnfitError(
                f"{uri}: its signature says {shapes or 'nothing'}, not square images (N, C, H, W) "
                "and logits (N, classes)"
            )


def _architecture(told: dict[str, Any], uri: str) -> FamilySpec:
    try:
        architecture: FamilySpec = TypeAdapter(ArchitectureSpec).validate_python(
            told.get("architecture")
        )
    except ValidationError as error:
        raise UnfitError(
            f"{uri} does not say which network it is, so it was not registered by "
            "pipeline.promote of this or an earlier release; it can be served, not exported"
        ) from error
    return architecture


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of a saved model, by their names; MLflow refuses what it would unpickle."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow.pytorch

        module = mlflow.pytorch.load_model(str(folder))
    return {name: tensor.detach() for name, tensor in module.state_dict().items()}


def _network(
    spec: FamilySpec, input_spec: InputSpec, weights: dict[str, torch.Tensor], uri: str
) -> StandaloneModel:
    with torch.random.fork_rng(devices=[]):
        network: nn.Module = build_model(spec, input_spec, pretrained=False)
    channels = input_spec.in_channels
    model = StandaloneModel(network, (0.0,) * channels, (1.0,) * channels)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        line = " ".join(str(error).split())[:200]
        raise UnfitError(f"{uri}: its weights are not of {spec.name}: {line}") from error
    return model.requires_grad_(False).eval()
