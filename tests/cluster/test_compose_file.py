"""The compose file is valid, hardened by default, and its secrets are."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.compose import ComposeFile, read_compose, seconds
from tests.cluster.container import REPOSITORY

DOCKER = REPOSITORY / "docker"
COMPOSE = DOCKER / "compose.yaml"
USER = {"ARCHSEARCH_UID": "1000", "ARCHSEARCH_GID": "1000"}


@pytest.fixture(scope="module")
def compose() -> ComposeFile:
    return read_compose(COMPOSE, USER)


def tool(*command: str) -> subprocess.CompletedProcess[str]:
    program = str(Path(sys.prefix) / "bin" / command[0])
    return subprocess.run([program, *command[1:]], capture_output=True, text=True, timeout=60)


def check_against_specification(path: Path) -> subprocess.CompletedProcess[str]:
    return tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(path))


def test_it_follows_the_compose_specification(tmp_path: Path) -> None:
    found = check_against_specification(COMPOSE)
    assert found.returncode == 0, found.stdout
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(COMPOSE.read_text().replace("stop_grace_period", "stop_grace"))
    assert check_against_specification(wrong).returncode == 1


def test_the_dockerfile_has_nothing_to_complain_about(tmp_path: Path) -> None:
    found = tool("hadolint", str(DOCKER / "Dockerfile"))
    assert found.returncode == 0, found.stdout
    wrong = tmp_path / "Dockerfile"
    wrong.write_text("FROM python\nRUN pip install torch\n")
    assert tool("hadolint", str(wrong)).returncode == 1


def test_it_asks_for_the_secrets_first() -> None:
    with pytest.raises(ValueError, match="ARCHSEARCH_UID: run `make secrets` first"):
        read_compose(COMPOSE, {})


def test_every_container_has_the_least_rights(compose: ComposeFile) -> None:
    needed = {
        "postgres": {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"},
        "seaweedfs": {"DAC_OVERRIDE"},
    }
    for name, service in compose.services.items():
        assert service.read_only, name
        assert service.cap_drop == ["ALL"], name
        assert set(service.cap_add) == needed.get(name, set()), name
        assert service.security_opt == ["no-new-privileges:true"], name
        if service.image.startswith("archsearch:"):
            assert service.user == "1000:1000", name


def test_only_loopback_is_published_and_only_what_people_use(compose: ComposeFile) -> None:
    published = {name: s.ports for name, s in compose.services.items() if s.ports}
    assert published == {
        "mlflow": ["127.0.0.1:5000:5000"],
        "ray-head": ["127.0.0.1:8265:8265"],
    }


def test_workers_are_not_on_the_network_of_the_database(compose: ComposeFile) -> None:
    workers = [s for name, s in compose.services.items() if name.startswith("ray-worker")]
    assert len(workers) == 2
    assert all(worker.networks == ["cluster"] for worker in workers)
    assert compose.services["postgres"].networks == ["database"]
    assert compose.networks["database"] == {"internal": True}


def test_images_are_pinned_by_version(compose: ComposeFile) -> None:
    for name, service in compose.services.items():
        assert re.search(r":\d+(\.\d+)+", service.image), f"{name}: {service.image}"


def test_every_service_that_stays_has_a_health_check_limits_and_time_to_end(
    compose: ComposeFile,
) -> None:
    for name, service in compose.services.items():
        if service.restart == "no":
            continue
        assert service.healthcheck is not None, name
        assert set(service.deploy["resources"]["limits"]) == {"cpus", "memory"}, name
        assert service.grace_seconds >= 15, name
    head = compose.services["ray-head"]
    stop = float(head.environment["RAY_JOB_STOP_WAIT_TIME_S"])
    assert 10 < stop < head.grace_seconds


def test_no_secret_is_written_in_it(compose: ComposeFile) -> None:
    for name, service in compose.services.items():
        for variable, value in service.environment.items():
            if re.search(r"PASSWORD|TOKEN|SECRET|KEY", variable):
                assert variable.endswith(("_FILE", "_PATH")), f"{name}: {variable}"
                assert value.removeprefix("/run/secrets/") in service.secrets, f"{name}: {value}"
        for secret in service.secrets:
            assert secret in compose.secrets, f"{name}: {secret}"


def test_mlflow_signs_people_in_and_answers_to_its_names_alone(compose: ComposeFile) -> None:
    options = dict(o.split("=", 1) for o in compose.services["mlflow"].command[2:])
    assert options["--app-name"] == "basic-auth"
    for option in ("--allowed-hosts", "--cors-allowed-origins"):
        assert "*" not in options[option].split(","), option


def make_secrets(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(DOCKER / "make_secrets.py"), str(folder / "secrets")]
    return subprocess.run(
        [*command, "--env-file", str(folder / ".env")], capture_output=True, text=True
    )


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


def test_secrets_are_made_for_their_owner_alone_and_never_again(
    compose: ComposeFile, tmp_path: Path
) -> None:
    umask = os.umask(0)
    try:
        assert make_secrets(tmp_path).returncode == 0
    finally:
        os.umask(umask)
    folder = tmp_path / "secrets"
    made = contents(folder)
    assert set(made) == {secret["file"].name for secret in compose.secrets.values()}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(p.stat().st_mode) for p in folder.iterdir()} == {0o600}
    assert len(set(made.values())) == len(made)
    said = dict(line.split("=") for line in (tmp_path / ".env").read_text().splitlines())
    assert {int(said["ARCHSEARCH_UID"])} == {p.stat().st_uid for p in folder.iterdir()}
    assert int(said["ARCHSEARCH_UID"]) != 0  # root's containers run as the image's user
    again = make_secrets(tmp_path)
    assert contents(folder) == made
    assert not any(text.strip() in again.stdout for text in made.values())


def test_a_secret_that_is_missing_is_made_alone(tmp_path: Path) -> None:
    make_secrets(tmp_path)
    folder = tmp_path / "secrets"
    before = contents(folder)
    (folder / "ray_token").unlink()
    (folder / "s3_users.json").unlink()
    assert make_secrets(tmp_path).returncode == 0
    after = contents(folder)
    assert {n for n in before if before[n] != after[n]} == {"ray_token"}


def test_keys_that_no_longer_fit_are_told(tmp_path: Path) -> None:
    make_secrets(tmp_path)
    (tmp_path / "secrets" / "aws_mlflow").unlink()
    refused = make_secrets(tmp_path)
    assert refused.returncode == 1
    assert "aws_mlflow are not: restore them, or remove" in refused.stderr


def test_each_s3_user_has_one_bucket(tmp_path: Path) -> None:
    make_secrets(tmp_path)
    users = json.loads((tmp_path / "secrets" / "s3_users.json").read_text())["identities"]
    buckets = {u["name"]: {a.partition(":")[2] for a in u["actions"]} for u in users}
    assert buckets == {"admin": {""}, "archsearch": {"archsearch"}, "mlflow": {"mlflow"}}


def entrypoint(**variables: str) -> subprocess.CompletedProcess[str]:
    command = [str(DOCKER / "entrypoint.sh"), "env"]
    environment = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_the_entry_point_passes_secrets_on(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("it's $HOME; a `secret`\n")
    said = entrypoint(PGPASSWORD_FILE=str(secret), SSL_CERT_FILE="/else").stdout.splitlines()
    assert "PGPASSWORD=it's $HOME; a `secret`" in said
    assert "SSL_CERT_FILE=/else" in said  # other people's variables are left alone
    assert not any(line.startswith("PGPASSWORD_FILE") for line in said)


def test_the_entry_point_refuses_a_secret_that_cannot_be_read(tmp_path: Path) -> None:
    refused = entrypoint(PGPASSWORD_FILE=str(tmp_path / "none"))
    assert refused.returncode == 3
    assert "cannot be read" in refused.stderr


def test_what_git_and_the_builder_must_not_see() -> None:
    ignored = (REPOSITORY / ".gitignore").read_text().splitlines()
    assert {"docker/secrets/", "docker/.env"} <= set(ignored)
    allowed = (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert allowed[1] == "*"
    assert not any("secrets" in line or ".env" in line for line in allowed if line[:1] == "!")


@pytest.mark.parametrize(
    ("value", "filled"),
    [("${A}", "1"), ("${B:-2}", "2"), ("${A:-2}", "1"), ("$${A}", "${A}"), ("${E:-x}", "x")],
)
def test_variables_are_filled_as_compose_fills_them(
    value: str, filled: str, tmp_path: Path
) -> None:
    content: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    content["name"] = value
    path = tmp_path / "compose.yaml"
    path.write_text(yaml.safe_dump(content))
    assert read_compose(path, {**USER, "A": "1", "E": ""}).name == filled


def test_durations_are_read() -> None:
    assert seconds("15s") == 15.0
    with pytest.raises(ValueError, match="no duration"):
        seconds("soon")
