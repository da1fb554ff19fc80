"""A service of the compose file as processes: `bwrap` gives it what Docker would.

Namespaces of its own (network, processes, mounts, IPC, host name), a read-only root with just the
mounts that the file names, its user, its capabilities and no new privileges. Not its resource
limits, and not the image: programs come from this machine, ours from the environment under test.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.compose import Service
from tests.cluster.dockerfile import read_dockerfile
from tests.cluster.hosts import Lab, Namespace, children_of, parents_of, send, tail

REPOSITORY = Path(__file__).parents[2]
_CABLES = itertools.count()
_ETC = ("alternatives", "group", "nsswitch.conf", "passwd", "ssl")
_SYSTEM = ("/usr", *(f"/etc/{name}" for name in _ETC))
_LINKS = ("bin", "sbin", "lib", "lib64")
_SIZES = {"kb": 2**10, "mb": 2**20, "gb": 2**30, "k": 2**10, "m": 2**20, "g": 2**30}


@dataclass(frozen=True)
class Image:
    """What an image brings, from this machine.

    Attributes:
        entrypoint: The image's entry point.
        environment: Its variables.
        folder: Its working directory.
        mounts: Paths in the container to paths of this machine, read-only.
    """

    entrypoint: list[str]
    environment: dict[str, str]
    folder: str = "/"
    mounts: dict[str, Path] = field(default_factory=dict)


@dataclass
class Container:
    """One container of a service.

    Attributes:
        name: Its host name.
        service: What the compose file says.
        image: What it runs.
        addresses: Its address in each of its networks.
        files: Secrets and configurations: paths in the container to paths of this machine.
        volumes: Folders that outlive it: paths in the container to paths of this machine.
        folder: Where its log is kept.
    """

    name: str
    service: Service
    image: Image
    addresses: Mapping[str, str]
    files: Mapping[str, Path]
    volumes: Mapping[str, Path]
    folder: Path
    _host: Namespace | None = None
    _cables: list[str] = field(default_factory=list)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """All that it has printed."""
        return self.folder / f"{self.name}.log"

    def plug(self, lab: Lab) -> None:
        """Give it a network namespace, connected with its networks."""
        self._host = Namespace()
        for network, address in self.addresses.items():
            cable = f"v{next(_CABLES)}"
            lab.plug(self._host, network, address, cable)
            self._cables.append(cable)

    def start(self, hosts: Mapping[str, str]) -> None:
        """Start its command; `hosts` maps the names that it can resolve to addresses."""
        assert self._host is not None
        names = self.folder / f"{self.name}.hosts"
        lines = [f"{a} {n}\n" for n, a in [("localhost", "127.0.0.1"), *hosts.items()]]
        names.write_text("".join(lines))
        command = [*(self.service.entrypoint or self.image.entrypoint), *self.service.command]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._host.inside(*self._sandbox(names), *self._as_user(command)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the tests, which end everything in order
            )

    def run(
        self, *command: str, timeout: float = 60, variables: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run another command in it, as `docker exec` does.

        Raises:
            subprocess.TimeoutExpired: It takes too long.
        """
        environment = {**self._environment(), **(variables or {})}
        settings = [f"{name}={value}" for name, value in environment.items()]
        return subprocess.run(
            [
                *(
                    "nsenter",
                    f"--target={self.pid}",
                    "--mount",
                    "--net",
                    "--pid",
                    "--ipc",
                    "--uts",
                ),
                *("--root", "--", *self._as_user(["env", "-i", *settings, *command])),
            ],
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    @property
    def pid(self) -> int:
        """The process id of its command, here."""
        assert self._process is not None
        for init in children_of(self._process.pid):
            for main in children_of(init):
                return main
        raise RuntimeError(f"{self.name} does not run:\n{tail(self.log)}")

    @property
    def exit_code(self) -> int | None:
        """How its command ended; None while it runs."""
        assert self._process is not None
        return self._process.poll()

    def wait_until_healthy(self) -> None:
        """Return when its health check succeeds.

        Raises:
            AssertionError: It ended, or its start period and retries are over.
        """
        health = self.service.healthcheck
        assert health is not None
        told = ""
        deadline = time.monotonic() + 150
        while time.monotonic() < deadline:
            assert self.exit_code is None, f"{self.name} ended:\n{tail(self.log)}"
            try:
                check = self.run(*health.command, timeout=20)
            except (subprocess.TimeoutExpired, RuntimeError) as error:
                told = str(error)
            else:
                if check.returncode == 0:
                    return
                told = check.stdout + check.stderr
            time.sleep(0.5)
        raise AssertionError(f"{self.name} is not healthy: {told}\n{tail(self.log)}")

    def wait(self, timeout: float) -> int:
        """Wait for the end of its command."""
        assert self._process is not None
        return self._process.wait(timeout)

    def stop(self) -> float:
        """Stop it as Docker does: its signal, its grace period, then the kill; seconds taken."""
        assert self._process is not None
        started = time.monotonic()
        if self.exit_code is None:
            send(self.pid, signal.Signals[self.service.stop_signal])
            try:
                self._process.wait(self.service.grace_seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        return time.monotonic() - started

    def kill(self) -> None:
        """End all its processes at once: the kernel does so when the first one is killed."""
        if self._process is not None and self.exit_code is None:
            for init in children_of(self._process.pid):
                send(init, signal.SIGKILL)
            self._process.wait(30)

    def lose(self, lab: Lab) -> None:
        """Lose the host: first it cannot be reached, then nothing of it runs."""
        for cable in self._cables:
            lab.pull(cable)
        self.kill()

    def close(self) -> None:
        """Kill it and give its namespace back."""
        if self._process is not None:
            self.kill()
        if self._host is not None:
            self._host.close()

    def _environment(self) -> dict[str, str]:
        return self.image.environment | self.service.environment

    def _sandbox(self, names: Path) -> list[str]:
        words = ["bwrap", "--die-with-parent", "--unshare-pid", "--unshare-ipc", "--unshare-uts"]
        words += ["--hostname", self.name, "--proc", "/proc", "--dev", "/dev"]
        words += _tmpfs("/dev/shm", f"mode=1777,size={self.service.shm_size}")
        for name in _LINKS:
            words += ["--symlink", f"usr/{name}", f"/{name}"]
        system = {path: Path(path) for path in (*_SYSTEM, *_interpreters()) if Path(path).exists()}
        mounts = {**system, "/etc/hosts": names, **self.image.mounts, **self.files}
        # First, as the package under test may be in a folder below one of them.
        for text in self.service.tmpfs:
            where, _, options = text.partition(":")
            words += [*_folders([where]), *_tmpfs(where, options)]
        words += _folders([*mounts, *self.volumes])
        if self.image.folder != "/":
            words += ["--perms", "1777", "--dir", self.image.folder]
        for where, source in mounts.items():
            words += ["--ro-bind", str(source), where]
        for where, source in self.volumes.items():
            words += ["--bind", str(source), where]
        assert self.service.read_only
        words += ["--remount-ro", "/", "--chdir", self.image.folder, "--clearenv"]
        for name, value in self._environment().items():
            words += ["--setenv", name, value]
        assert self.service.cap_drop == ["ALL"]
        words += ["--cap-drop", "ALL"]
        switch = ["SETUID", "SETGID", "SETPCAP"] if self._user else []
        for capability in [*self.service.cap_add, *switch]:
            words += ["--cap-add", f"CAP_{capability}"]
        return [*words, "--"]

    def _as_user(self, command: list[str]) -> list[str]:
        """The command as the service's user, who cannot gain rights."""
        assert self.service.security_opt == ["no-new-privileges:true"]
        words = ["setpriv", "--no-new-privs", "--inh-caps=-all"]
        kept = "".join(f",+{name.lower()}" for name in self.service.cap_add)
        words += [f"--bounding-set=-all{kept}"]
        if self._user:
            user, group = self._user.split(":")
            words += [f"--reuid={user}", f"--regid={group}", "--clear-groups"]
        return [*words, "--", *command]

    @property
    def _user(self) -> str | None:
        return None if self.service.user in (None, "0:0") else self.service.user


def our_image(dockerfile: Path) -> Image:
    """Our own image: its last stage's settings; its programs from the environment under test."""
    stage = read_dockerfile(dockerfile)[-1]
    names = ("entrypoint.sh", "healthcheck.py", "migrate.py")
    mounts = {f"/srv/archsearch/{name}": dockerfile.parent / name for name in names}
    mounts["/opt/archsearch"] = Path(sys.prefix)
    # The package is installed in place, and the scripts of the environment name its first path.
    here = [Path(sys.prefix), *(REPOSITORY / n for n in ("src", "pipeline", "search_spaces"))]
    mounts |= {str(path): path for path in here}
    (entrypoint,), (folder,) = stage.values("ENTRYPOINT"), stage.values("WORKDIR")
    return Image(json.loads(entrypoint), stage.environment, folder, mounts)


def _interpreters() -> list[str]:
    """Where this Python's own files are, if not where the system's are."""
    return [p for p in {sys.base_prefix, os.path.realpath(sys.executable)} if p[:5] != "/usr/"]


def _folders(mounts: list[str]) -> list[str]:
    """Make the folders above these paths, readable by all users."""
    return [word for f in parents_of(mounts) for word in ("--perms", "0755", "--dir", f)]


def _tmpfs(where: str, options: str) -> list[str]:
    """A file system in memory, as `mode=1777,size=4g` says."""
    given = dict(o.split("=") for o in options.split(",") if o)
    words = ["--perms", given["mode"]] if "mode" in given else []
    if "size" in given:
        number = given["size"].rstrip("bkmgBKMG")
        words += ["--size", str(int(number) * _SIZES[given["size"][len(number) :].lower()])]
    return [*words, "--tmpfs", where]
