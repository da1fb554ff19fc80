"""Torchvision's networks: names, shapes and outputs are theirs; weights come whole or not."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models._api import get_model, get_model_weights, list_models

from archsearch.errors import UnfitError
from archsearch.models import (
    ArchitectureError,
    ArchitectureSpec,
    TorchvisionSpec,
    build_model,
    pretrained,
)
from archsearch.models.backbones import NETWORK_NAMES, PUBLISHED_WEIGHTS, NetworkName, backbone
from archsearch.models.complexity import complexity
from archsearch.models.pretrained import check_weights, read_weights, torchvision_name
from archsearch.models.spec import sentences
from archsearch.models.weight_files import WeightFile, cache_folder, fetch, published_file
from archsearch.schema import InputSpec
from archsearch.spaces.catalogue import default_input, parse_name

SMALL = InputSpec(in_channels=3, image_size=32, num_classes=5)
GREY = SMALL.model_copy(update={"in_channels": 1})

SaveWeights = Callable[..., Path]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Torch's cache of weights in a folder of the test."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return cache_folder()


def twin(network: str, seed: int = 0) -> Any:
    """Torchvision's own network, with statistics that are not those of a fresh one."""
    torch.manual_seed(seed)
    model = get_model(network, weights=None)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            module.running_mean.normal_(std=0.1)
    return model.eval()


def save(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def features_of(model: Any) -> Any:
    """The same network with its features for an answer."""
    if hasattr(model, "fc"):
        model.fc = nn.Identity()
    elif hasattr(model, "classifier"):
        model.classifier = nn.Identity()
    else:
        model.head.classifier = nn.Identity()
    return model.eval()


# which networks, and which tensors


def test_they_are_all_of_torchvisions_in_these_families() -> None:
    families = ["resnet*", "wide_resnet*", "resnext*", "densenet*"]
    modules = ("torchvision.models.resnet", "torchvision.models.densenet")
    theirs = [n for n in list_models(include=families) if _module_of(n) in modules]
    assert sorted(theirs) == sorted(NETWORK_NAMES) == sorted(get_args(NetworkName))


def _module_of(network: str) -> str:
    from torchvision.models._api import get_model_builder

    return get_model_builder(network).__module__


@pytest.mark.parametrize("network", NETWORK_NAMES)
def test_published_weights_are_pinned_best_first(network: NetworkName) -> None:
    theirs: Any = get_model_weights(network)
    assert set(PUBLISHED_WEIGHTS[network]) == {weights.name for weights in theirs}
    assert PUBLISHED_WEIGHTS[network][0] == theirs.DEFAULT.name
    file = published_file(network, PUBLISHED_WEIGHTS[network][0])
    assert file.url == theirs.DEFAULT.url
    assert file.path.name == f"{network}-{file.sha256}.pth"


@pytest.mark.parametrize("network", NETWORK_NAMES)
def test_every_tensor_has_torchvisions_name_and_shape_in_its_order(network: NetworkName) -> None:
    with torch.device("meta"):
        theirs = get_model(network, weights=None).state_dict()
        ours = build_model(backbone(network), default_input("ResNet-18")).state_dict()
    named = [(torchvision_name(name, network), tensor.shape) for name, tensor in ours.items()]
    assert named == [(name, tensor.shape) for name, tensor in theirs.items()]


# weights from a file


@pytest.mark.parametrize(
    "network",
    [
        "resnet18",
        "resnext50_32x4d",
        "densenet121",
        pytest.param("resnet50", marks=pytest.mark.slow),
        pytest.param("wide_resnet50_2", marks=pytest.mark.slow),
    ],
)
def test_a_backbone_from_a_file_has_its_weights_and_answers_as_torchvisions(
    network: NetworkName, tmp_path: Path
) -> None:
    theirs = twin(network)
    path = save(tmp_path / "w.pth", theirs.state_dict())
    spec = TorchvisionSpec(network=network, weights=str(path))
    ours = build_model(spec, SMALL).eval()
    state = theirs.state_dict()
    for name, tensor in ours.state_dict().items():
        if not name.startswith("head.classifier"):
            assert torch.equal(tensor, state[torchvision_name(name, network)]), name
    assert ours(torch.randn(2, 3, 32, 32)).shape == (2, 5)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected, answer = features_of(theirs)(images), features_of(ours)(images)
    torch.testing.assert_close(answer, expected, rtol=1e-5, atol=1e-5)


def test_a_grey_image_is_answered_as_one_of_three_equal_channels(tmp_path: Path) -> None:
    theirs = twin("resnet18")
    path = save(tmp_path / "w.pth", theirs.state_dict())
    ours = build_model(TorchvisionSpec(network="resnet18", weights=str(path)), GREY)
    images = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        expected = features_of(theirs)(images.expand(-1, 3, -1, -1))
        answer = features_of(ours)(images)
    torch.testing.assert_close(answer, expected, rtol=1e-4, atol=1e-5)


def test_files_of_training_scripts_and_of_old_versions_are_read(tmp_path: Path) -> None:
    state = twin("densenet121").state_dict()
    without = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    old = {
        k.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): v for k, v in state.items()
    }
    forms = {
        "parallel": {f"module.{k}": v for k, v in state.items()},
        "script": {"model": state, "epoch": 7},
        "lightning": {"state_dict": state},
        "sorted": dict(sorted(state.items())),
        "no-counters": without,
        "published": old,
        "no-classifier": {k: v for k, v in state.items() if not k.startswith("classifier")},
        "other-classes": {**state, "classifier.weight": torch.zeros(3, 1024)},
    }
    assert any("norm.1" in name for name in old)
    for name, content in forms.items():
        path = save(tmp_path / f"{name}.pt", content)
        spec = TorchvisionSpec(network="densenet121", weights=str(path))
        ours = read_weights("densenet121", spec.weights)
        key = "stages.2.layers.5.layers.norm1.running_mean"
        theirs = state["features.denseblock3.denselayer6.norm1.running_mean"]
        assert torch.equal(ours[key], theirs), name


def test_weights_are_told_apart_by_their_contents_alone(tmp_path: Path) -> None:
    one, other = (twin("resnet18", seed).state_dict() for seed in (0, 1))
    first = save(tmp_path / "a.pth", one)
    spec = TorchvisionSpec(network="resnet18", weights=str(first))
    moved = first.rename(tmp_path / "moved.pt")
    assert TorchvisionSpec(network="resnet18", weights=str(moved)) == spec
    digest = hashlib.sha256(moved.read_bytes()).hexdigest()[:16]
    assert spec.weights == f"sha256:{digest}"
    assert spec.name == f"torchvision-resnet18-weights={digest}"
    assert parse_name(spec.name) == spec
    assert parse_name(f"torchvision-resnet18-frozen2-weights={moved}").name == (
        f"torchvision-resnet18-weights={digest}-frozen2"
    )
    changed = TorchvisionSpec(network="resnet18", weights=str(save(moved, other)))
    assert changed != spec
    moved.unlink()
    assert TorchvisionSpec.model_validate_json(spec.model_dump_json()) == spec
    assert build_model(spec, SMALL).frozen_stages == 0


def test_nothing_is_loaded_where_nothing_is_needed(tmp_path: Path, own_cache: Path) -> None:
    path = save(tmp_path / "w.pth", twin("resnet18").state_dict())
    spec = TorchvisionSpec(network="resnet18", weights=str(path), frozen_stages=1)
    (kept,) = own_cache.iterdir()
    kept.unlink()
    assert complexity(spec, SMALL).params == sum(
        p.numel() for p in build_model(spec, SMALL, pretrained=False).parameters()
    )
    with pytest.raises(
        UnfitError, match="there is no such file on this machine; name the weights"
    ):
        build_model(spec, SMALL)


# what is wrong with a file


def test_the_weights_of_another_network_are_refused_with_its_name(tmp_path: Path) -> None:
    path = save(tmp_path / "w.pth", twin("resnet34").state_dict())
    spec = TorchvisionSpec(network="resnet18", weights=str(path))
    with pytest.raises(UnfitError) as caught:
        check_weights("resnet18", spec.weights)
    text = str(caught.value)
    assert "does not fit torchvision's resnet18: " in text
    assert "tensors are unknown (layer1.2.conv1.weight, layer1.2.bn1.weight, …)" in text
    assert text.endswith("it has the weights of resnet34")
    with pytest.raises(UnfitError, match="does not fit"):
        build_model(spec, SMALL)


def test_missing_and_misshapen_tensors_are_told_together(tmp_path: Path) -> None:
    state = twin("resnet18").state_dict()
    del state["bn1.weight"]
    state["conv1.weight"] = torch.zeros(64, 1, 7, 7)
    path = save(tmp_path / "w.pth", state)
    spec = TorchvisionSpec(network="resnet18", weights=str(path))
    with pytest.raises(
        UnfitError, match=r"1 tensors are missing \(bn1\.weight\); 1 tensors are of"
    ):
        check_weights("resnet18", spec.weights)


class Trap:
    """Unpickling it would run code."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return (exec, ("raise SystemExit('run')",))


@pytest.mark.parametrize(
    "content", [b"", b"text", b"PK\x03\x04", "pickle", "whole model", [1, 2], {"model": 3}]
)
def test_what_is_no_file_of_weights_is_refused(tmp_path: Path, content: object) -> None:
    path = tmp_path / "w.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        special = {"pickle": Trap(), "whole model": nn.Linear(2, 2)}
        save(path, special.get(content, content) if isinstance(content, str) else content)
    spec = TorchvisionSpec(network="resnet18", weights=str(path))
    with pytest.raises(UnfitError, match=r"sha256-\w+\.pth: (no file of weights|does not fit)"):
        check_weights("resnet18", spec.weights)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("absent.pth", "No such file"), ("folder.pt", "Is a directory"), ("a\0b.pth", "")],
)
def test_a_path_that_cannot_be_read_is_told_when_the_spec_is_made(
    tmp_path: Path, name: str, reason: str
) -> None:
    (tmp_path / "folder.pt").mkdir()
    with pytest.raises(UnfitError, match=f"cannot be used: .*{reason}"):
        TorchvisionSpec(network="resnet18", weights=str(tmp_path / name))


def test_a_kept_file_that_was_changed_is_refused(tmp_path: Path, own_cache: Path) -> None:
    path = save(tmp_path / "w.pth", twin("resnet18").state_dict())
    spec = TorchvisionSpec(network="resnet18", weights=str(path))
    (kept,) = own_cache.iterdir()
    kept.write_bytes(kept.read_bytes()[:-1])
    with pytest.raises(UnfitError, match=r"damaged: the SHA-256 .* delete it, and name its path"):
        build_model(spec, SMALL)
    assert TorchvisionSpec(network="resnet18", weights=str(path)) == spec  # copies it anew
    build_model(spec, SMALL)


# published weights, from a server that is a folder


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WeightFile:
    """Stands for torchvision's weights of ResNet-18."""
    served = save(tmp_path / "served.pth", twin("resnet18").state_dict())
    sha256 = hashlib.sha256(served.read_bytes()).hexdigest()[:8]
    file = WeightFile(cache_folder() / f"resnet18-{sha256}.pth", sha256, served.as_uri())
    monkeypatch.setattr(pretrained, "published_file", lambda network, weights: file)
    return file


def test_published_weights_are_downloaded_once(published: WeightFile, tmp_path: Path) -> None:
    spec = parse_name("torchvision-resnet18-pretrained")
    first = build_model(spec, SMALL).state_dict()
    (tmp_path / "served.pth").unlink()
    assert published.path.is_file()
    second = build_model(spec, SMALL).state_dict()
    weight = "stages.3.1.branch.conv2.weight"
    assert torch.equal(first[weight], second[weight])


def test_a_download_that_fails_or_is_not_what_was_published_says_what_to_do(
    published: WeightFile, tmp_path: Path
) -> None:
    spec = parse_name("torchvision-resnet18-pretrained")
    (tmp_path / "served.pth").write_bytes(b"something else")
    with pytest.raises(UnfitError, match=r"cannot be downloaded \("):
        build_model(spec, SMALL)
    (tmp_path / "served.pth").unlink()
    with pytest.raises(UnfitError, match=r"cannot be downloaded .* bring it to .*or the path of"):
        fetch(published)
    assert not published.path.exists()


# head and frozen stages


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("torchvision-resnet18", [(512, 5)]),
        ("torchvision-resnet18-dropout0.5", ["drop", (512, 5)]),
        ("torchvision-resnet18-mlp", [(512, 1024), "relu", (1024, 5)]),
        ("torchvision-resnext50_32x4d-mlp-dropout0.5", [(2048, 4096), "relu", "drop", (4096, 5)]),
        ("torchvision-densenet161-mlp7", [(2208, 7), "relu", (7, 5)]),
    ],
)
def test_the_head_is_new(name: str, layers: list[object]) -> None:
    with torch.device("meta"):
        head: Any = build_model(parse_name(name), SMALL).head
    kinds = {nn.Dropout: "drop", nn.ReLU: "relu"}
    told = [
        (m.in_features, m.out_features) if isinstance(m, nn.Linear) else kinds[type(m)]
        for m in head.classifier
    ]
    assert told == layers


def test_a_new_head_starts_the_same_whatever_the_weights(tmp_path: Path) -> None:
    path = save(tmp_path / "w.pth", twin("resnet18").state_dict())
    heads = []
    for weights in ("none", str(path)):
        torch.manual_seed(3)
        spec = TorchvisionSpec(network="resnet18", weights=weights, head="mlp")
        heads.append(build_model(spec, SMALL).head.state_dict())
    assert len(heads[0]) == 4
    assert all(torch.equal(heads[0][key], heads[1][key]) for key in heads[0])
    assert not heads[0]["classifier.output.bias"].any()


@pytest.mark.parametrize("frozen", range(5))
@pytest.mark.parametrize("network", ["resnet18", "densenet121"])
def test_frozen_stages_are_the_first_ones_whatever_the_mode(network: str, frozen: int) -> None:
    with torch.device("meta"):
        spec = parse_name(f"torchvision-{network}-pretrained" + f"-frozen{frozen}" * (frozen > 0))
        model = build_model(spec, SMALL)
    for _ in range(2):
        model.eval().train()
        learning = {n for n, p in model.named_parameters() if p.requires_grad}
        in_training = {n for n, m in model.named_modules() if m.training and not any(m.children())}
        for names in (learning, in_training):
            stages = {int(n.split(".")[1]) for n in names if n.startswith("stages.")}
            assert stages == set(range(frozen, 4))
            assert any(n.startswith("stem.") for n in names) == (frozen == 0)
            assert any(n.startswith("head.classifier.") for n in names)
            norm = any(n.startswith("head.norm") for n in names)
            assert norm == (network == "densenet121" and frozen < 4)


def test_every_parameter_that_is_not_frozen_gets_a_gradient() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(parse_name("torchvision-densenet121-mlp-dropout0.2"), SMALL).train()
        model.freeze(2)
        nn.functional.cross_entropy(
            model(torch.randn(8, 3, 32, 32)), torch.arange(8) % 5
        ).backward()
    for name, parameter in model.named_parameters():
        frozen = name.startswith(("stem.", "stages.0.", "stages.1."))
        assert (parameter.grad is None) == frozen, name


@pytest.mark.parametrize(
    "name",
    [
        "resnet18-frozen1-mlp-dropout0.5",
        pytest.param("densenet121-frozen4", marks=pytest.mark.slow),
    ],
)
def test_it_exports_with_a_free_batch(name: str, tmp_path: Path) -> None:
    network, _, rest = name.partition("-")
    path = save(tmp_path / "w.pth", twin(network).state_dict())
    model = build_model(parse_name(f"torchvision-{network}-{rest}-weights={path}"), GREY).eval()
    images = torch.randn(3, 1, 32, 32)
    batch = {0: torch.export.Dim("batch")}
    exported = torch.export.export(model, (images[:2],), dynamic_shapes=(batch,)).module()
    with torch.no_grad():
        torch.testing.assert_close(exported(images), model(images), rtol=1e-5, atol=1e-5)


# names and rules


@pytest.mark.parametrize(
    "name",
    [
        *(f"torchvision-{network}" for network in NETWORK_NAMES),
        "torchvision-resnet50-pretrained",
        "torchvision-resnet50-pretrainedV1-frozen1",
        "torchvision-resnet50-pretrained-frozen4-mlp-dropout0.5",
        "torchvision-wide_resnet101_2-mlp512",
        "torchvision-densenet121-weights=0123456789abcdef-frozen3",
    ],
)
def test_names_are_canonical_and_read_in_other_spellings(name: str) -> None:
    spec = parse_name(name)
    assert spec.name == name
    assert parse_name(name.upper().replace("_", " ").replace("-", "_")) == spec
    assert default_input(name).image_size == 224


@st.composite
def members(draw: st.DrawFn) -> TorchvisionSpec:
    """Any spec for fine-tuning."""
    network = draw(st.sampled_from(NETWORK_NAMES))
    weights = ["none", "default", "sha256:0123456789abcdef", "sha256:fedcba9876543210"]
    weights += ["IMAGENET1K_V1"] * (len(PUBLISHED_WEIGHTS[network]) > 1)
    chosen = draw(st.sampled_from(weights))
    head = draw(st.sampled_from(["linear", "mlp"]))
    fields: dict[str, Any] = {"network": network, "weights": chosen, "head": head}
    if chosen != "none":
        fields["frozen_stages"] = draw(st.integers(0, 4))
    if head == "mlp" and draw(st.booleans()):
        fields["hidden_features"] = draw(st.sampled_from([1, 512, 1024, 2048, 4096]))
    return TorchvisionSpec.model_validate(
        fields | {"dropout": draw(st.sampled_from([0, 0.25, 0.5]))}
    )


@settings(max_examples=300)
@given(spec=members(), other=members())
def test_names_read_back_and_no_two_specs_share_one(
    spec: TorchvisionSpec, other: TorchvisionSpec
) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(ArchitectureSpec)
    assert parse_name(spec.name) == spec
    assert adapter.validate_json(adapter.dump_json(spec)) == spec
    assert hash(pickle.loads(pickle.dumps(spec))) == hash(spec)
    assert (spec.name == other.name) == (spec == other)


@pytest.mark.parametrize(
    "name", ["torchvision-resnet18-mlp-dropout0.2", "torchvision-densenet121-weights=" + "0" * 16]
)
def test_predicted_costs_are_those_of_the_built_module(name: str) -> None:
    cost = complexity(parse_name(name), GREY)
    network = build_model(parse_name(name), GREY, pretrained=False).eval()
    assert cost.params == sum(p.numel() for p in network.parameters())
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network(torch.zeros(1, 1, 32, 32))
    assert cost.macs == counter.get_total_flops() // 2


def test_defaults_have_one_spelling() -> None:
    assert parse_name("torchvision-resnet18-mlp1024") == parse_name("torchvision-resnet18-mlp")
    assert parse_name("torchvision-resnet18").family == "torchvision"
    assert parse_name("resnet18").family == "resnet"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("torchvision-resnet19", "names no network of torchvision; .* one of densenet121"),
        ("torchvision", "names no network of torchvision"),
        ("torchvision-resnet18-pretty", "unknown part 'pretty'"),
        ("torchvision-resnet18-frozen0", "unknown part 'frozen0'"),
        ("torchvision-resnet18-pretrained-frozen5", "frozen_stages: "),
        ("torchvision-resnet18-frozen2", "`frozen_stages = 0` must hold without pretrained"),
        (
            "torchvision-resnet18-pretrainedV1",
            "`weights = default` is how resnet18's weights IMAGENET",
        ),
        ("torchvision-resnet18-pretrained-weights=0123456789abcdef", "says its weights twice"),
    ],
)
def test_unknown_and_impossible_names_say_why(text: str, message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        parse_name(text)


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"network": "vgg16"}, "network: "),
        ({"network": "resnet18", "weights": "defualt"}, "must be none, default, IMAGENET1K_V1"),
        ({"network": "resnet18", "weights": "sha256:12"}, "16 hexadecimal digits"),
        ({"network": "resnet18", "hidden_features": 8}, "`hidden_features = 0` must hold for a"),
        ({"network": "resnet18", "head": "mlp", "hidden_features": 0}, "`hidden_features >= 1`"),
        ({"network": "resnet18", "dropout": 1}, "dropout: "),
    ],
)
def test_bad_specs_are_refused_with_their_rule(fields: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TorchvisionSpec.model_validate(fields)
    assert rule in sentences(caught.value)


def test_images_that_do_not_fit_are_refused() -> None:
    spec = parse_name("torchvision-resnet18-pretrained")
    with pytest.raises(ArchitectureError, match=r"image_size >= 32.*\(--image-size\)$"):
        complexity(spec, SMALL.model_copy(update={"image_size": 31}))
    with pytest.raises(ArchitectureError, match="images must have 1 or 3 channels"):
        complexity(spec, SMALL.model_copy(update={"in_channels": 2}))
    two = SMALL.model_copy(update={"in_channels": 2})
    assert complexity(parse_name("torchvision-resnet18"), two).params > 11_000_000
