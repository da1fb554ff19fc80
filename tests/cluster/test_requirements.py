"""What the images install is locked: every package, with hashes, in step with pyproject.toml."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.cluster.container import REPOSITORY

FOLDER = REPOSITORY / "docker" / "requirements"
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
_PIN = re.compile(r"^([A-Za-z0-9_.-]+)==(\S+)", re.MULTILINE)


def pins(*names: str) -> dict[str, str]:
    text = "\n".join((FOLDER / name).read_text() for name in names)
    return {canonicalize_name(name): version for name, version in _PIN.findall(text)}


VARIANTS = {"cuda": pins("cuda.txt"), "cpu": pins("cpu.txt", "cpu-torch.txt")}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_dependency_is_pinned_to_what_the_project_allows(variant: str) -> None:
    project = PROJECT["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["cluster"]]
    for requirement in map(Requirement, wanted):
        version = VARIANTS[variant][canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement}: {version}"


@pytest.mark.parametrize("name", ["cuda.txt", "cpu.txt", "build.txt"])
def test_every_pin_has_hashes(name: str) -> None:
    blocks = re.split(r"^(?=\S)", (FOLDER / name).read_text(), flags=re.MULTILINE)[1:]
    assert len(blocks) == len(pins(name))
    assert all("--hash=sha256:" in block for block in blocks)


def test_both_variants_have_the_same_versions_but_for_cuda() -> None:
    cuda, cpu = VARIANTS["cuda"], VARIANTS["cpu"]
    assert {n: v.removesuffix("+cpu") for n, v in cpu.items()} == {n: cuda[n] for n in cpu}
    more = set(cuda) - set(cpu)
    assert more
    assert all(re.match(r"nvidia-|cuda-|triton$", name) for name in more), more


def test_ray_in_the_manifests_is_the_one_of_the_image() -> None:
    for name in ("raycluster.yaml", "rayjob.yaml"):
        text = (REPOSITORY / "docker" / "k8s" / name).read_text()
        (version,) = re.findall(r"rayVersion: (\S+)", text)
        assert version == VARIANTS["cuda"]["ray"]
