"""`make upgrade`: writes down every version that is installed, from the ranges of pyproject.toml.

constraints.txt is the one source: each package of the project, its extras, the tests and the
build, once, for all supported Pythons. The images' lists in docker/requirements/ are made under
it, with hashes. PyTorch is held by docker/requirements/torch.in.

    .ci/lock.py            keeps versions that are still allowed
    .ci/lock.py --upgrade  takes the newest that are allowed, and raises Ray's bound
    .ci/lock.py --check    changes nothing; fails where a file is out of step
"""

from __future__ import annotations

import argparse
import difflib
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import uv
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PYPROJECT = ROOT / "pyproject.toml"
_INPUTS = ROOT / "docker" / "requirements"
_CONSTRAINTS = "constraints.txt"
_IMAGES = Path("docker", "requirements")
_WRITTEN = (_CONSTRAINTS, *(str(_IMAGES / name) for name in ("build.txt", "cpu.txt", "cuda.txt")))
_HEADER = """\
# Every version that is installed here and tested, for Python {first} to {last}.
# Written by `make upgrade` (.ci/lock.py); the images' lists in docker/requirements/ follow it.
"""
_QUIETLY = ("--quiet", "--no-annotate", "--no-header")
_RAY_BOUND = re.compile(r'(?<="ray\[tune\])(?P<least>>=[^",]+),<(?P<bound>[0-9.]+)(?=")')


def raise_ray_bound(pyproject: str, newest: str) -> str:
    """The text of a pyproject.toml that allows the newest Ray, but not the next minor one.

    Args:
        pyproject: The text as it is.
        newest: The newest release of Ray.

    Raises:
        ValueError: It has no bound of `ray[tune]` that could be raised.
    """
    found = _RAY_BOUND.search(pyproject)
    if found is None:
        raise ValueError("pyproject.toml must bound Ray as in 'ray[tune]>=2.56,<2.61'")
    version = Version(newest)
    after = f"{version.major}.{version.minor + 1}"
    if Version(after) <= Version(found["bound"]):
        return pyproject
    return _RAY_BOUND.sub(rf"\g<least>,<{after}", pyproject)


def write_lists(folder: Path, upgrade: bool = False) -> None:
    """Write all lists below a folder; versions in what lies there are kept where they may be.

    Raises:
        subprocess.CalledProcessError: No versions fit together, or a Python has no wheel of one.
    """
    constraints = folder / _CONSTRAINTS
    everything = [str(PYPROJECT), "-", "--all-extras", "--group", f"{PYPROJECT}:dev"]
    _compile(
        *("--universal", "--python-version", PYTHONS[0], "--fork-strategy", "fewest"),
        *(*everything, "--constraints", str(_INPUTS / "torch.in")),
        *(["--upgrade"] if upgrade else []),
        to=constraints,
    )
    header = _HEADER.format(first=PYTHONS[0], last=PYTHONS[-1])
    constraints.write_text(header + constraints.read_text())
    under = ("--constraints", str(constraints))
    for python in PYTHONS:
        _compile(*everything, *_on_linux(python), *under, "--only-binary", ":all:")
    image = ("--generate-hashes", *_on_linux(PYTHONS[0]), *under)
    project = (str(PYPROJECT), "--extra", "cluster")
    without_cuda = ("--excludes", str(_INPUTS / "no-cuda.in"))
    torch_elsewhere = ("--no-emit-package", "torch", "--no-emit-package", "torchvision")
    images = folder / _IMAGES
    _compile(*project, *image, to=images / "cuda.txt")
    _compile(*project, *image, *without_cuda, *torch_elsewhere, to=images / "cpu.txt")
    _compile("-", *image, to=images / "build.txt")


def _on_linux(python: str) -> tuple[str, ...]:
    return ("--python-version", python, "--python-platform", "x86_64-unknown-linux-gnu")


def _compile(*words: str, to: Path | None = None) -> str:
    """Resolve requirements, of which `-` is what builds this project; what was resolved."""
    built_by = tomllib.loads(PYPROJECT.read_text())["build-system"]["requires"]
    output = [] if to is None else ["--output-file", str(to)]
    python = ["--python", sys.executable]  # or uv looks for one of each version, for long
    done = subprocess.run(
        [uv.find_uv_bin(), "pip", "compile", *_QUIETLY, *python, *words, *output],
        input="\n".join(built_by),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


def newest_release(package: str) -> str:
    """The newest release of a package."""
    with tempfile.NamedTemporaryFile("w", suffix=".in") as asked:
        asked.write(package)
        asked.flush()
        line = _compile(asked.name, "--no-deps", *_on_linux(PYTHONS[0]))
    return line.strip().partition("==")[2]


def out_of_step() -> str:
    """How the lists differ from what they would be; empty if they do not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in _WRITTEN:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / path).exists():
                shutil.copy(ROOT / path, folder / path)
        write_lists(folder)
        return "".join(
            line
            for path in _WRITTEN
            for line in difflib.unified_diff(
                _lines(ROOT / path), _lines(folder / path), f"{path} (committed)", path
            )
        )


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines(keepends=True) if path.exists() else []


def main() -> int:
    """Write or check; 1 if something is out of step or cannot be resolved."""
    parser = argparse.ArgumentParser(usage="%(prog)s [--upgrade | --check]")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--upgrade", action="store_true", help="take the newest that are allowed")
    mode.add_argument("--check", action="store_true", help="change nothing, only compare")
    chosen = parser.parse_args()
    try:
        if chosen.check:
            if difference := out_of_step():
                print(difference)
                print("error: versions are out of step: run .ci/lock.py", file=sys.stderr)
                return 1
            return 0
        if chosen.upgrade:
            raised = raise_ray_bound(PYPROJECT.read_text(), newest_release("ray"))
            PYPROJECT.write_text(raised)
        write_lists(ROOT, upgrade=chosen.upgrade)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError:
        return 1  # uv has said why
    return 0


if __name__ == "__main__":
    sys.exit(main())
