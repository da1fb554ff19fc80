"""A PostgreSQL server of our own, on loopback, for tests that need a real one."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Server:
    """A running server; what it keeps is not flushed to disk unless it is `durable`."""

    programs: Path
    folder: Path
    port: int
    durable: bool

    def run(self, program: str, *arguments: str) -> None:
        """Run one of its programs, as the user that it insists on not being root."""
        command = [str(self.programs / program), *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder)

    def control(self, *words: str) -> None:
        """`pg_ctl`."""
        log = str(self.folder / "log")  # or the server would hold on to our pipes
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-l", log, "-w", *words)

    def start(self) -> None:
        """Start it, on loopback."""
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1"
        self.control("-o", options if self.durable else f"{options} -c fsync=off", "start")

    def crash_and_start(self) -> None:
        """End it at once, as a crash does, and start it again."""
        self.control("-m", "immediate", "stop")
        deadline = time.monotonic() + 60
        while True:
            try:
                return self.start()
            except subprocess.CalledProcessError:  # its processes end one after the other
                if time.monotonic() > deadline:
                    raise
                time.sleep(1)

    def new_database(self, name: str) -> str:
        """An empty database's URL."""
        self.run("createdb", *self._address, name)
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{name}"

    def new_schema(self, name: str) -> str:
        """The URL of an empty schema, which costs a thousand files less than a database."""
        self.run("psql", *self._address, "-c", f"CREATE SCHEMA {name}")
        server = f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/postgres"
        return f"{server}?options=-csearch_path%3D{name}"

    @property
    def _address(self) -> tuple[str, ...]:
        return ("-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres")


def what_is_missing() -> str | None:
    """What such a server needs and this machine lacks."""
    if not _programs():
        return "PostgreSQL is not installed (Debian package `postgresql`)"
    if importlib.util.find_spec("psycopg") is None:
        return "the Python package psycopg is not installed"
    return None


@contextlib.contextmanager
def running_server(*, durable: bool = False) -> Iterator[Server]:
    """A new server, in a temporary folder, for the block."""
    folder = Path(tempfile.mkdtemp(prefix="archsearch-postgresql-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = Server(_programs()[-1].parent, folder, port, durable)
    try:
        server.run(
            "initdb", "-D", str(folder / "data"), "-A", "trust", "-U", "postgres", "--no-sync"
        )
        server.start()
        try:
            yield server
        finally:
            server.control("-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def _programs() -> list[Path]:
    return sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
