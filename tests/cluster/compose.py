"""Reads a compose file the way Docker does, as far as ours goes; what it does not know it refuses.

The rules are the Compose Specification's: https://github.com/compose-spec/compose-spec.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, field_validator

_VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?:(:-|:\?)([^}]*))?\})")
_SECONDS = re.compile(r"(\d+)s")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Health(_Part):
    """A service's health check."""

    test: list[str]
    interval: str = "30s"
    timeout: str = "30s"
    retries: int = 3
    start_period: str = "0s"

    @property
    def command(self) -> list[str]:
        """What to run in the container."""
        kind, *words = self.test
        return {"CMD": words, "CMD-SHELL": ["/bin/sh", "-c", *words]}[kind]


class Needed(_Part):
    """What a service waits for."""

    condition: str


class Config(_Part):
    """A file that a service reads."""

    source: str
    target: str


class Service(_Part):
    """One service; the names are the specification's."""

    image: str
    command: list[str]
    restart: str
    init: bool
    read_only: bool
    cap_drop: list[str]
    security_opt: list[str]
    networks: list[str]
    tmpfs: list[str]
    cap_add: list[str] = []
    logging: dict[str, Any] = {}
    build: dict[str, Any] | None = None
    user: str | None = None
    entrypoint: list[str] | None = None
    environment: dict[str, str] = {}
    secrets: list[str] = []
    configs: list[Config] = []
    ports: list[str] = []
    profiles: list[str] = []
    volumes: list[str] = []
    depends_on: dict[str, Needed] = {}
    stop_signal: str = "SIGTERM"
    stop_grace_period: str = "10s"
    shm_size: str = "64mb"
    healthcheck: Health | None = None
    deploy: dict[str, Any] = {}

    @field_validator("environment")
    @classmethod
    def _text(cls, values: dict[str, str]) -> dict[str, str]:
        return {name: str(value) for name, value in values.items()}

    @property
    def grace_seconds(self) -> float:
        """How long a stop may take before the kill."""
        return seconds(self.stop_grace_period)


class ComposeFile(_Part):
    """The file, with variables filled in."""

    name: str
    services: dict[str, Service]
    networks: dict[str, dict[str, Any]]
    volumes: dict[str, dict[str, Any]]
    configs: dict[str, dict[str, Path]]
    secrets: dict[str, dict[str, Path]]

    def started(self, *profiles: str) -> Iterator[str]:
        """Names of the services of these profiles, each after what it waits for."""
        done: list[str] = []

        def start(name: str) -> Iterator[str]:
            if name not in done:
                for needed in self.services[name].depends_on:
                    yield from start(needed)
                done.append(name)
                yield name

        for name, service in self.services.items():
            if not service.profiles or set(service.profiles) & set(profiles):
                yield from start(name)


def read_compose(path: Path, variables: Mapping[str, str]) -> ComposeFile:
    """A compose file, its `${VARIABLE}`s taken from a mapping.

    Raises:
        ValueError: It asks for what this reader does not know, or a variable is missing.
    """
    content = yaml.safe_load(path.read_text())
    known = {key: value for key, value in content.items() if not key.startswith("x-")}
    return ComposeFile.model_validate(_filled(known, variables))


def seconds(duration: str) -> float:
    """Seconds of a duration such as `30s`."""
    match = _SECONDS.fullmatch(duration)
    if match is None:
        raise ValueError(f"{duration!r} is no duration in seconds")
    return float(match[1])


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(inner, variables) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, variables) for inner in value]
    if not isinstance(value, str):
        return value

    def fill(match: re.Match[str]) -> str:
        dollar, name, kind, text = match.groups()
        if dollar:
            return "$"
        if variables.get(name):
            return variables[name]
        if kind == ":-":
            return str(text)
        raise ValueError(f"{name}: {text or 'is not set'}")

    return _VARIABLE.sub(fill, value)
