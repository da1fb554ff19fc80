"""Networks for fine-tuning: torchvision's weights in this project's network, and a new head."""

from __future__ import annotations

import functools
import pickle
import re
import struct
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from archsearch.errors import UnfitError
from archsearch.models.backbones import (
    NETWORK_NAMES,
    PUBLISHED_WEIGHTS,
    NetworkName,
    backbone,
    num_features,
)
from archsearch.models.network import Network, network_of
from archsearch.models.weight_files import WeightFile, fetch, imported_file, published_file
from archsearch.schema import InputSpec

IMAGENET_CHANNELS = 3
STEM_WEIGHT = "stem.conv.weight"

_RESIDUAL_KEYS: tuple[tuple[str, str], ...] = (
    (r"stem\.conv\.", "conv1."),
    (r"stem\.norm\.", "bn1."),
    (r"stages\.(\d+)\.(\d+)\.branch\.conv(\d)\.", r"layer{0}.\2.conv\3."),
    (r"stages\.(\d+)\.(\d+)\.branch\.norm(\d)\.", r"layer{0}.\2.bn\3."),
    (r"stages\.(\d+)\.(\d+)\.shortcut\.conv\.", r"layer{0}.\2.downsample.0."),
    (r"stages\.(\d+)\.(\d+)\.shortcut\.norm\.", r"layer{0}.\2.downsample.1."),
    (r"head\.classifier\.", "fc."),
)
_DENSE_KEYS: tuple[tuple[str, str], ...] = (
    (r"stem\.(conv|norm)\.", r"features.\g<1>0."),
    (r"stages\.(\d+)\.layers\.(\d+)\.layers\.", r"features.denseblock{0}.denselayer{1}."),
    (r"stages\.(\d+)\.transition\.", r"features.transition{0}."),
    (r"head\.norm\.", "features.norm5."),
    (r"head\.classifier\.", "classifier."),
)
"""Beginnings of this project's names → torchvision's, which count stages and layers from 1."""

_UNREADABLE = (
    pickle.UnpicklingError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
"""What reading something else than weights was seen to raise."""

_CLASSIFIERS = ("fc.", "classifier.")
_OLD_DENSE_KEY = re.compile(r"^(.*denselayer\d+\.(?:norm|conv))\.([12]\..*)$")
"""Published DenseNets were saved under `norm.1` for what has been `norm1` ever since."""


def build_finetuned(
    network: NetworkName,
    input_spec: InputSpec,
    *,
    weights: str,
    frozen_stages: int,
    hidden_features: int,
    dropout: float,
) -> Network:
    """A network of torchvision with its weights loaded, its head new, its first stages frozen.

    Random weights are drawn for everything before any are loaded, so the new head starts the same
    from the same seed, whatever the weights. On the meta device nothing is loaded.

    Args:
        network: Torchvision's name.
        input_spec: Of its images, which fit.
        weights: As `TorchvisionSpec.weights`; `none` leaves the random ones.
        frozen_stages: Stages that training leaves as they are.
        hidden_features: Units of a hidden layer in the head; 0 for a linear head.
        dropout: Drop probability before the head's last linear layer.

    Raises:
        UnfitError: The weights cannot be had, or are another network's.
    """
    built = _bare(network, input_spec.in_channels, input_spec.num_classes)
    built.head.classifier = _new_classifier(
        num_features(network), hidden_features, dropout, input_spec.num_classes
    )
    if weights != "none" and not next(built.parameters()).is_meta:
        _load(built, read_weights(network, weights))
    built.freeze(frozen_stages)
    return built


def check_weights(network: NetworkName, weights: str) -> WeightFile:
    """Make sure that weights are on this machine, undamaged and of the right network.

    Only sizes are read, and nothing stays in memory.

    Raises:
        UnfitError: They are not; the sentence says what to do.
    """
    file = weight_file(network, weights)
    _matched(_read(fetch(file), "meta"), network, file.path)
    return file


def read_weights(network: NetworkName, weights: str) -> dict[str, Tensor]:
    """The weights of a backbone by this project's names, on the processor.

    The classifier of the file is left out.

    Raises:
        UnfitError: As `check_weights`.
    """
    path = fetch(weight_file(network, weights))
    return _matched(_read(path, "cpu"), network, path)


def weight_file(network: NetworkName, weights: str) -> WeightFile:
    """Where the weights that a spec names come from."""
    if weights.startswith("sha256:"):
        return imported_file(weights.removeprefix("sha256:"))
    name = PUBLISHED_WEIGHTS[network][0] if weights == "default" else weights
    return published_file(network, name)


def torchvision_name(name: str, network: NetworkName) -> str:
    """Torchvision's name, such as `layer1.0.bn1.bias`, of a tensor in this project's network."""
    keys = _DENSE_KEYS if network.startswith("densenet") else _RESIDUAL_KEYS
    for pattern, replacement in keys:
        match = re.match(pattern, name)
        if match is not None:
            counted = [int(group) + 1 for group in match.groups() if group.isdigit()]
            return match.expand(replacement.format(*counted)) + name[match.end() :]
    raise AssertionError(f"a tensor that torchvision's {network} has not: {name}")


def _bare(network: NetworkName, in_channels: int, num_classes: int) -> Network:
    return network_of(backbone(network).plan(), in_channels, num_classes)


def _new_classifier(
    features: int, hidden_features: int, dropout: float, num_classes: int
) -> nn.Module:
    """[linear, ReLU,] [dropout,] linear; torch's default weights, biases that start at zero."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if hidden_features:
        layers["hidden"] = nn.Linear(features, hidden_features)
        layers["relu"] = nn.ReLU(inplace=True)
        features = hidden_features
    if dropout:
        layers["dropout"] = nn.Dropout(dropout)
    layers["output"] = nn.Linear(features, num_classes)
    for layer in layers.values():
        if isinstance(layer, nn.Linear) and not layer.bias.is_meta:
            nn.init.zeros_(layer.bias)
    return nn.Sequential(layers)


def _load(network: Network, weights: dict[str, Tensor]) -> None:
    """Copy a backbone's weights in; for grey images the colours' weights are added up."""
    stem = weights[STEM_WEIGHT]
    if network.state_dict()[STEM_WEIGHT].shape[1] != IMAGENET_CHANNELS:
        stem = stem.sum(dim=1, keepdim=True)
    network.load_state_dict({**weights, STEM_WEIGHT: stem}, strict=False)


def _read(path: Path, device: str) -> Mapping[str, object]:
    """The state that a file holds, by torchvision's names; nothing in it is unpickled."""
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except _UNREADABLE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnfitError(
            f"{path}: no file of weights: {reason}; save one by "
            "torch.save(network.state_dict(), PATH)"
        ) from error
    for wrapper in ("state_dict", "model"):  # as training scripts save it, with other things
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
    if not isinstance(state, Mapping):
        raise UnfitError(f"{path}: no file of weights: it holds a {type(state).__name__}")
    names = ((str(name).removeprefix("module."), value) for name, value in state.items())
    return {_OLD_DENSE_KEY.sub(r"\1\2", name): value for name, value in names}


@functools.cache
def _expected(network: NetworkName) -> Mapping[str, tuple[str, torch.Size]]:
    """Torchvision's name of every tensor of a backbone → this project's name, and its shape."""
    with torch.device("meta"):
        state = _bare(network, IMAGENET_CHANNELS, num_classes=1000).state_dict()
    return {
        torchvision_name(name, network): (name, tensor.shape)
        for name, tensor in state.items()
        if not name.startswith("head.classifier.")
    }


def _matched(state: Mapping[str, object], network: NetworkName, path: Path) -> dict[str, Tensor]:
    """The tensors of a backbone by this project's names.

    Raises:
        UnfitError: Some are missing, unknown or of another shape.
    """
    expected = _expected(network)
    problems = _differences(state, expected)
    if problems:
        its = next((n for n in NETWORK_NAMES if not _differences(state, _expected(n))), None)
        hint = f"; it has the weights of {its}" if its else ""
        raise UnfitError(
            f"{path}: does not fit torchvision's {network}: {'; '.join(problems)}{hint}"
        )
    return {
        name: tensor
        for key, (name, _) in expected.items()
        if isinstance(tensor := state.get(key), Tensor)
    }


def _differences(
    state: Mapping[str, object], expected: Mapping[str, tuple[str, torch.Size]]
) -> list[str]:
    """One sentence for each way in which a file differs from what a backbone needs."""
    shapes = {k: v.shape for k, v in state.items() if isinstance(v, Tensor)}
    missing = [
        # A counter that training does not need; files of before 2018 have none.
        key
        for key in expected
        if key not in shapes and not key.endswith("num_batches_tracked")
    ]
    others = [key for key, (_, shape) in expected.items() if shapes.get(key, shape) != shape]
    unknown = [k for k in state if k not in expected and not k.startswith(_CLASSIFIERS)]
    found = (("missing", missing), ("of another shape", others), ("unknown", unknown))
    return [
        f"{len(keys)} tensors are {what} ({', '.join(keys[:2])}{', …' if len(keys) > 2 else ''})"
        for what, keys in found
        if keys
    ]
