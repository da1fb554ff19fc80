"""`make audit` judges rightly what services and packages tell; the network is not asked here."""

from __future__ import annotations

import datetime
from email.message import Message
from typing import Any

import pytest

from tests.scripts import ROOT, load_script

TODAY = datetime.date(2026, 11, 22)

audit = load_script(".ci/audit.py")


def policy_of(accepted: str = "") -> Any:
    return audit.read_policy(
        f"""
        [tool.archsearch.audit]
        accepted = [{accepted}]
        licences = ["MIT", "BSD-3-Clause", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"]
        licence-exceptions = {{ "nvidia-*" = "theirs" }}
        """
    )


VULNERABLE = {
    "name": "pillow",
    "version": "12.0.0",
    "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1", "GHSA-1"], "fix_versions": ["13.0.0"]}],
}
CLEAN = {"name": "torch", "version": "2.14.1", "vulns": []}
SKIPPED = {"name": "ours", "skip_reason": "not on PyPI"}


def accepted(package: str = "pillow", id: str = "CVE-1", until: str = "2026-12-01") -> str:
    return f'{{ id = "{id}", package = "{package}", reason = "no such files", until = {until} }}'


def test_a_vulnerable_package_is_told_with_its_fix() -> None:
    told = audit.judge_advisories([VULNERABLE, CLEAN, SKIPPED], policy_of(), TODAY)
    assert told == ["pillow 12.0.0: CVE-1, GHSA-1, PYSEC-1, fixed in 13.0.0"]


@pytest.mark.parametrize(
    ("entry", "problems"),
    [
        (accepted(), []),
        (accepted(until="2026-11-22"), []),
        (accepted(until="2026-11-21"), ["accepted until 2026-11-21"]),
        (accepted(package="torch"), ["fixed in 13.0.0", "torch: CVE-1 is accepted but no longer"]),
        (accepted(id="CVE-2"), ["fixed in 13.0.0", "pillow: CVE-2 is accepted but no longer"]),
    ],
)
def test_an_accepted_finding_counts_again_after_its_day_and_goes_when_it_is_gone(
    entry: str, problems: list[str]
) -> None:
    told = audit.judge_advisories([VULNERABLE, CLEAN], policy_of(entry), TODAY)
    assert len(told) == len(problems)
    assert all(part in line for part, line in zip(problems, told, strict=True))


def test_a_finding_is_not_taken_for_gone_when_its_package_was_not_audited() -> None:
    assert audit.judge_advisories([SKIPPED], policy_of(accepted("ours")), TODAY) == []


def package(name: str, **fields: str | list[str]) -> Message:
    message = Message()
    message["Name"] = name
    for key, value in fields.items():
        for line in [value] if isinstance(value, str) else value:
            message[key.replace("_", "-")] = line
    return message


@pytest.mark.parametrize(
    ("fields", "allowed"),
    [
        ({"License_Expression": "MIT"}, True),
        ({"License_Expression": "Apache-2.0 AND Apache-2.0 WITH LLVM-exception"}, True),
        ({"License_Expression": "MIT AND GPL-3.0-only"}, False),
        ({"License_Expression": "MIT OR GPL-3.0-only"}, True),
        ({"License_Expression": "(MIT OR GPL-3.0-only) AND LGPL-3.0-only"}, False),
        ({"Classifier": ["License :: OSI Approved :: MIT License"]}, True),
        ({"Classifier": ["License :: OSI Approved :: GNU General Public License"]}, False),
        ({"License": "Apache 2.0"}, True),
        ({"License": "3-Clause BSD License"}, True),
        ({"License": "Proprietary"}, False),
        ({"License": "MIT\nwith much more text"}, False),
        ({}, False),
        ({"License_Expression": "MIT AND"}, False),
    ],
)
def test_a_licence_is_allowed_in_whatever_way_it_is_told(
    fields: dict[str, str | list[str]], allowed: bool
) -> None:
    told = audit.judge_licences([package("some", **fields)], policy_of())
    assert (told == []) is allowed


def test_an_excepted_package_may_have_any_licence() -> None:
    packages = [package("nvidia-cublas", License="Proprietary"), package("nvidia", License="?")]
    told = audit.judge_licences(packages, policy_of())
    assert [line.partition(":")[0] for line in told] == ["nvidia"]


def test_a_service_that_skips_everything_has_not_answered(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """pip-audit then says that no vulnerability is known, and ends with 0."""
    asked: list[list[str]] = []

    class Done:
        stdout = '{"dependencies": [{"name": "torch", "skip_reason": "not found"}]}'

    def run(command: list[str], **options: Any) -> Done:
        asked.append(command)
        return Done()

    monkeypatch.setattr(audit.subprocess, "run", run)
    assert audit.main() == 0
    assert "NOT AUDITED" in capsys.readouterr().out
    assert len(asked) == len(audit.SERVICES)


def test_the_project_s_own_policy_is_readable_and_gives_reasons() -> None:
    policy = audit.read_policy((ROOT / "pyproject.toml").read_text())
    assert "MIT" in policy.licences
    assert all(policy.exceptions.values())
    assert all(entry.reason for entry in policy.accepted)
