"""Installed as a wheel and called from another folder, commands and shipped spaces work too."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from archsearch.spaces.load import shipped_spaces
from tests.cli_support import environment

REPOSITORY = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the sources as they are; building takes hatchling from pip's index."""
    folder = tmp_path_factory.mktemp("dist")
    _pip("wheel", "--no-deps", "--wheel-dir", folder, REPOSITORY)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment with that wheel; what it needs is taken from our environment.

    A path file in another environment's packages is not followed, so our own installation, which
    points to the sources, cannot be seen there.
    """
    root = tmp_path_factory.mktemp("installed") / "env"
    venv.create(root, with_pip=False, symlinks=True)
    (packages,) = root.glob("lib/python*/site-packages")
    _pip("install", "--no-deps", "--target", packages, wheel)
    ours = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (packages / "needed.pth").write_text("\n".join(sorted(ours)))
    return root / "bin" / "python"


def _pip(*words: object) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", *map(str, words)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def _run(python: Path, *words: object, cwd: Path) -> str:
    done = subprocess.run(
        [str(python), *map(str, words)],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_every_source_and_every_space_and_nothing_else(wheel: Path) -> None:
    def files(root: Path, pattern: str) -> set[str]:
        found = root.rglob(pattern)
        return {path.relative_to(root.parent).as_posix() for path in found}

    expected = files(REPOSITORY / "src" / "archsearch", "*.py")
    page = REPOSITORY / "src" / "archsearch" / "report" / "page"
    shipped = [path for path in page.iterdir() if path.suffix in (".j2", ".css", ".js")]
    expected |= {path.relative_to(REPOSITORY / "src").as_posix() for path in shipped}
    expected |= files(REPOSITORY / "pipeline", "*.py")
    expected |= files(REPOSITORY / "search_spaces", "*.yaml")
    with zipfile.ZipFile(wheel) as archive:
        assert {name for name in archive.namelist() if ".dist-info/" not in name} == expected


def test_commands_work_from_another_folder(python: Path, tmp_path: Path) -> None:
    where = "import archsearch, pipeline; print(*archsearch.__path__, *pipeline.__path__)"
    assert str(REPOSITORY) not in _run(python, "-c", where, cwd=tmp_path)
    listed = json.loads(_run(python, "-m", "pipeline.spaces", "list", "--json", cwd=tmp_path))
    assert [space["name"] for space in listed] == list(shipped_spaces())
    shown = _run(python, "-m", "pipeline.spaces", "show", "smoke", cwd=tmp_path)
    assert shown == (REPOSITORY / "search_spaces" / "smoke.yaml").read_text()
    assert not list(tmp_path.iterdir())


def test_a_search_runs_from_another_folder(python: Path, tmp_path: Path) -> None:
    search = (
        "-m",
        "pipeline.search",
        "--space",
        "smoke",
        "--trials",
        1,
        "--confirm",
        "none",
        "--name",
        "first",
    )
    assert "WRN-10-1" in _run(python, *search, "--quiet", cwd=tmp_path)
    told = json.loads(_run(python, "-m", "pipeline.status", "first", "--json", cwd=tmp_path))
    assert [trial["outcome"] for trial in told["trials"]] == ["completed"]
