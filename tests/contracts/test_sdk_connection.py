"""What the SDK promises of every call, against a real HTTP server on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from suanwang.sdk.connection import Connection
from suanwang.sdk.errors import CityUnreachable, RefusedByCity


class _City(BaseHTTPRequestHandler):
    """Answers as the city would, and remembers what it was asked."""

    seen: list[tuple[str, str | None]]

    def _answer(self, status: int, body: object, kind: str = "application/json") -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        pages = {None: ([1, 2], "b"), "b": ([3], None)}
        items, following = pages[query.get("cursor", [None])[0]]
        self._answer(200, {"items": items, "next_cursor": following})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.seen.append((self.path, self.headers["Idempotency-Key"]))
        if self.path.endswith("/busy") and len(self.seen) < 3:
            self._answer(503, {"code": "busy"}, "application/problem+json")
        elif self.path.endswith("/no"):
            problem = {"code": "budget_exceeded", "detail": "Not enough.", "facts": {"needed": 5}}
            self._answer(409, problem, "application/problem+json")
        else:
            self._answer(201, {"done": True})

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture
def city() -> Iterator[tuple[str, type[_City]]]:
    handler = type("City", (_City,), {"seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_write_is_repeated_under_one_key_until_the_city_can_answer(
    city: tuple[str, type[_City]],
) -> None:
    url, handler = city
    with Connection(url) as connection:
        assert connection.post("/busy", {}) == {"done": True}
    keys = {key for _, key in handler.seen}
    assert len(handler.seen) == 3
    assert len(keys) == 1
    assert None not in keys


def test_two_writes_never_share_a_key(city: tuple[str, type[_City]]) -> None:
    url, handler = city
    with Connection(url) as connection:
        connection.post("/x", {})
        connection.post("/x", {})
    assert handler.seen[0][1] != handler.seen[1][1]


def test_a_refusal_keeps_its_code_message_and_facts(city: tuple[str, type[_City]]) -> None:
    url, handler = city
    with Connection(url) as connection, pytest.raises(RefusedByCity) as refusal:
        connection.post("/no", {})
    assert (refusal.value.status, refusal.value.code) == (409, "budget_exceeded")
    assert refusal.value.facts == {"needed": 5}
    assert len(handler.seen) == 1, "a refusal is an answer and is not asked for again"


def test_a_list_is_walked_to_its_end(city: tuple[str, type[_City]]) -> None:
    with Connection(city[0]) as connection:
        assert list(connection.every("/things")) == [1, 2, 3]


def test_no_city_is_unreachable_by_name() -> None:
    with (
        Connection("http://127.0.0.1:9", patience_seconds=0.2) as connection,
        pytest.raises(CityUnreachable),
    ):
        connection.get("/anything")
