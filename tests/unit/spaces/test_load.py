"""Space files: found, read with all problems at once, written back."""

import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch.errors import UsageError
from archsearch.spaces.load import (
    load_space,
    parse_space,
    shipped_spaces,
    space_text,
    write_space,
)
from archsearch.spaces.parameters import Constant, FloatRange
from archsearch.spaces.space import SearchSpace
from archsearch.spaces.suggest import UniformSuggester
from archsearch.spaces.yaml_tree import MAX_BYTES, YamlError, plain_value, read_yaml

SOUND = """\
families:
  wrn: {depth: {int: [10, 28], step: 6}, widen_factor: {choice: [1, 2]}}
fidelity: {max_epochs: 9}
"""


def problems_of(text: str | bytes) -> list[str]:
    content = text.encode() if isinstance(text, str) else text
    with pytest.raises(UsageError) as caught:
        parse_space(content, source="my.yaml")
    return str(caught.value).splitlines()


def only_problem_of(text: str | bytes) -> str:
    problems = problems_of(text)
    assert len(problems) == 1, problems
    return problems[0]


def test_all_problems_are_told_at_once_each_with_line_and_path() -> None:
    problems = problems_of("""\
families:
  wrm: {depth: 10}
  wrn:
    depth: {int: [40, 10]}
    widen: 3
    block: {choice: ["B(3,3)", "B(4)"]}
    dropout: .nan
  resnext:
    depth: {choice: [20, 21]}
    cardinality: {int: [1, 32], log: true}
    bottleneck_width: {int: [4, 64], log: true}
  resnet:
    depth: 20
    depth: 26
training:
  lerning_rate: 1e-3
  learning_rate: {float: [0, 1e-1], log: true}
  batch_size: {float: [8, 64]}
fidelity: {max_epochs: 0, grace_period: 3}
constraints: {max_macs: 1e7, max_params: many}
baselines: [WRN-28-10, ResNeXt-29-8x64d, 3]
objective: test_accuracy
epochs: 1
""")
    expected = [
        (2, "families/wrm", "unknown family 'wrm': did you mean wrn"),
        (4, "families/wrn/depth", r"`low <= high` must hold, got \[40, 10\]"),
        (5, "families/wrn/widen", "unknown field 'widen': did you mean widen_factor"),
        (6, "families/wrn/block", r".*, got 'B\(4\)'"),
        (7, "families/wrn/dropout", "numbers must be finite, got nan"),
        (9, "families/resnext/depth", r"depth = 9n \+ 2.*got depth=21; nearest: 20, 29"),
        (14, "families/resnet/depth", "this key stands twice; first on line 13"),
        (16, "training/lerning_rate", "unknown field .* did you mean learning_rate"),
        (17, "training/learning_rate", "`low > 0` must hold with `log`"),
        (18, "training/batch_size", ", got 8.0"),
        (19, "fidelity/max_epochs", ", got 0"),
        (19, "fidelity/grace_period", "did you mean grace_period_epochs"),
        (20, "constraints/max_params", ", got 'many'"),
        (21, "baselines/2", "a baseline is a published name, got 3"),
        (22, "objective", ", got 'test_accuracy'"),
        (23, "epochs", "unknown field 'epochs'"),
    ]
    assert len(problems) == len(expected)
    for problem, (line, path, sentence) in zip(problems, expected, strict=True):
        assert re.match(rf"my\.yaml:{line}: {path}: .*{sentence}", problem), problem


@pytest.mark.parametrize(
    ("family", "place", "sentence"),
    [
        (
            "wrn: {depth: {choice: [17]}, widen_factor: 1}",
            "families/wrn",
            r"not valid: `depth = 6n \+ 4` must hold .* got depth=17; nearest: 16, 22",
        ),
        (
            "wrn: {depth: {choice: [17, 18]}, widen_factor: {choice: [1, 2]}}",
            "families/wrn",
            r"4 of 4 combinations are not valid",
        ),
        (
            "wrn: {depth: {int: [10, 40]}, widen_factor: {choice: [1, 2]}}",
            "families/wrn/depth",
            "50 of 62 combinations are not valid: .* valid in this range: 10, 16, 22, 28, 34, 40",
        ),
        (
            "wrn: {depth: 16, widen_factor: {float: [1, 4]}}",
            "families/wrn/widen_factor",
            "`16 · widen_factor` must be a whole number",
        ),
        (
            "resnet: {depth: {choice: [20, 29]}, block: {choice: [basic, bottleneck]}}",
            "families/resnet",
            r"1 of 4 combinations are not valid: `depth = 6n \+ 2`.*basic",
        ),
        (
            "resnet: {depth: {int: [20, 2000], step: 6}, block: {choice: [basic, bottleneck]}}",
            "families/resnet",
            r"220 of 662 combinations are not valid: `depth = 9n \+ 2`",
        ),
        (
            "densenet: {depth: {int: [10, 100], step: 3}, growth_rate: 12, "
            "bottleneck: {choice: [true, false]}}",
            "families/densenet",
            r"depth = 6n \+ 4",
        ),
        ("densenet: {depth: 40, growth_rate: 12, compression: 0}", "", "compression: .*, got 0"),
        ("wrn: {widen_factor: 2}", "families/wrn", "`depth` is required and not given"),
        ("wrn: {depth: 10, widen_factor: 2, family: resnet}", "", "unknown field 'family'"),
        ("wrn: {depth: '10', widen_factor: 2}", "", "depth: .*, got '10'"),
        ("wrn: {depth: true, widen_factor: 2}", "", "depth: .*, got True"),
        ("wrn: {depth: 10.0, widen_factor: 2}", "", "depth: .*, got 10.0"),
        ("wrn: {depth: 10, widen_factor: 2, dropout: 1}", "", "dropout: .*, got 1"),
        (
            "wrn: {depth: 10, widen_factor: 2, dropout: {int: [0, 0]}}",
            "families/wrn/dropout",
            r"takes real numbers: write \{float: \[0, 0\]\}",
        ),
        ("wrn: 3", "families/wrn", "field: parameter pairs, got 3"),
        ("wrn:", "families/wrn", r"field: parameter pairs, got nothing \(null\)"),
    ],
)
def test_a_family_with_members_that_cannot_be_is_refused(
    family: str, place: str, sentence: str
) -> None:
    problem = only_problem_of(f"families:\n  {family}\nfidelity: {{max_epochs: 3}}\n")
    assert re.search(rf"my\.yaml:2: {place}.*{sentence}", problem), problem


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "my.yaml:1: the file is empty"),
        ("# a comment\n", "the file is empty"),
        ("- 1\n", "a space is a mapping, got a list of 1"),
        ("hello\n", "a space is a mapping, got 'hello'"),
        ("a: b: c\n", "my.yaml:1: not YAML"),
        ("a: [1\n", "not YAML"),
        ("a:\n\t- 1\n", "my.yaml:2: not YAML"),
        (SOUND + "---\na: 1\n", "my.yaml:4: a second document begins here"),
        ("a: &x 1\nb: *x\n", "my.yaml:1: anchors and aliases"),
        ("a: 1\nb: *x\n", "my.yaml:2: anchors and aliases"),
        ("a: !!python/object/apply:os.system [ls]\n", "my.yaml:1: tags"),
        ("a: !mine 1\n", "tags"),
        ("a: !!int 1\n", "tags"),
        ("[" * 50_000, "nested more than 16 levels"),
        ("{" * 50_000, "nested more than 16 levels"),
        ("a: " + "{b: " * 50_000, "nested more than 16 levels"),
        ("- " * 50_000, "nested more than 16 levels"),
        ("a: [" + "1, " * 30_000 + "1]\n", "more than 20,000 values"),
        (b"a: \xff\n", "my.yaml:1: not UTF-8 text"),
        ("ok: 1\nname: x\n".encode("utf-16"), "not UTF-8 text"),
        (b"a: 1\nb: \x00\n", "not YAML"),
        ("a: \x1b[31mred\n", "not YAML"),
        (b"#" * (MAX_BYTES + 1), "more than 1,000,000 bytes"),
        (b"#" * 10_000_000, "more than 1,000,000 bytes"),
    ],
    ids=range(24),
)
def test_a_file_that_is_no_plain_data_is_refused_in_one_line(
    text: str | bytes, sentence: str
) -> None:
    assert sentence in only_problem_of(text)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("1: 2", "my.yaml:4: 1: a key must be text"),
        ("true: 2", "a key must be text"),
        ("? [a, b]\n: 2", "a key must be text"),
        ("training: []", "training: expected field: parameter pairs, got an empty list"),
        ("constraints: none", "constraints: expected a mapping, got 'none'"),
        ("constraints: {max_macs: 0}", "constraints/max_macs: .*, got 0"),
        ("constraints: {max_macs: .inf}", "got inf"),
        ("constraints: {max_flops: 1}", "did you mean max_macs|known: max_macs"),
        ("baselines: WRN-16-1", "expected a list of names, got 'WRN-16-1'"),
        ("baselines: [WRN-17-1]", r"baselines/0: .*depth = 6n \+ 4"),
        ("baselines: [WRN-16-4]", r"widen_factor is 4, outside \{choice: \[1, 2\]\}; widen"),
        ("baselines: [ResNet-20]", "of family resnet, not in the space: known: wrn"),
        ("baselines: [WRN-16-1, wrn-16-1]", "baselines/1: WRN-16-1 is listed twice"),
        ("baselines: [WRN-99]", "unknown network 'WRN-99'"),
        ("baselines: [WRN-16-1-B(3]", "lacks a bracket: put names with a comma in quotes"),
        ("objective: null", r"got nothing \(null\)"),
        ("name: a/b", "name: .*got 'a/b'"),
        ("description: 3", "description: .*, got 3"),
    ],
)
def test_a_broken_part_is_told_alone(line: str, sentence: str) -> None:
    assert re.search(sentence, only_problem_of(f"{SOUND}{line}\n"))


def test_hostile_keys_are_shown_escaped_and_short() -> None:
    problem = only_problem_of(SOUND + '"\\e[31m' + "x" * 500 + '": 1\n')
    assert "\x1b" not in problem
    assert len(problem) < 600


def test_very_many_problems_are_cut_short() -> None:
    problems = problems_of(SOUND + "".join(f"key{i}: 1\n" for i in range(500)))
    assert problems[-1] == "… and 460 more"
    assert len(problems) == 41


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1E6", 1e6),
        ("-2.5e+3", -2500.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("1_000_000", 1_000_000),
        ("-3", -3),
        ("0", 0),
        ("true", True),
        ("~", None),
        ("", None),
        ("yes", "yes"),
        ("no", "no"),
        ("1:30", "1:30"),
        ("010", "010"),
        ("0x10", "0x10"),
        ("2020-01-01", "2020-01-01"),
        ("1e", "1e"),
        ("_1", "_1"),
        ("9" * 31, "9" * 31),
    ],
)
def test_plain_values_follow_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    read = plain_value(text)
    assert read == value
    assert type(read) is type(value)


def test_numbers_with_exponents_are_numbers() -> None:
    text = (
        SOUND + "training: {learning_rate: {float: [1e-3, 1e-1], log: true}, weight_decay: 1e-4}"
    )
    space = parse_space(text.encode(), source="my.yaml")
    assert space.training["learning_rate"] == FloatRange(low=1e-3, high=1e-1, log=True)
    assert space.training["weight_decay"] == Constant(value=1e-4)


def test_lines_are_those_of_keys_and_items() -> None:
    tree = read_yaml(b"a:\n  - 1\n\n  - b: 2\nc: 3\n")
    assert tree.data == {"a": [1, {"b": 2}], "c": 3}
    places = [("a",), ("a", 0), ("a", 1), ("a", 1, "b"), ("c",)]
    assert [tree.line_of(place) for place in places] == [1, 2, 4, 4, 5]
    assert tree.line_of(("a", 1, "not", "there")) == 4


def test_a_file_of_ones_own_is_named_after_itself(tmp_path: Path) -> None:
    path = tmp_path / "my space!.yaml"
    path.write_text(SOUND)
    assert load_space(path).name == "my-space"
    assert load_space(str(path)) == load_space(path)
    assert space_text(path) == SOUND
    path.write_text(SOUND + "name: mine\n")
    assert load_space(path).name == "mine"


def test_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_text(SOUND, encoding="utf-8-sig")
    assert load_space(path).fidelity.max_epochs == 9


def test_a_bare_name_may_be_a_file_in_this_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine").write_text(SOUND)
    assert load_space("mine").name == "mine"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("wrn_vs_resnet", "unknown space 'wrn_vs_resnet': did you mean wrn_vs_resnext"),
        ("", "known: all_families"),
        ("nope.yaml", "space file 'nope.yaml': there is no such file; or by name"),
        ("/nope/wrn_vs_resnext", "did you mean wrn_vs_resnext"),
        (".", "not a file"),
        ("/dev/zero", "not a file"),
        ("a\0b", "unknown space"),
        ("x" * 10_000, "unknown space 'xxx"),
        ("../wrn_vs_resnext", "no such file"),
    ],
)
def test_a_space_that_is_not_there_is_refused_with_near_names(given: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=re.escape(sentence)) as caught:
        load_space(given)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_shown_text_is_text(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not UTF-8"):
        space_text(path)


@pytest.mark.parametrize("name", shipped_spaces())
def test_a_written_space_reads_back_equal(name: str) -> None:
    space = load_space(name)
    again = parse_space(write_space(space).encode(), source="again", name="elsewhere")
    assert again == space
    assert again.digest == space.digest
    suggest = [s.suggest(UniformSuggester(random.Random(1))) for s in (space, again)]
    assert suggest[0] == suggest[1]


@given(description=st.text(st.characters(codec="utf-8"), max_size=60))
def test_any_description_reads_back_equal(description: str) -> None:
    raw = {
        "description": description,
        "families": {"resnet": {"depth": 8}},
        "fidelity": {"max_epochs": 1},
    }
    space = SearchSpace.model_validate(raw)
    assert parse_space(write_space(space).encode(), source="again") == space


def test_yaml_errors_carry_their_line() -> None:
    with pytest.raises(YamlError) as caught:
        read_yaml(b"a: 1\nb: [\n")
    assert caught.value.line >= 2
