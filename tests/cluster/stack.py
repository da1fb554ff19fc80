"""All services of the compose file, started and waited for as Docker Compose does."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

from tests.cluster.compose import ComposeFile, Service, read_compose
from tests.cluster.container import REPOSITORY, Container, Image, our_image
from tests.cluster.hosts import Lab, Namespace, tail

COMPOSE = REPOSITORY / "docker" / "compose.yaml"
PROGRAMS = ("bwrap", "ip", "nsenter", "setpriv", "unshare", "wget")


class Stack:
    """A running stack, for the time of a `with` block.

    Args:
        folder: Where its secrets, volumes and logs are kept.
        variables: Of the compose file, beside those that `make secrets` writes.
    """

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self.folder = folder
        self.secrets = folder / "secrets"
        environment = folder / "env"
        script = str(COMPOSE.parent / "make_secrets.py")
        command = [sys.executable, script, str(self.secrets), "--env-file", str(environment)]
        subprocess.run(command, check=True, capture_output=True)
        said = dict(line.split("=", 1) for line in environment.read_text().splitlines())
        self.file: ComposeFile = read_compose(COMPOSE, {**said, **variables})
        self.containers: dict[str, Container] = {}
        self._hosts: dict[str, dict[str, str]] = {name: {} for name in self.file.networks}
        self._lab: Lab | None = None
        self.seconds: dict[str, float] = {}

    def __enter__(self) -> Stack:
        """Make the networks; nothing runs yet."""
        networks = {n: not o.get("internal") for n, o in self.file.networks.items()}
        self._lab = Lab(networks)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End everything at once."""
        for container in reversed(self.containers.values()):
            container.close()
        if self._lab is not None:
            self._lab.close()

    @property
    def lab(self) -> Lab:
        """Its networks."""
        assert self._lab is not None
        return self._lab

    def up(self, *profiles: str, scale: Mapping[str, int]) -> None:
        """Start the services of these profiles, in order, and wait for their health.

        Raises:
            AssertionError: One does not become healthy, or does not do its work.
        """
        for name in self.file.started(*profiles):
            self._wait_for_needs(self.file.services[name])
            for number in range(1, scale.get(name, 1) + 1):
                self.start(name, number if name in scale else None)
        for name in list(self.containers):
            self._wait_until_healthy(name)

    def start(self, service: str, number: int | None = None) -> Container:
        """Start one container of a service, on a host of its own."""
        name = service if number is None else f"{service}-{number}"
        return self.add(name, self.file.services[service])

    def add(
        self, name: str, service: Service, mounts: Mapping[str, Path] | None = None
    ) -> Container:
        """Start a container, on a host of its own, which has more than its image if need be."""
        addresses = {network: self.lab.address(network) for network in service.networks}
        files = {f"/run/secrets/{s}": self._secret(s) for s in service.secrets}
        files |= mounts or {}
        for config in service.configs:
            files[config.target] = COMPOSE.parent / self.file.configs[config.source]["file"]
        container = Container(
            name,
            service,
            _image_of(service.image),
            addresses,
            files,
            dict(self._volume(text, service) for text in service.volumes),
            self.folder,
        )
        self.containers[name] = container
        for network, address in addresses.items():
            self._hosts[network][name] = address
        container.plug(self.lab)
        self._launch(container)
        return container

    @contextlib.contextmanager
    def without(self, name: str) -> Iterator[None]:
        """Stop a container as Docker does for the block, then start it again."""
        self.containers[name].stop()
        yield
        self._launch(self.containers[name])

    def _launch(self, container: Container) -> None:
        started = time.monotonic()
        known: dict[str, str] = {}
        for network in reversed([*container.addresses]):  # its first network's addresses win
            known |= self._hosts[network]
        container.start(known)
        self.seconds[container.name] = started

    def _wait_for_needs(self, service: Service) -> None:
        for name, needed in service.depends_on.items():
            if needed.condition == "service_completed_successfully":
                container = self.containers[name]
                assert container.wait(180) == 0, f"{name} failed:\n{tail(container.log)}"
            else:
                assert needed.condition == "service_healthy", needed.condition
                self._wait_until_healthy(name)

    def _wait_until_healthy(self, name: str) -> None:
        container = self.containers[name]
        if container.service.healthcheck is not None:
            container.wait_until_healthy()

    def _secret(self, name: str) -> Path:
        return self.secrets / self.file.secrets[name]["file"].name

    def _volume(self, text: str, service: Service) -> tuple[str, Path]:
        """A named volume: as Docker makes it, with the rights of the image's folder."""
        name, where = text.split(":")
        path = self.folder / "volumes" / name
        if not path.exists():
            path.mkdir(parents=True)
            path.chmod(0o1777 if service.user not in (None, "0:0") else 0o755)
        return where, path


def why_not_here() -> str | None:
    """Why no stack can be started on this machine; None if one can."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        missing.append("PostgreSQL")
    if missing:
        return (
            f"not installed: {', '.join(missing)} (Debian's packages bubblewrap, iproute2, "
            "postgresql, util-linux, wget)"
        )
    if os.geteuid() != 0:
        return "hosts are network namespaces, which root alone may make"
    try:
        Namespace().close()
    except (RuntimeError, OSError, subprocess.CalledProcessError):
        return "no network namespace can be made here: that takes CAP_SYS_ADMIN and CAP_NET_ADMIN"
    return None


def _image_of(image: str) -> Image:
    """What stands in for an image."""
    match image.partition(":")[0]:
        case "archsearch":
            return our_image(COMPOSE.parent / "Dockerfile")
        case "postgres":
            script = Path(__file__).with_name("postgres_entrypoint.sh")
            return Image(
                ["/srv/entrypoint.sh"],
                {"PATH": "/usr/bin:/bin"},
                "/",
                {"/srv/entrypoint.sh": script},
            )
        case "chrislusf/seaweedfs":
            weed = Path(sys.prefix) / "bin" / "weed"
            return Image([], {"PATH": "/image:/usr/bin:/bin"}, "/data", {"/image/weed": weed})
    raise ValueError(f"nothing stands in for the image {image}")
