"""The loader meets hostile files: a space or a `UsageError`, in bounded time, nothing else."""

import copy
import itertools
import random
import time
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from archsearch.errors import UsageError
from archsearch.models import FAMILIES
from archsearch.schema import InputSpec
from archsearch.spaces.load import load_space, parse_space, shipped_spaces, space_text
from archsearch.spaces.parameters import Scalar
from archsearch.spaces.recipe import Recipe
from archsearch.spaces.space import SearchSpace
from archsearch.spaces.suggest import UniformSuggester

INPUT = InputSpec(in_channels=3, image_size=64, num_classes=10)
SECONDS = 10.0  # of the processor: the slowest seen takes a tenth of it; machines differ

FUZZ = settings(
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def try_to_load(content: bytes) -> SearchSpace | None:
    """Load; whatever is refused is refused in plain, short, printable lines with their place."""
    start = time.process_time()
    try:
        space = parse_space(content, source="f.yaml")
    except UsageError as error:
        lines = str(error).split("\n")
        assert 1 <= len(lines) <= 41
        assert all(line.startswith(("f.yaml:", "… and ")) for line in lines)
        return None
    else:
        draw_some(space)
        return space
    finally:
        assert time.process_time() - start < SECONDS


def draw_some(space: SearchSpace) -> None:
    """What was accepted can be drawn from, and its members are trials."""
    suggester = UniformSuggester(random.Random(0))
    for family in [*space.families] * 3:
        proposal = space.suggest(suggester, family)
        config = space.config(proposal.params, INPUT, seed=0)
        assert space.params_of(config.architecture, config.recipe) == proposal.params
    assert space.digest


strange_scalars: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-50, 200),
    st.sampled_from([10**30, -(10**30), 2**53, 2**53 + 1, 2**63]),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(["B(3,3)", "basic", "bottleneck", "imagenet", "cifar", "WRN-16-2", "1e-3"]),
)
strange = st.recursive(
    strange_scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
bounds = st.lists(st.integers(-5, 200) | st.floats() | strange_scalars, max_size=3)
parameters = st.one_of(
    strange,
    st.fixed_dictionaries(
        {"int": bounds}, optional={"step": strange_scalars, "log": strange_scalars}
    ),
    st.fixed_dictionaries(
        {"int": st.tuples(st.integers(1, 60), st.integers(1, 200)).map(sorted)},
        optional={"step": st.integers(1, 20), "log": st.booleans()},
    ),
    st.fixed_dictionaries({"float": bounds}, optional={"log": strange_scalars}),
    st.fixed_dictionaries(
        {"float": st.tuples(st.floats(0, 2), st.floats(0, 2)).map(sorted)},
        optional={"log": st.booleans()},
    ),
    st.fixed_dictionaries({"choice": st.lists(strange_scalars, max_size=5)}),
    st.fixed_dictionaries({"choice": st.lists(st.integers(1, 110), max_size=5, unique=True)}),
)


plausible = st.one_of(
    st.sampled_from([10, 16, 20, 29, 40, 0, 1, 2, 0.1, 0.5, True, False, "B(3,1)", "pre", "B"]),
    st.builds(
        lambda low, steps, step: {"int": [low, low + steps * step], "step": step},
        st.sampled_from([1, 4, 8, 10, 11, 20, 22, 40]),
        st.integers(0, 5),
        st.sampled_from([1, 3, 6, 9, 18]),
    ),
    st.builds(
        lambda low, width, log: {"float": [low, low + width], "log": log},
        st.floats(0.01, 0.9),
        st.floats(0, 2),
        st.booleans(),
    ),
    st.builds(
        lambda values: {"choice": values},
        st.lists(st.sampled_from([1, 2, 4, 8]), min_size=1, unique=True)
        | st.lists(st.sampled_from([16, 22, 28, 40, 17]), min_size=1, unique=True)
        | st.lists(st.sampled_from([0, 0.25, 0.5]), min_size=1, unique=True)
        | st.lists(st.sampled_from(["B(3,3)", "B(3,1)", "B(1,3)"]), min_size=1, unique=True)
        | st.just([True, False]),
    ),
)


def branches(described: Any) -> st.SearchStrategy[Any]:
    fields = sorted({*described.model_fields, "famly", "dept"})
    return strange | st.dictionaries(st.sampled_from(fields), parameters, max_size=6)


spaces = st.fixed_dictionaries(
    {},
    optional={
        "families": strange
        | st.fixed_dictionaries(
            {},
            optional={**{name: branches(spec) for name, spec in FAMILIES.items()}, "x": strange},
        ),
        "training": branches(Recipe),
        "fidelity": strange
        | st.fixed_dictionaries(
            {"max_epochs": st.integers(-1, 30) | strange_scalars},
            optional={"grace_period_epochs": strange_scalars, "reduction_factor": strange_scalars},
        ),
        "constraints": strange | st.dictionaries(st.sampled_from(["max_macs", "m"]), strange),
        "baselines": strange | st.lists(st.sampled_from(["WRN-16-2", "ResNet-8", "?", 3])),
        "objective": strange,
        "description": strange,
        "name": strange,
        "other": strange,
    },
)


def as_yaml(raw: dict[str, Any]) -> bytes:
    return yaml.safe_dump(raw, allow_unicode=True, sort_keys=False).encode()


SHIPPED = {name: load_space(name).model_dump(mode="json") for name in shipped_spaces()}
shipped = st.sampled_from(shipped_spaces())


@st.composite
def shipped_with_values_replaced(draw: st.DrawFn) -> bytes:
    raw = copy.deepcopy(SHIPPED[draw(shipped)])
    for _ in range(draw(st.integers(1, 3))):
        place: Any = raw
        while True:
            key = draw(st.sampled_from(list(place)))
            inner = place[key]
            if not isinstance(inner, dict) or not inner or draw(st.booleans()):
                break
            place = inner
        place[key] = draw(parameters)
    return as_yaml(raw)


@st.composite
def shipped_with_another_parameter(draw: st.DrawFn) -> bytes:
    raw = copy.deepcopy(SHIPPED[draw(shipped)])
    raw["baselines"] = []
    for _ in range(draw(st.integers(1, 2))):
        family = draw(st.sampled_from([*raw["families"], "training"]))
        described = Recipe if family == "training" else FAMILIES[family]
        branch = raw["training"] if family == "training" else raw["families"][family]
        field = draw(st.sampled_from(sorted({*described.model_fields} - {"family"})))
        branch[field] = draw(plausible)
    return as_yaml(raw)


@st.composite
def shipped_with_other_text(draw: st.DrawFn) -> bytes:
    text = space_text(draw(shipped))
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 20)))
    junk = draw(st.text("{}[]:,-#&*!|>'\"%@`~?. \n\tabc0123456789eE_", max_size=12))
    return (text[:start] + junk + text[end:]).encode()


any_bytes = st.binary(max_size=200) | st.text(max_size=200).map(str.encode)


@FUZZ
@given(content=spaces.map(as_yaml))
def test_structures_that_nearly_are_a_space(content: bytes) -> None:
    try_to_load(content)


@settings(FUZZ, max_examples=60)
@given(content=shipped_with_values_replaced())
def test_shipped_spaces_with_some_values_replaced(content: bytes) -> None:
    try_to_load(content)


@FUZZ
@given(content=shipped_with_another_parameter())
def test_shipped_spaces_with_another_plausible_parameter(content: bytes) -> None:
    """About a seventh of these are sound: what is accepted has to be drawable."""
    try_to_load(content)


@settings(FUZZ, max_examples=60)
@given(content=shipped_with_other_text())
def test_shipped_files_with_a_part_of_their_text_replaced(content: bytes) -> None:
    try_to_load(content)


@pytest.mark.slow
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize(
    "contents",
    [
        pytest.param(spaces.map(as_yaml), id="structures"),
        pytest.param(shipped_with_values_replaced(), id="values"),
        pytest.param(shipped_with_another_parameter(), id="parameters"),
        pytest.param(shipped_with_other_text(), id="text"),
        pytest.param(any_bytes, id="bytes"),
    ],
)
def test_a_thousand_files_of_each_kind(contents: st.SearchStrategy[bytes]) -> None:
    @settings(FUZZ, max_examples=1_000)
    @given(content=contents)
    def each_is_answered(content: bytes) -> None:
        try_to_load(content)

    each_is_answered()


ALIAS_BOMB = (
    "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    + "".join(
        f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in itertools.pairwise("abcdefghi")
    )
).encode()


@FUZZ
@given(content=any_bytes)
@example(content=ALIAS_BOMB)
@example(content=b"x: " * 100_000)
@example(content=b"? " * 100_000)
@example(content=b"- " * 100_000)
@example(content=b"{" * 900_000)
@example(content=b"[" * 900_000)
@example(content=b"'" * 900_000)
@example(content=b"# c\n" * 240_000)
@example(content=b"a: |\n" + b" x\n" * 300_000)
@example(content=b"a: " + b"9" * 900_000)
@example(content=b"a" * 900_000 + b": 1")
@example(content=b"".join(b"k%d: 1\n" % i for i in range(60_000)))
@example(content=b"families: {" + b"wrm: {depth: 1}, " * 5_000 + b"}")
@example(content=b"\xef\xbb\xbf" * 1000)
@example(content=b"%YAML 9.9\n---\na: 1\n")
@example(content=b"%TAG ! tag:x,2000:\n---\na: !x 1\n")
@example(content=b"<<: {a: 1}\nfamilies: {wrn: {<<: {depth: 10}}}\n")
@example(content=b"a: !!binary aGVsbG8=\n")
@example(content=b"!!python/object/apply:os.system ['true']\n")
@example(content="families: {wrn: {depth: ١٦}}\n".encode())
def test_any_bytes(content: bytes) -> None:
    try_to_load(content)


@settings(FUZZ, max_examples=100)
@given(name=st.text(max_size=300))
@example(name="/" * 5000)
@example(name="../" * 2000 + "etc/passwd")
@example(name="con\x00.yaml")
@example(name="%s%n{0}{name}")
def test_any_name(name: str) -> None:
    try:
        load_space(name)
    except UsageError:
        return
    assert name in shipped_spaces()


LARGE_BRANCHES: tuple[dict[str, dict[str, Scalar | dict[str, list[int]]]], ...] = (
    {
        "resnext": {
            "depth": {"int": [2, 2000]},
            "cardinality": {"int": [1, 4096]},
            "bottleneck_width": 4,
        }
    },
    {"wrn": {"depth": {"int": [10, 10_000]}, "widen_factor": {"int": [1, 1000]}}},
    {"densenet": {"depth": {"int": [1, 10_000]}, "growth_rate": {"int": [1, 1000]}}},
    {"resnet": {"depth": {"choice": list(range(2, 9000, 6))}, "activation_order": "pre"}},
)


def test_huge_branches_take_bounded_time() -> None:
    for families in LARGE_BRANCHES:
        raw = {"families": families, "fidelity": {"max_epochs": 3}}
        try_to_load(yaml.safe_dump(raw).encode())
