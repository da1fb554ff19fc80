"""`make audit`: known vulnerabilities and licences of everything that is installed here.

pip-audit asks PyPI, then OSV. A service that does not answer fails nothing, since a network is no
property of the code, but it is said in capitals. What is known and accepted stands in
pyproject.toml, `[tool.archsearch.audit]`, with its reason and the day until which it is. Exit
codes: 0 nothing found, 1 something is.
"""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path
from typing import Any

import license_expression

ROOT = Path(__file__).resolve().parents[1]
SERVICES = ("pypi", "osv")
_PATIENCE_SECONDS = 90

# What packages wrote before there were licence expressions.
_SPDX = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}


@dataclass(frozen=True)
class Accepted:
    """A finding that somebody has looked at.

    Attributes:
        id: The advisory's, or one of its aliases.
        package: Where it is.
        reason: Why it does no harm here.
        until: From the day after this one it counts again.
    """

    id: str
    package: str
    reason: str
    until: datetime.date


@dataclass(frozen=True)
class Policy:
    """What `[tool.archsearch.audit]` says.

    Attributes:
        accepted: Known findings.
        licences: SPDX names that everything may have.
        exceptions: Reasons for packages with another licence or none that can be read, by
            name or pattern.
    """

    accepted: tuple[Accepted, ...]
    licences: frozenset[str]
    exceptions: Mapping[str, str]


def read_policy(pyproject: str) -> Policy:
    """The policy in the text of a pyproject.toml."""
    told = tomllib.loads(pyproject)["tool"]["archsearch"]["audit"]
    return Policy(
        accepted=tuple(Accepted(**entry) for entry in told["accepted"]),
        licences=frozenset(told["licences"]),
        exceptions=told["licence-exceptions"],
    )


def judge_advisories(
    dependencies: Iterable[Mapping[str, Any]], policy: Policy, today: datetime.date
) -> list[str]:
    """What is wrong with the dependencies of a report of pip-audit, a line each."""
    problems, met = [], set()
    for dependency in dependencies:
        name = dependency["name"]
        for found in dependency.get("vulns", ()):
            ids = {found["id"], *found["aliases"]}
            known = [a for a in policy.accepted if a.package == name and a.id in ids]
            met.update(known)
            if any(today <= accepted.until for accepted in known):
                continue
            fix = ", ".join(found["fix_versions"]) or "none yet"
            past = f" (accepted until {known[0].until})" if known else ""
            problems.append(
                f"{name} {dependency['version']}: {', '.join(sorted(ids))}, fixed in {fix}{past}"
            )
    audited = {d["name"] for d in dependencies if "vulns" in d}
    problems += [
        f"{a.package}: {a.id} is accepted but no longer found; take it out of pyproject.toml"
        for a in policy.accepted
        if a not in met and a.package in audited
    ]
    return problems


def licence_of(package: metadata.PackageMetadata) -> str:
    """A package's licence as an SPDX expression, as far as its metadata tell; empty if not."""
    expression = package.get("License-Expression")
    if expression:
        return str(expression)
    classifiers = [
        line.rpartition("::")[2].strip()
        for line in package.get_all("Classifier") or ()
        if line.startswith("License ::")
    ]
    named = [_SPDX[line] for line in classifiers if line in _SPDX]
    if named:
        return " OR ".join(sorted(set(named)))
    text = str(package.get("License") or "").strip()
    return _SPDX.get(text, text) if "\n" not in text else ""


def is_allowed(expression: str, licences: frozenset[str]) -> bool:
    """Whether an SPDX expression is satisfied by allowed licences alone."""
    try:
        parsed = license_expression.get_spdx_licensing().parse(expression)
    except license_expression.ExpressionError:
        return False
    return parsed is not None and _is_satisfied(parsed, licences)


def _is_satisfied(part: Any, licences: frozenset[str]) -> bool:
    if isinstance(part, license_expression.AND):
        return all(_is_satisfied(p, licences) for p in part.args)
    if isinstance(part, license_expression.OR):
        return any(_is_satisfied(p, licences) for p in part.args)
    return str(part) in licences


def judge_licences(packages: Iterable[metadata.PackageMetadata], policy: Policy) -> list[str]:
    """What is wrong with the licences of packages, a line each."""
    problems = []
    for package in packages:
        name, licence = str(package["Name"]), licence_of(package)
        excepted = any(fnmatch(name.lower(), pattern) for pattern in policy.exceptions)
        if not excepted and not is_allowed(licence, policy.licences):
            problems.append(
                f"{name}: its licence is {licence or 'not told'}, which pyproject.toml neither "
                "allows nor excepts"
            )
    return problems


def ask(service: str) -> list[dict[str, Any]] | None:
    """What a vulnerability service knows of all that is installed; None without an answer."""
    command = [sys.executable, "-m", "pip_audit", "--skip-editable", "--progress-spinner=off"]
    try:
        done = subprocess.run(
            [*command, "--format=json", f"--vulnerability-service={service}"],
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
            check=False,
        )
        dependencies: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        return None
    return dependencies if any("vulns" in d for d in dependencies) else None


def main() -> int:
    """Ask, judge, print."""
    policy = read_policy((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    problems = judge_licences([d.metadata for d in metadata.distributions()], policy)
    for service in SERVICES:
        dependencies = ask(service)
        if dependencies is None:
            print(f"{service} knows nothing of what is installed here, or does not answer")
            continue
        problems += judge_advisories(dependencies, policy, datetime.datetime.now().date())
        skipped = [d["name"] for d in dependencies if "vulns" not in d]
        print(f"{service}: {len(dependencies) - len(skipped)} packages audited")
        if skipped:
            print(f"NOT AUDITED, unknown to {service}: {', '.join(skipped)}")
        break
    else:
        print(
            "NOT AUDITED: NO VULNERABILITY SERVICE HAS ANSWERED. Nothing is known of "
            "vulnerabilities; call `make audit` where pypi.org or api.osv.dev can be reached."
        )
    for problem in problems:
        print(f"FIX {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
