"""What stands between a search and its tracking server: lets calls through, or does not."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Literal, Self

Mode = Literal["open", "slow", "hanging", "closed"]
SECONDS_A_CALL = 5.0


class Gate:
    """A port of its own before a server's; how it treats new calls can change at any time.

    Attributes:
        port: Where clients connect.
        mode: `open` passes calls on, `slow` after `SECONDS_A_CALL`, `hanging` accepts them and
            never answers, `closed` breaks them off.
    """

    def __init__(self, backend: int, mode: Mode) -> None:
        self.mode: Mode = mode
        self._backend = backend
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._held: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()
        for held in self._held:
            held.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """One connection, which may carry many calls."""
        if self.mode == "hanging":
            self._held.append(client)
            return
        with client, contextlib.suppress(OSError):
            if self.mode == "closed":
                return
            with socket.create_connection(("127.0.0.1", self._backend)) as server:
                answered = threading.Event()
                answered.set()
                back = threading.Thread(
                    target=_pump, args=(server, client, answered.set), daemon=True
                )
                back.start()

                def begin() -> None:
                    """The first bytes of a call: those that follow an answer."""
                    if answered.is_set() and self.mode == "slow":
                        time.sleep(SECONDS_A_CALL)
                    answered.clear()

                _pump(client, server, begin)
                back.join()


def _pump(source: socket.socket, sink: socket.socket, before: Callable[[], object]) -> None:
    with contextlib.suppress(OSError):
        while content := source.recv(65536):
            before()
            sink.sendall(content)
        sink.shutdown(socket.SHUT_WR)
