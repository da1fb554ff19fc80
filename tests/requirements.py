"""What a test needs of its machine: without it a person's run goes on, and CI's fails."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

IS_CI = os.environ.get("CI") == "true"
"""As `.ci/run` sets it: there all that tests need is installed, so nothing goes unchecked."""


def skip_or_fail(reason: str) -> NoReturn:
    """Skip the test that needs what is missing; in CI it fails."""
    if IS_CI:
        pytest.fail(f"CI must not skip this: {reason}")
    pytest.skip(reason)
