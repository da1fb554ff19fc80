"""The commands of README.md and docs/ run, their files parse, their links lead somewhere.

Quick: every command exists and takes its arguments, those of docker/README.md too. Slow: each
document's commands run in the order of the text, in one folder, as a reader would.

What documents may rely on: a block of yaml or python whose first line is a comment with a path is
that file; a block of language diff is a change of this repository, made in a copy of it.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
from PIL import Image

from archsearch.data import DATA_SETS
from archsearch.models import FAMILIES
from archsearch.spaces.load import parse_space
from tests.cli_support import TIMEOUT_SECONDS, environment, start_search, status
from tests.servers import answering

REPOSITORY = Path(__file__).parents[2]
DOCUMENTS = ("README.md", *sorted(f"docs/{path.name}" for path in REPOSITORY.glob("docs/*.md")))
LOOKED_AT = (*DOCUMENTS, "docker/README.md")
"""Documents whose commands are understood; those of the last need Docker to run."""
OURS = ("src", "pipeline", "search_spaces", "tests")

SHELL = {".", "cd", "export", "head", "source", "tee"}
OTHER_PROGRAMS = SHELL | {"curl", "docker", "git", "kubectl", "mlflow", "pip", "ray"}
"""What a document may call besides our own; not tried here."""

SOONER = {
    "pipeline.search": ("--trials=3", "--max-epochs=4", "--confirm=1x1"),
    "pipeline.train": ("--epochs=1",),
}
"""Said last, so that a document's long commands end within a minute, on less training."""

Words = tuple[str, ...]

every_document = pytest.mark.parametrize("document", DOCUMENTS)
every_text = pytest.mark.parametrize("document", LOOKED_AT)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language and its text."""

    language: str
    text: str

    @property
    def path(self) -> str | None:
        """The file that the block is, if its first line names one."""
        match = re.match(r"# (\S+\.(?:py|yaml))\n", self.text)
        return match[1] if match else None

    @property
    def content(self) -> str:
        """The file's content."""
        return self.text.partition("\n")[2]


def text_of(document: str) -> str:
    return (REPOSITORY / document).read_text()


def blocks(document: str, *languages: str) -> list[Block]:
    found = re.findall(r"^```(\w+)\n(.*?)^```$", text_of(document), flags=re.M | re.S)
    return [Block(*each) for each in found if not languages or each[0] in languages]


def commands(document: str) -> Iterator[Words]:
    """Every command of the shell blocks, then those named in the text."""
    for block in blocks(document, "sh", "bash"):
        yield from commands_of(block)
    prose = re.sub(r"^```.*?^```$", "", text_of(document), flags=re.M | re.S)
    for span in re.findall(r"`([^`\n]+)`", prose):
        if span.startswith(("make ", "python -m ")):
            yield tuple(shlex.split(span))


def commands_of(block: Block) -> Iterator[Words]:
    for line in block.text.replace("\\\n", " ").splitlines():
        yield from _simple_commands(shlex.split(line, comments=True))


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


EVERY_COMMAND = {
    f"{document}: {shlex.join(words)}": words
    for document in LOOKED_AT
    for words in sorted(set(commands(document)))
}


@pytest.mark.parametrize("words", EVERY_COMMAND.values(), ids=EVERY_COMMAND)
def test_every_command_exists_and_takes_its_arguments(words: Words) -> None:
    if words[:3] == ("ray", "job", "submit"):
        words = words[words.index("--") + 1 :]
        assert words[:2] == ("python", "-m")
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


def can_run(words: Words) -> bool:
    """Whether a command needs nothing that is not there, and ends."""
    match words:
        case ("python", "-m", "pipeline.control", *_):
            return False  # below, on a search that runs
        case ("python", "-m", module, *arguments):
            is_ours = module.partition(".")[0] in ("pipeline", "pytest")
            return is_ours and not any(map(is_readers_own, arguments))
        case ("mlflow", "models", "serve", *_):
            return True
        case _:
            return False


def as_a_reader(words: Words, folder: Path, search: str | None) -> Words:
    """The command with the reader's own: the search that the document has made, and an image."""
    own = {} if search is None else {"NAME": search, "SEARCH": search}
    if "IMAGE.png" in words:
        Image.new("L", (8, 8), 128).save(folder / "IMAGE.png")
        own["IMAGE.png"] = "./IMAGE.png"
    if "--trial" in words:  # the reader's search has more trials than ours
        own[words[words.index("--trial") + 1]] = "0"
    return tuple(own.get(word, word) for word in words)


def name_of(words: Words) -> str | None:
    """The search that a command makes, where it names it."""
    return words[words.index("--name") + 1] if "--name" in words else None


def is_readers_own(word: str) -> bool:
    """Whether a word stands for the reader's own: NAME, IMAGE.png, HEAD:6379, /shared/runs."""
    return bool(re.match(r"[A-Z_]+(?![\w-])|/", word))


def needs_a_download(words: Words) -> bool:
    return any(DATA_SETS[word].layouts for word in words if word in DATA_SETS)


def run(words: Words, folder: Path, home: Path) -> None:
    """Run a command: in less time than the text would take, a server until it answers."""
    if words[0] == "mlflow" or words[2] == "pipeline.ui":
        ours, path = [sys.executable, *words[1:]], "/health"
        if words[0] == "mlflow":
            ours, path = [sys.executable, "-m", *words], "/ping"
        store = "sqlite:///runs/mlflow/mlflow.db"
        with answering(ours, path, folder / "server.log", folder, MLFLOW_TRACKING_URI=store):
            return
    _, _, module, *arguments = words
    if "smoke" not in arguments:
        arguments += SOONER.get(module, ())
    paths = os.pathsep.join(map(str, (home / "src", home)))
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=home if module == "pytest" else folder,
        env=environment(PYTHONPATH=paths),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )
    # The reader's champion need not be beaten, and there may be none before it.
    fine = (0, 5) if module == "pipeline.promote" else (0,)
    assert done.returncode in fine, (words, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr, (words, done.stderr)


def run_python(block: Block, folder: Path) -> None:
    """Run Python lines of a document; `images` is what they say it is."""
    given = "import numpy\nimages = numpy.zeros((2, 1, 8, 8), dtype=numpy.float32)\n"
    done = subprocess.run(
        [sys.executable, "-c", given + block.text],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def repository_with_changes(document: str, folder: Path) -> Path:
    """This repository, or a copy with the changes that a document makes to it."""
    changes = blocks(document, "diff")
    if not changes:
        return REPOSITORY
    copy = folder / "repository"
    for name in OURS:
        shutil.copytree(
            REPOSITORY / name, copy / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(REPOSITORY / "pyproject.toml", copy)
    for change in changes:
        done = subprocess.run(
            ["git", "apply", "--recount", "-"],
            cwd=copy,
            env=environment(GIT_CEILING_DIRECTORIES=str(folder)),
            input=change.text,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, (document, done.stderr)
    return copy


def run_document(document: str, folder: Path) -> set[str]:
    """Do what a reader of the document does; the modules that were run."""
    home = repository_with_changes(document, folder)
    ran: set[str] = set()
    later: list[Block] = []
    search = None
    for block in blocks(document):
        match block.language:
            case "yaml" | "python" if block.path:
                place = home if block.path.startswith(OURS) else folder
                (place / block.path).write_text(block.content)
            case "python" if document == "README.md":
                later.append(block)  # they stand before the commands whose results they use
            case "python":
                run_python(block, folder)
            case "sh" | "bash":
                for each in commands_of(block):
                    words = as_a_reader(each, folder, search)
                    if not can_run(words) or needs_a_download(words):
                        continue
                    run(words, folder, home)
                    search = name_of(words) or search
                    ran.add(words[2])
    for block in later:
        run_python(block, folder)
    return ran


@pytest.mark.slow
@every_document
def test_the_commands_of_a_document_work_in_the_order_of_the_text(
    document: str, tmp_path: Path
) -> None:
    ran = run_document(document, tmp_path)
    shown = (words for block in blocks(document, "sh", "bash") for words in commands_of(block))
    assert ran or not any(map(can_run, shown))


@pytest.mark.slow
def test_the_readme_takes_a_reader_from_a_search_to_a_model_in_use(tmp_path: Path) -> None:
    """Its cheap commands and the lines of Python after them."""
    ran, search = set(), None
    for block in blocks("README.md", "sh"):
        for each in commands_of(block):
            words = as_a_reader(each, tmp_path, search)
            is_cheap = can_run(words) and (words[2] != "pipeline.search" or "smoke" in words)
            if is_cheap and words[2] not in ("pipeline.train", "pipeline.export"):
                run(words, tmp_path, REPOSITORY)
                search = name_of(words) or search
                ran.add(words[2])
    used = {"pipeline.search", "pipeline.status", "pipeline.promote", "pipeline.predict"}
    assert used <= ran
    for block in blocks("README.md", "python"):
        run_python(block, tmp_path)


@pytest.mark.slow
def test_a_running_search_obeys_the_commands_of_the_readme(tmp_path: Path) -> None:
    search = ("--space", "smoke", "--trials", 4, "--max-epochs", 100_000, "--name", "first")
    shown = [words for words in commands("README.md") if "pipeline.control" in words]
    assert [words[-1] for words in shown] == ["pause", "unpause", "stop", "cancel"]
    with start_search(*search, cwd=tmp_path) as running:
        running.wait_for("epoch_finished")
        for words in shown:
            run(words, tmp_path, REPOSITORY)
        code, errors = running.end()
    assert (code, errors) == (4, "")  # no trial was trained to its end
    assert status(tmp_path, "first")["ending"] == "cancelled by `pipeline.control`"


@every_text
def test_spaces_python_and_json_in_the_text_are_valid(document: str) -> None:
    changes = "".join(block.text for block in blocks(document, "diff"))
    for block in blocks(document, "yaml"):
        new = set(re.findall(r"^  (\w+):$", block.text, flags=re.M)) - FAMILIES.keys()
        if "families:" in block.text and not any(f'"{name}": ' in changes for name in new):
            parse_space(block.text.encode(), source=document)
    for block in blocks(document, "json"):
        json.loads(block.text)
    for block in blocks(document, "python"):
        compile(block.text, document, "exec")


def anchors(document: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text_of(document), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", each).strip().lower().replace(" ", "-") for each in headings}


@every_text
def test_links_lead_somewhere(document: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(document)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        found = (REPOSITORY / document).parent / path if path else REPOSITORY / document
        assert found.exists(), target
        if anchor:
            assert anchor in anchors(str(found.resolve().relative_to(REPOSITORY))), target


@every_text
def test_nothing_was_left_to_be_filled_in(document: str) -> None:
    assert not re.search(r"@@|TODO|FIXME|XXX|^…$", without_diffs(document), flags=re.M)


def without_diffs(document: str) -> str:
    """A diff has its own @@, and a cut output its own ellipsis."""
    return re.sub(r"^```(?:diff|text)\n.*?^```$", "", text_of(document), flags=re.M | re.S)


def test_the_threat_model_names_tests_that_are_there() -> None:
    """A name without a folder is in the one that the page says."""
    named = re.findall(r"`([\w/]*test_\w+\.py)`", text_of("docs/threat-model.md"))
    assert len(named) > 10
    for name in named:
        path = name if "/" in name else f"tests/integration/{name}"
        assert (REPOSITORY / path).is_file(), name


def test_every_guide_is_listed() -> None:
    listed = re.findall(r"\]\(([^)#\s]+\.md)\)", text_of("docs/README.md"))
    assert sorted(f"docs/{name}" for name in listed) == sorted(
        set(DOCUMENTS[1:]) - {"docs/README.md"}
    )
