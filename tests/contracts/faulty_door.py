"""A door before a real HTTP service that can be told how to fail."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import httpx


class FaultyDoor:
    """Forwards what comes, until ``fault`` says otherwise."""

    def __init__(self, url: str) -> None:
        handler = type("Handler", (_Handler,), {"door": self})
        self.fault = ""
        self.behind = httpx.Client(base_url=url, trust_env=False, timeout=60)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
        self.behind.close()


ANSWERS: dict[str, tuple[int, bytes]] = {
    "a web page": (200, b"<html><body>Welcome</body></html>"),
    "a proxy that knows no such page": (404, b"<html>Not found</html>"),
    "an empty answer": (200, b""),
    "json of another shape": (200, b'{"status": 7, "result": [[]]}'),
    "an empty list": (200, b"[]"),
    "half of an answer": (200, b'[{"submission_id": "a", "sta'),
    "a failing gateway": (502, b"bad gateway"),
    "a locked door": (401, b"who are you?"),
    "another place": (302, b""),
    "bytes": (200, bytes(range(256)) * 64),
}


class _Handler(BaseHTTPRequestHandler):
    door: ClassVar[FaultyDoor]

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        content = self.rfile.read(length) if length else self._chunks()
        fault = self.door.fault
        if fault == "silence":  # the line is cut before anything is said
            self._hang_up()
            return
        if fault in ANSWERS:
            self._answer(*ANSWERS[fault])
            return
        reply = self.door.behind.request(
            self.command,
            self.path,
            content=content,
            headers={"Content-Type": self.headers.get("Content-Type", "")},
        )
        if fault == "the answer to a submission gets lost" and self.command == "POST":
            self._hang_up()
            return
        attached = {"Content-Disposition": reply.headers.get("Content-Disposition", "inline")}
        self._answer(reply.status_code, reply.content, attached)

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815

    def _chunks(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return b""
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as it is called
        """Nothing: what was asked is not what a test shows."""
