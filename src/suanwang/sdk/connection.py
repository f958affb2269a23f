"""One connection to a city: keys, idempotency, retries and problems, in one place."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

import httpx

from suanwang.sdk.errors import CityUnreachable, RefusedByCity

TIMEOUT_SECONDS = 60.0
PATIENCE_SECONDS = 5.0
"""How long a call is tried again while the city cannot answer. A write is repeated under the same
Idempotency-Key, so a repeat never acts twice."""

_TRANSIENT = frozenset({502, 503, 504})


class Connection:
    """Speaks JSON with ``/api/v1``. Safe to repeat: every write carries an Idempotency-Key."""

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        language: str = "zh",
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._patience_seconds = patience_seconds
        headers = {"Accept-Language": "zh-CN" if language == "zh" else "en"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        self._http = httpx.Client(
            base_url=url.rstrip("/") + "/api/v1",
            headers=headers,
            timeout=TIMEOUT_SECONDS,
        )

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the sockets back."""
        self._http.close()

    def use_key(self, key: str) -> None:
        """Act with another API key from now on, and no longer with a session."""
        self._http.cookies.clear()
        self._http.headers["Authorization"] = f"Bearer {key}"

    def get(self, path: str, **query: Any) -> Any:
        """Read one thing."""
        return self._call("GET", path, query=query).json()

    def get_bytes(self, path: str, **query: Any) -> tuple[bytes, Mapping[str, str]]:
        """Read raw content with the headers it came with."""
        answer = self._call("GET", path, query=query)
        return answer.content, answer.headers

    def post(self, path: str, body: Any = None, *, idempotency_key: str | None = None) -> Any:
        """Do one thing, once. Pass the same key again to ask for the same answer again."""
        answer = self._call("POST", path, body=body, idempotency_key=idempotency_key)
        return answer.json() if answer.content else None

    def put(self, path: str, body: Any) -> Any:
        """Set one thing."""
        return self._call("PUT", path, body=body).json()

    def every(self, path: str, **query: Any) -> Iterator[Any]:
        """Walk a list page by page to its end."""
        cursor = None
        while True:
            page = self.get(path, cursor=cursor, **query)
            yield from page["items"]
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        idempotency_key: str | None = None,
    ) -> httpx.Response:
        headers = {}
        if method != "GET":
            headers["Idempotency-Key"] = idempotency_key or str(uuid.uuid4())
        asked = {name: value for name, value in (query or {}).items() if value is not None}
        give_up_at = time.monotonic() + self._patience_seconds
        pause_seconds = 0.1
        while True:
            last = time.monotonic() + pause_seconds > give_up_at
            try:
                answer = self._http.request(method, path, params=asked, json=body, headers=headers)
            except httpx.TransportError as error:
                if last:
                    raise CityUnreachable(str(error)) from error
            else:
                if answer.is_success:
                    return answer
                if last or answer.status_code not in _TRANSIENT:
                    raise _problem(answer)
            time.sleep(pause_seconds)
            pause_seconds = min(pause_seconds * 2, 2.0)


def _problem(answer: httpx.Response) -> RefusedByCity | CityUnreachable:
    if "json" in answer.headers.get("content-type", ""):
        return RefusedByCity(answer.status_code, answer.json())
    return CityUnreachable(f"HTTP {answer.status_code} that is not the city's")
