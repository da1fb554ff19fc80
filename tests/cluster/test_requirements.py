"""What is installed is locked: one version of everything, for clones and for images."""

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


def pins_of(text: str) -> dict[str, str]:
    return {canonicalize_name(name): version for name, version in _PIN.findall(text)}


def pins(*names: str) -> dict[str, str]:
    return pins_of("\n".join((FOLDER / name).read_text() for name in names))


CONSTRAINTS = (REPOSITORY / "constraints.txt").read_text()
LOCKED = pins_of(CONSTRAINTS)
VARIANTS = {"cuda": pins("cuda.txt"), "cpu": pins("cpu.txt", "cpu-torch.txt")}


def test_every_dependency_is_pinned_to_what_the_project_allows() -> None:
    (pip,) = re.findall(r"'(pip>.*)'", (REPOSITORY / "Makefile").read_text())
    wanted = [
        *PROJECT["project"]["dependencies"],
        *(
            each
            for extra in PROJECT["project"]["optional-dependencies"].values()
            for each in extra
        ),
        *PROJECT["dependency-groups"]["dev"],
        *PROJECT["build-system"]["requires"],
        pip,
    ]
    for requirement in map(Requirement, wanted):
        version = LOCKED[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement}: {version}"


def test_one_version_is_for_all_pythons_and_pip_reads_it_as_a_constraint() -> None:
    lines = [line for line in CONSTRAINTS.splitlines() if not line.startswith("#")]
    assert len(lines) == len(LOCKED)
    for requirement in map(Requirement, lines):
        assert str(requirement.specifier).startswith("==")
        assert not requirement.extras
        assert requirement.url is None


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_image_has_all_dependencies_in_the_versions_of_a_clone(variant: str) -> None:
    project = PROJECT["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["cluster"]]
    image = {name: version.removesuffix("+cpu") for name, version in VARIANTS[variant].items()}
    assert {canonicalize_name(Requirement(each).name) for each in wanted} <= set(image)
    assert image == {name: LOCKED[name] for name in image}


def test_the_image_is_built_by_what_builds_a_clone() -> None:
    build = pins("build.txt")
    assert build == {name: LOCKED[name] for name in build}


def test_torch_is_held() -> None:
    held = pins("torch.in")
    assert set(held) == {"torch", "torchvision"}
    assert held == {name: LOCKED[name] for name in held}


@pytest.mark.parametrize("name", ["cuda.txt", "cpu.txt", "build.txt"])
def test_every_pin_has_hashes(name: str) -> None:
    blocks = re.split(r"^(?=\S)", (FOLDER / name).read_text(), flags=re.MULTILINE)[1:]
    assert len(blocks) == len(pins(name))
    assert all("--hash=sha256:" in block for block in blocks)


def test_both_variants_have_the_same_packages_but_for_cuda() -> None:
    cuda, cpu = VARIANTS["cuda"], VARIANTS["cpu"]
    assert set(cpu) <= set(cuda)
    more = set(cuda) - set(cpu)
    assert more
    assert all(re.match(r"nvidia-|cuda-|triton$", name) for name in more), more


def test_ray_in_the_manifests_is_the_one_of_the_image() -> None:
    for name in ("raycluster.yaml", "rayjob.yaml"):
        text = (REPOSITORY / "docker" / "k8s" / name).read_text()
        (version,) = re.findall(r"rayVersion: (\S+)", text)
        assert version == VARIANTS["cuda"]["ray"]
