"""The README's commands run, its files parse, its links lead somewhere."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer

from archsearch.spaces.load import parse_space
from tests.cli_support import call, environment

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text()

SHELL = {".", "cd", "head", "source", "tee"}
OTHER_PROGRAMS = SHELL | {"curl", "docker", "git", "kubectl", "mlflow", "pip", "ray"}
"""What a README may call besides our own; not tried here."""

Words = tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """A fenced block: its language and its text."""

    language: str
    text: str


def blocks(*languages: str) -> list[Block]:
    found = re.findall(r"^```(\w+)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
    return [Block(*each) for each in found if each[0] in languages]


def commands() -> Iterator[Words]:
    """Every command of the shell blocks, then those named in the text."""
    for block in blocks("sh", "bash"):
        for line in block.text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            yield from _simple_commands(words)
    prose = re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL)
    for span in re.findall(r"`([^`\n]+)`", prose):
        if span.startswith(("make ", "python -m ")):
            yield tuple(shlex.split(span))


def _simple_commands(words: list[str]) -> Iterator[Words]:
    """A line's commands, without the variables set before them and the pipes between."""
    command: list[str] = []
    for word in [*words, ";"]:
        if word in (";", "|", "&&", "||", "&"):
            if command:
                yield tuple(command)
            command = []
        elif command or "=" not in word:
            is_ours = not command and word.endswith(("/python", "python3"))
            command.append("python" if is_ours else word)


def check_pipeline(words: Words) -> None:
    """`-m pipeline.COMMAND ARGUMENTS` is a command that takes these; it is not run."""
    command, *arguments = words
    if command == "pipeline":
        assert not arguments
        return
    module = importlib.import_module(command)
    parsed = typer.main.get_command(module.app)
    if hasattr(parsed, "commands"):  # spaces list, spaces show, …
        assert arguments[0] in parsed.commands, words
        parsed, arguments = parsed.commands[arguments[0]], arguments[1:]
    if arguments != ["--help"]:
        # An argument in capitals stands for the reader's own.
        parsed.make_context(command, [word for word in arguments if word != "…"])


def check_make(words: Words) -> None:
    """The target exists, and what it would run does too."""
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", *words[1:]],
        cwd=REPOSITORY,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        _, found, arguments = line.partition("-m pipeline.")
        if found:
            check_pipeline(tuple(shlex.split(f"pipeline.{arguments}")))


@pytest.mark.parametrize("words", sorted(set(commands())), ids=shlex.join)
def test_every_command_exists_and_takes_its_arguments(words: Words) -> None:
    match words:
        case ("make", *_):
            check_make(words)
        case ("python", "-m", module, *_) if module.partition(".")[0] == "pipeline":
            check_pipeline(words[2:])
        case ("python", "-m", module, *_):
            assert importlib.util.find_spec(module) is not None
        case ("python", script, *_):
            assert (REPOSITORY / script).is_file()
        case (program, *_):
            assert program in OTHER_PROGRAMS


def is_quick(words: Words) -> bool:
    """Whether a command ends within a minute and needs nothing that is not there."""
    match words:
        case ("python", "-m", "pipeline.search", *_):
            return "smoke" in words
        case ("python", "-m", "pipeline.ui" | "pipeline.train" | "pipeline.control", *_):
            return False
        case ("python", "-m", module, *arguments):
            return module.startswith("pipeline.") and not any(a.isupper() for a in arguments)
        case _:
            return False


def test_quick_commands_and_what_follows_them_work_in_the_order_of_the_text(
    tmp_path: Path,
) -> None:
    """One folder for all, as a reader has; Python's lines find there what the commands made."""
    quick = [words for words in dict.fromkeys(commands()) if is_quick(words)]
    ran = {words[2] for words in quick}
    assert {"pipeline.search", "pipeline.status", "pipeline.promote"} <= ran
    for _, _, module, *arguments in quick:
        done = call(module.removeprefix("pipeline."), *arguments, cwd=tmp_path)
        assert done.returncode == 0, (module, arguments, done.stdout, done.stderr)
    given = "import numpy\nimages = numpy.zeros((2, 1, 8, 8), dtype=numpy.float32)\n"
    for block in blocks("python"):
        program = [sys.executable, "-c", given + block.text]
        ended = subprocess.run(
            program, cwd=tmp_path, env=environment(), capture_output=True, text=True
        )
        assert ended.returncode == 0, ended.stderr


def test_spaces_and_json_in_the_text_are_valid() -> None:
    for block in blocks("yaml"):
        if "families:" in block.text:
            parse_space(block.text.encode(), source="README.md")
    for block in blocks("json"):
        json.loads(block.text)


def test_links_lead_somewhere() -> None:
    headings = re.findall(r"^#+ (.+)$", README, flags=re.MULTILINE)
    anchors = {
        re.sub(r"[^\w\- ]", "", each).strip().lower().replace(" ", "-") for each in headings
    }
    for target in re.findall(r"\]\(([^)\s]+)\)", README):
        if target.startswith("#"):
            assert target[1:] in anchors, target
        elif "://" not in target:
            assert (REPOSITORY / target.partition("#")[0]).exists(), target


def test_nothing_was_left_to_be_filled_in() -> None:
    assert not re.search(r"@@|TODO|FIXME|XXX", README)
