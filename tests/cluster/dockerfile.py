"""Reads the Dockerfile, and runs its instructions without Docker.

A stage's `RUN`s run as root of a sandbox whose system folders are this machine's, read-only, and
of which the folders in `OWN` are the stage's.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dockerfile_parse.parser import DockerfileParser

from tests.cluster.hosts import parents_of

OWN = ("build", "etc", "opt", "srv", "tmp", "var")
"""Folders at the root that belong to a stage; all others are this machine's."""


@dataclass(frozen=True)
class Stage:
    """One stage, from its `FROM` to the next.

    Attributes:
        image: What it starts from.
        name: As what later stages know it; empty if they do not.
        instructions: What follows, in order: the word and its value.
    """

    image: str
    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def values(self, word: str) -> Iterator[str]:
        """The values of all instructions with a word."""
        return (value for known, value in self.instructions if known == word)

    @property
    def environment(self) -> dict[str, str]:
        """What its `ENV`s set."""
        settings = (shlex.split(value) for value in self.values("ENV"))
        return dict(setting.split("=", 1) for words in settings for setting in words)


def read_dockerfile(path: Path) -> list[Stage]:
    """The stages of a Dockerfile."""
    parser = DockerfileParser(str(path), env_replace=False)  # type: ignore[no-untyped-call]
    stages: list[Stage] = []
    for part in parser.structure:
        word, value = part["instruction"], part["value"]
        if word == "FROM":
            image, _, name = value.partition(" AS ")
            stages.append(Stage(image, name))
        elif word != "COMMENT" and stages:
            stages[-1].instructions.append((word, value))
    return stages


@dataclass
class Build:
    """A build of an image in a folder of this machine.

    Args:
        context: The build's context.
        folder: Where stages are made, a folder each.
        arguments: `--build-arg`s.
    """

    context: Path
    folder: Path
    arguments: Mapping[str, str]

    def run(self, stage: Stage) -> Path:
        """Run a stage's instructions; its root.

        Raises:
            subprocess.CalledProcessError: A `RUN` fails.
        """
        root = self.folder / (stage.name or "image")
        for name in OWN:
            (root / name).mkdir(parents=True)
        (root / "tmp").chmod(0o1777)
        shutil.copytree("/etc", root / "etc", symlinks=True, dirs_exist_ok=True)
        shell, where, environment = ["/bin/sh", "-c"], "/", dict[str, str]()
        for word, value in stage.instructions:
            match word:
                case "SHELL":
                    shell = json.loads(value)
                case "ARG":
                    name, _, default = value.partition("=")
                    environment[name] = self.arguments.get(name, default)
                case "ENV":
                    settings = (setting.split("=", 1) for setting in shlex.split(value))
                    environment |= dict(settings)
                case "WORKDIR":
                    where = value
                    (root / where[1:]).mkdir(parents=True, exist_ok=True)
                case "COPY":
                    self._copy(value, root, where)
                case "RUN":
                    self.call(root, [*shell, value], where, environment)
        return root

    def call(
        self, root: Path, command: list[str], where: str, environment: Mapping[str, str]
    ) -> str:
        """Run a command in a stage; what it prints.

        Raises:
            subprocess.CalledProcessError: It fails.
        """
        done = subprocess.run(
            [*self._sandbox(root, where), *command],
            env={**_of_this_machine(), **environment},
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            print(done.stdout[-4000:], done.stderr[-4000:])
        done.check_returncode()
        return done.stdout

    def _copy(self, value: str, root: Path, where: str) -> None:
        words = shlex.split(value)
        source, is_ours = self.context, False
        if words[0].startswith("--from="):
            source = self.folder / words.pop(0).removeprefix("--from=")
            is_ours = True
        *names, target = words
        path = root / (Path(where) / target).relative_to("/")
        for name in names:
            found = source / name.lstrip("/")
            if found.is_dir():
                # Of another stage: gigabytes, which nothing changes.
                copy = os.link if is_ours else shutil.copy2
                shutil.copytree(found, path, symlinks=True, dirs_exist_ok=True, copy_function=copy)
            else:
                path.mkdir(parents=True, exist_ok=True)
                shutil.copy2(found, path)

    @staticmethod
    def _sandbox(root: Path, where: str) -> list[str]:
        words = ["bwrap", "--die-with-parent", "--unshare-pid", "--proc", "/proc", "--dev", "/dev"]
        for name in ("usr", "bin", "sbin", "lib", "lib64"):
            path = Path("/") / name
            link = ["--symlink", str(path.readlink())] if path.is_symlink() else []
            words += [*(link or ["--ro-bind", str(path)]), str(path)]
        for name in OWN:
            words += ["--bind", str(root / name), f"/{name}"]
        # This machine's own packages, and its Python where it is not the system's.
        here = [str(p) for p in Path("/opt").iterdir() if p.name != "archsearch"]
        here += [p for p in {sys.base_prefix} if not p.startswith("/usr")]
        for folder in parents_of([*here, "/image/python"]):
            words += ["--perms", "0755", "--dir", folder]
        for path_text in here:
            words += ["--ro-bind", path_text, path_text]
        python = str(Path(sys.base_prefix) / "bin" / "python3")
        words += ["--symlink", python, "/image/python", "--chdir", where]
        return [*words, "--"]


def _of_this_machine() -> dict[str, str]:
    """How this machine reaches its package registry, and a path with `python` in front."""
    kept = {
        n: v for n, v in os.environ.items() if n.startswith("PIP_") or n.endswith("_CERT_FILE")
    }
    kept["PIP_NO_COMPILE"] = "1"  # a minute, for nothing that is tested
    return {**kept, "PATH": "/image:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/var"}
