"""The Kubernetes manifests and the launcher's file are valid, strictly, and safe by default."""

from __future__ import annotations

import copy
import shlex
from collections.abc import Iterator
from typing import Any

import pydantic
import pytest
import yaml
from kubernetes_validate.utils import ValidationError, validate

from pipeline.search import app
from tests.cluster.container import REPOSITORY
from tests.cluster.kuberay import RayCluster, RayJob

FOLDER = REPOSITORY / "docker" / "k8s"
VERSIONS = ("1.32", "1.37")
PLAIN = ("namespace.yaml", "settings.yaml", "network-policy.yaml")


def documents(name: str) -> Iterator[dict[str, Any]]:
    yield from yaml.safe_load_all((FOLDER / name).read_text())


def ray_cluster() -> RayCluster:
    (document,) = documents("raycluster.yaml")
    return RayCluster.model_validate(document)


def ray_job() -> RayJob:
    (document,) = documents("rayjob.yaml")
    return RayJob.model_validate(document)


def pods() -> dict[str, dict[str, Any]]:
    """Every kind of pod that the manifests make, as a manifest of its own."""
    templates = {
        **{f"cluster {n}": t for n, t in ray_cluster().spec.templates().items()},
        **{f"job {n}": t for n, t in ray_job().spec.rayClusterSpec.templates().items()},
        "submitter": ray_job().spec.submitterPodTemplate,
    }
    shared = {"apiVersion": "v1", "kind": "Pod"}
    return {name: {**shared, **copy.deepcopy(t)} for name, t in templates.items()}


def test_every_file_is_checked() -> None:
    assert {p.name for p in FOLDER.iterdir()} == {*PLAIN, "raycluster.yaml", "rayjob.yaml"}


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_every_field(version: str) -> None:
    for document in (d for name in PLAIN for d in documents(name)):
        validate(document, version, strict=True)
    for pod in pods().values():
        validate(pod, version, strict=True)


def test_what_kubernetes_does_not_know_would_be_found() -> None:
    pod = pods()["cluster gpu"]
    pod["spec"]["containers"][0]["volumeMount"] = []
    with pytest.raises(ValidationError, match="volumeMount"):
        validate(pod, VERSIONS[-1], strict=True)


def test_what_kuberay_does_not_know_would_be_found() -> None:
    (document,) = documents("raycluster.yaml")
    document["spec"]["workerGroupSpecs"][0]["minReplica"] = 1
    document["spec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] = 0
    with pytest.raises(pydantic.ValidationError, match=r"(?s)num-cpus.*minReplica"):
        RayCluster.model_validate(document)


def test_a_job_gets_the_same_cluster() -> None:
    assert ray_job().spec.rayClusterSpec == ray_cluster().spec


def test_pods_have_the_least_rights() -> None:
    for name, pod in pods().items():
        rights = pod["spec"]["securityContext"]
        assert rights["runAsNonRoot"], name
        assert rights["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in pod["spec"]["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert set(container["resources"]) == {"requests", "limits"}, name


def test_nobody_reaches_ray_without_the_token_and_few_at_all() -> None:
    assert ray_cluster().spec.authOptions.mode == "token"
    policies = {d["metadata"]["name"]: d["spec"] for d in documents("network-policy.yaml")}
    everything = policies["nothing-comes-in"]
    assert everything == {"podSelector": {}, "policyTypes": ["Ingress"]}
    among, others = policies["ray-nodes"]["ingress"]
    assert "ports" not in among
    assert others["ports"] == [{"protocol": "TCP", "port": 8265}]
    submitter = pods()["submitter"]["metadata"]["labels"]
    assert {"podSelector": {"matchLabels": submitter}} in others["from"]


def test_the_cluster_grows_from_nothing_and_trains_nothing_on_its_head() -> None:
    spec = ray_cluster().spec
    assert spec.enableInTreeAutoscaling
    assert spec.headGroupSpec.rayStartParams == {"num-cpus": "0", "num-gpus": "0"}
    assert all(g.minReplicas == 0 < g.maxReplicas for g in spec.workerGroupSpecs)


def test_a_lost_cluster_is_made_again_and_its_command_can_be_continued() -> None:
    spec = ray_job().spec
    assert spec.backoffLimit > 0
    words = shlex.split(spec.entrypoint)
    assert words[:3] == ["python", "-m", "pipeline.search"]
    assert "--name" in words  # the same search, whatever the defaults become
    assert words[words.index("--storage") + 1].startswith("s3://")
    known = {option for parameter in _parameters() for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def _parameters() -> Any:
    import typer.main

    return typer.main.get_command(app).params


def test_rays_launcher_reads_its_file() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = yaml.safe_load((REPOSITORY / "docker" / "ray-up.yaml").read_text())
    validate_config(prepare_config(copy.deepcopy(config)))
    assert config["available_node_types"]["head"]["resources"] == {"CPU": 0, "GPU": 0}
    config["available_node_types"]["gpu"]["max_worker"] = 1
    with pytest.raises(Exception, match="max_worker"):
        validate_config(prepare_config(config))
