"""Asks the stack's servers over HTTP, as another program on another host does.

Runs in a container that has only Python: `ask.py WHO METHOD URL [JSON]`, where WHO is `ray`,
`mlflow` or `nobody`, or `mlflow:PASSWORD` for another password. Prints status and body as JSON.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path


def signature(who: str) -> dict[str, str]:
    """The header that says who asks."""
    name, _, password = who.partition(":")
    if name == "ray":
        token = Path(os.environ["RAY_AUTH_TOKEN_PATH"]).read_text().strip()
        return {"Authorization": f"Bearer {token}"}
    if name == "mlflow":
        user = os.environ["MLFLOW_TRACKING_USERNAME"]
        known = Path(os.environ["MLFLOW_TRACKING_PASSWORD_FILE"]).read_text().strip()
        pair = f"{user}:{password or known}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    return {}


def main() -> None:
    """Ask once."""
    who, method, url, *body = sys.argv[1:]
    headers = {"Content-Type": "application/json", **signature(who)}
    if "HOST_HEADER" in os.environ:
        headers["Host"] = os.environ["HOST_HEADER"]
    content = body[0].encode() if body else None
    request = urllib.request.Request(url, content, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            status, text = answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read().decode()
    print(json.dumps({"status": status, "body": text}))


if __name__ == "__main__":
    main()
