"""The Dockerfile's own instructions make an environment that works, from locked packages alone."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.cluster.container import REPOSITORY
from tests.cluster.dockerfile import Build, Stage, read_dockerfile
from tests.cluster.stack import why_not_here
from tests.requirements import skip_or_fail

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

DOCKERFILE = REPOSITORY / "docker" / "Dockerfile"


@dataclass(frozen=True)
class Built:
    """The image, as a folder."""

    build: Build
    stage: Stage
    root: Path

    def run(self, *command: str) -> str:
        """Run a command as a container of the image does: its entry point, its user."""
        (user,), (entrypoint,), (where,) = map(
            self.stage.values, ("USER", "ENTRYPOINT", "WORKDIR")
        )
        uid, gid = user.split(":")
        drop = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--no-new-privs"]
        words = [*drop, "--bounding-set=-all", *json.loads(entrypoint), *command]
        return self.build.call(self.root, words, where, self.stage.environment)


@pytest.fixture(scope="module")
def built() -> Iterator[Built]:
    """The variant with CUDA: PyTorch without it is on an index that CI does not reach."""
    reason = why_not_here()
    if reason is not None:
        skip_or_fail(reason)
    with TemporaryDirectory(prefix="archsearch-image-") as name:
        Path(name).chmod(0o755)
        build = Build(REPOSITORY, Path(name), {"VARIANT": "cuda"})
        started = time.monotonic()
        *before, last = read_dockerfile(DOCKERFILE)
        for stage in before:
            build.run(stage)
        root = build.run(last)
        print(f"the image was built in {time.monotonic() - started:.0f} s")
        yield Built(build, last, root)


def test_its_commands_run_as_a_user_without_rights(built: Built) -> None:
    said = built.run("python", "-m", "pipeline.spaces", "list")
    assert "wrn_vs_resnext" in said
    assert built.run("id", "-u").strip() == "10001"
    for program in ("ray", "mlflow"):
        assert "version" in built.run(program, "--version")


def test_what_the_services_import_is_there(built: Built) -> None:
    modules = "torch, torchvision, ray.dashboard, mlflow.server.auth, psycopg, boto3, pyarrow.fs"
    assert built.run("python", "-c", f"import {modules}; print('all there')").endswith("there\n")


def test_it_holds_what_the_lock_names_and_no_installer(built: Built) -> None:
    code = (
        "import json; from importlib.metadata import distributions; "
        "print(json.dumps({d.name.lower().replace('_', '-'): d.version for d in distributions()}))"
    )
    there = json.loads(built.run("python", "-c", code))
    assert "pip" not in there
    assert there.pop("archsearch")
    text = (REPOSITORY / "docker" / "requirements" / "cuda.txt").read_text()
    locked = dict(
        line.removesuffix(" \\").split("==") for line in text.splitlines() if line[:1].isalnum()
    )
    assert {name.replace(".", "-"): v for name, v in there.items()} == {
        name.replace(".", "-"): version for name, version in locked.items()
    }


def test_nothing_of_it_can_be_changed_by_its_user(built: Built) -> None:
    for path in ("/opt/archsearch/new", "/srv/archsearch/new", "/etc/new"):
        said = built.run("sh", "-c", f"touch {path} 2>&1 || echo refused")
        assert "refused" in said, path
    assert "kept" in built.run("sh", "-c", "touch runs/new && echo kept")
