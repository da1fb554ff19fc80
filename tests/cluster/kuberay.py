"""What KubeRay's operator accepts, as far as our manifests use it: fields of `ray.io/v1`.

Names and types are those of the API reference, https://docs.ray.io/en/latest/cluster/kubernetes/
references/api.html, of KubeRay 1.6 and 1.7. The operator's own schema is in no package that could
be installed; everything here is a part of it, so what is refused here may be known there.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, NonNegativeInt


class _Part(BaseModel):
    # Strict: Kubernetes does not take "0" for 0, and rayStartParams are texts.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Metadata(_Part):
    name: str
    namespace: str


class AuthOptions(_Part):
    mode: Literal["disabled", "token"]
    secretName: str  # noqa: N815 (Kubernetes' names)


class AutoscalerOptions(_Part):
    version: Literal["v1", "v2"]
    upscalingMode: Literal["Default", "Aggressive", "Conservative"]  # noqa: N815
    idleTimeoutSeconds: NonNegativeInt  # noqa: N815
    resources: dict[str, Any]
    securityContext: dict[str, Any]  # noqa: N815


class HeadGroup(_Part):
    rayStartParams: dict[str, str]  # noqa: N815
    template: dict[str, Any]


class WorkerGroup(HeadGroup):
    groupName: str  # noqa: N815
    minReplicas: NonNegativeInt  # noqa: N815
    maxReplicas: NonNegativeInt  # noqa: N815


class ClusterSpec(_Part):
    rayVersion: str  # noqa: N815
    authOptions: AuthOptions  # noqa: N815
    enableInTreeAutoscaling: bool  # noqa: N815
    autoscalerOptions: AutoscalerOptions  # noqa: N815
    headGroupSpec: HeadGroup  # noqa: N815
    workerGroupSpecs: list[WorkerGroup]  # noqa: N815

    def templates(self) -> dict[str, dict[str, Any]]:
        """The template of each kind of pod."""
        workers = {group.groupName: group.template for group in self.workerGroupSpecs}
        return {"head": self.headGroupSpec.template, **workers}


class RayCluster(_Part):
    apiVersion: Literal["ray.io/v1"]  # noqa: N815
    kind: Literal["RayCluster"]
    metadata: Metadata
    spec: ClusterSpec


class SubmitterConfig(_Part):
    backoffLimit: NonNegativeInt  # noqa: N815


class JobSpec(_Part):
    entrypoint: str
    backoffLimit: NonNegativeInt  # noqa: N815
    shutdownAfterJobFinishes: bool  # noqa: N815
    ttlSecondsAfterFinished: NonNegativeInt  # noqa: N815
    submissionMode: Literal["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]  # noqa: N815
    submitterConfig: SubmitterConfig  # noqa: N815
    submitterPodTemplate: dict[str, Any]  # noqa: N815
    rayClusterSpec: ClusterSpec  # noqa: N815


class RayJob(_Part):
    apiVersion: Literal["ray.io/v1"]  # noqa: N815
    kind: Literal["RayJob"]
    metadata: Metadata
    spec: JobSpec
