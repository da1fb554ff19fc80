"""A headless Chromium, driven over a pipe by its DevTools protocol: no driver, no port."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHROMIUM = next(
    (
        found
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (found := shutil.which(name))
    ),
    None,
)
"""The browser on this machine, if there is one."""

TIMEOUT_SECONDS = 60.0

_OPTIONS = (
    "--headless",
    "--no-sandbox",  # a container's root has no other way
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)


# The browser reads commands from its descriptor 3 and answers on 4.
_WIRING = """
import os, sys
commands, answers = (os.dup(int(given)) for given in sys.argv[1:3])
os.dup2(commands, 3)
os.dup2(answers, 4)
for wired in (3, 4):
    os.set_inheritable(wired, True)  # also where it had that number already
os.execv(sys.argv[3], sys.argv[3:])
"""


@dataclass
class Page:
    """One page, and what went on in it.

    Attributes:
        complaints: Errors and warnings of the console, and exceptions that nobody caught.
        requests: Addresses that it asked for, its own first.
    """

    _write_to: int
    _read_from: int
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    _session: str | None = None
    _last_id: int = 0
    _rest: bytes = b""
    _loaded: int = 0

    def open(self, url: str, *, width: int, height: int, dark: bool = False) -> None:
        """Load an address in a window of that size, and wait until it has loaded."""
        if self._session is None:
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
            self._session = attached["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.call(f"{domain}.enable")
        is_phone = width < 600
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=is_phone,
        )
        self.call("Emulation.setTouchEmulationEnabled", enabled=is_phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        seen = self._loaded
        self.call("Page.navigate", url=url)
        self.wait_until(lambda: self._loaded > seen, "the page loads")

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise is waited for."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press and let go of a key, as a person does."""
        values = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        typed = {"text": text} if text else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **values, **typed)
        self.call("Input.dispatchKeyEvent", type="keyUp", **values)

    def screenshot(self, path: Path) -> None:
        """The whole page, also what is below the window, as a PNG."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))

    def wait_until(self, condition: Any, what: str) -> None:
        """Take in events until the condition holds.

        Raises:
            AssertionError: It does not within a minute.
        """
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain: {what}"
            self._receive(0.1)

    def call(self, method: str, **params: Any) -> Any:
        """One command of the protocol, and its answer."""
        self._last_id += 1
        mine = self._last_id
        session = {"sessionId": self._session} if self._session else {}
        message = {"id": mine, "method": method, "params": params, **session}
        os.write(self._write_to, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            for answer in self._receive(1.0):
                if answer.get("id") == mine:
                    assert "error" not in answer, (method, answer["error"])
                    return answer["result"]
        raise AssertionError(f"the browser does not answer {method}")

    def _receive(self, seconds: float) -> list[dict[str, Any]]:
        """Messages that have come; events are kept by kind, answers returned."""
        if not select.select([self._read_from], [], [], seconds)[0]:
            return []
        received = os.read(self._read_from, 1 << 20)
        assert received, "the browser has ended"
        *whole, self._rest = (self._rest + received).split(b"\0")
        messages = [json.loads(each) for each in whole]
        for message in messages:
            self._note(message.get("method", ""), message.get("params", {}))
        return [message for message in messages if "id" in message]

    def _note(self, method: str, params: dict[str, Any]) -> None:
        match method:
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(params["exceptionDetails"])[:500])
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                self.complaints.append(json.dumps(params["args"])[:500])
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.complaints.append(params["entry"]["text"][:500])
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Page.loadEventFired":
                self._loaded += 1


@contextmanager
def browser_page(profile: Path) -> Iterator[Page]:
    """A page in a browser of its own, which ends with the block.

    Args:
        profile: A folder that the browser may fill.
    """
    assert CHROMIUM is not None
    command_out, command_in = os.pipe()
    answer_out, answer_in = os.pipe()
    wired = [sys.executable, "-S", "-c", _WIRING, str(command_out), str(answer_in)]
    process = subprocess.Popen(
        [*wired, CHROMIUM, *_OPTIONS, f"--user-data-dir={profile}"],
        pass_fds=(command_out, answer_in),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(command_out)
    os.close(answer_in)
    page = Page(command_in, answer_out)
    try:
        yield page
    finally:
        page._session = None
        with suppress(Exception):
            page.call("Browser.close")
        os.close(command_in)
        os.close(answer_out)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
