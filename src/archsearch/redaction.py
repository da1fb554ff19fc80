"""One rule for what must not be shown: used for every log line, message and run."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

_MASK = "***"
_PASSWORD = re.compile(r"://[^/\s:@'\"]*:[^/\s'\"]+@")
_USERINFO = re.compile(r"(?<=://)[^/\s'\"]+@")
_SENSITIVE = r"(?:password|passwd|pwd|token|secret|api_?key|access_?key|signature|credential)"
_QUERY = re.compile(rf"(?i)([?&;][^=&\s]*{_SENSITIVE}[^=&\s]*=)[^&\s'\"]+")
_SECRET_NAME = re.compile(rf"(?i){_SENSITIVE}")
_SHORTEST_SECRET = 6
_FOLDERS = frozenset({"PWD", "OLDPWD"})  # a shell's, however their names look


def redact(text: str) -> str:
    """The text without user names and passwords of URLs, and without secrets of the environment.

    A secret of the environment is the value (6 characters or more) of a variable whose name
    says so, such as `MLFLOW_TRACKING_PASSWORD`.
    """
    return redactor()(text)


def holds_secret(text: str) -> bool:
    """Whether a URL in a text has a password, or something else that its name says is secret."""
    return bool(_PASSWORD.search(text) or _QUERY.search(text))


def redactor() -> Callable[[str], str]:
    """`redact` for many texts: it looks at the environment once."""
    secrets = [
        value
        for name, value in os.environ.items()
        if name not in _FOLDERS and len(value) >= _SHORTEST_SECRET and _SECRET_NAME.search(name)
    ]

    def without_secrets(text: str) -> str:
        text = _QUERY.sub(rf"\1{_MASK}", _USERINFO.sub(f"{_MASK}@", text))
        for secret in secrets:
            text = text.replace(secret, _MASK)
        return text

    return without_secrets


def shown_address(uri: str) -> str:
    """An address as commands show it, to be given again: a server's without who signs in there.

    MLflow's name and password can be said in the environment; `***` in their place would be sent.
    """
    is_server = uri.lower().startswith(("http://", "https://"))
    return redact(_USERINFO.sub("", uri) if is_server else uri)


def redact_all(value: Any) -> Any:
    """JSON-able data with every text in it redacted."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {k: redact_all(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [redact_all(v) for v in value]
    return value
