"""The line between an agent and its platform, which can be cut in ways a real one is."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress


class Wire:
    """A connection to the platform that can be cut in either direction, or left half-open."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._port, self._tls = port, tls
        self.drop_requests = self.drop_answers = self.silent = False
        self._server = socket.create_server(("127.0.0.1", 0))
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._server.accept()
                threading.Thread(target=self._let_in, args=(near,), daemon=True).start()

    def _let_in(self, near: socket.socket) -> None:
        if self._tls is not None:
            try:
                near = self._tls.wrap_socket(near, server_side=True)
            except OSError:  # whoever it is does not trust us
                near.close()
                return
        self._carry(near)

    def _carry(self, near: socket.socket) -> None:
        with near, socket.create_connection(("127.0.0.1", self._port)) as far:
            back = threading.Thread(target=self._answers, args=(far, near), daemon=True)
            back.start()
            with suppress(OSError):
                while data := near.recv(65536):
                    if self.silent:
                        continue  # half-open: it is taken, and nothing ever comes
                    if self.drop_requests:
                        break
                    far.sendall(data)
            with suppress(OSError):
                far.shutdown(socket.SHUT_RDWR)
            back.join(5)

    def _answers(self, far: socket.socket, near: socket.socket) -> None:
        with suppress(OSError):
            while data := far.recv(65536):
                if self.drop_answers:
                    break  # what was asked was done there, and is not known here
                near.sendall(data)
        with suppress(OSError):
            near.shutdown(socket.SHUT_RDWR)
