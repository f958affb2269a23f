"""The few calls of the Kubernetes API that are needed, with answers that are distrusted.

Three things can come of asking: an answer, a refusal with a status (``ApiRefused``), or nothing
that can be relied on (``EngineUnavailable``): no connection, too slow, busy (429), broken (5xx),
not let in (401), or something that is not what the API speaks.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import httpx

from suanwang.engines.kubernetes.connection import Connection
from suanwang.engines.port import EngineUnavailable

FIELD_MANAGER = "suanwang"
_ANSWER_BYTES_MAX = 64 << 20
_EVENT_BYTES_MAX = 4 << 20
_PAGE = "500"
_REFUSALS = frozenset({400, 403, 404, 405, 409, 410, 413, 415, 422})

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


class ApiRefused(Exception):
    """The API server understood and said no."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        # Of an unchangeable field the API first quotes the whole object, then says what is wrong.
        self.immutable = status == 422 and "immutable" in message
        message = message if len(message) <= 400 else f"{message[:200]} … {message[-200:]}"
        super().__init__(f"{status} {reason}: {message}")
        self.status, self.reason, self.message = status, reason, message


class Client:
    """One identity at one API server. May be used by several threads."""

    def __init__(self, connection: Connection, timeout_seconds: float) -> None:
        self._connection = connection
        self._timeout = timeout_seconds
        self._http = httpx.Client(
            base_url=connection.server,
            verify=connection.tls if connection.tls is not None else False,
            timeout=timeout_seconds,
            trust_env=False,
            proxy=connection.proxy,
            headers={"Accept": "application/json", "User-Agent": "suanwang"},
        )

    @property
    def namespace(self) -> str:
        return self._connection.namespace

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, **parameters: str) -> dict[str, Any]:
        return _object(self._ask("GET", path, parameters))

    def apply(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Server-side apply: the object is as said afterwards, however often it is said."""
        parameters = {"fieldManager": FIELD_MANAGER, "force": "true", "fieldValidation": "Strict"}
        return _object(self._ask("PATCH", path, parameters, body, APPLY))

    def merge(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change some fields, under another manager's name than what ``apply`` owns."""
        parameters = {"fieldManager": f"{FIELD_MANAGER}-cancel"}
        return _object(self._ask("PATCH", path, parameters, body, MERGE))

    def delete(self, path: str) -> None:
        """Delete with all that belongs to it. Already gone is good."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        with suppress(_NotFound):
            self._ask("DELETE", path, {}, options)

    def text(self, path: str, **parameters: str) -> bytes:
        """An answer that is no object, such as a log."""
        return self._ask("GET", path, parameters)

    def pages(self, path: str, **parameters: str) -> Iterator[dict[str, Any]]:
        """A list, page by page, so that no more than one of them is held."""
        query = {**parameters, "limit": _PAGE}
        while True:
            page = self.get(path, **query)
            if not isinstance(page.get("items"), list):
                raise EngineUnavailable(f"{path} answers something that is no list")
            yield page
            follow = page.get("metadata", {}).get("continue")
            if not follow:
                return
            query["continue"] = str(follow)

    def watch(
        self, path: str, opened: list[Any], stopping: threading.Event, **parameters: str
    ) -> Iterator[dict[str, Any] | None]:
        """Changes as they come, until the server ends it or somebody sets ``stopping`` and hangs
        up on what is ``opened``. None first: the server has taken it.
        """
        query = {**parameters, "watch": "true", "allowWatchBookmarks": "true"}
        timeout = httpx.Timeout(self._timeout, read=float(query["timeoutSeconds"]) + 15)
        try:
            with self._http.stream(
                "GET", path, params=query, headers=self._headers(), timeout=timeout
            ) as response:
                if response.status_code != 200:
                    raise _failure(response, _bounded(response))
                opened.append(response)
                if stopping.is_set():  # it was set before there was anything to hang up on
                    return
                yield None
                yield from _events(response)
        except httpx.HTTPError as error:
            raise EngineUnavailable(f"the watch of {path} broke: {error!r}") from None
        finally:
            opened.clear()

    def _ask(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str],
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        headers = self._headers()
        if body is not None:
            headers["Content-Type"] = content_type
        try:
            with self._http.stream(
                method, path, params=dict(parameters), headers=headers,
                content=None if body is None else json.dumps(body).encode(),
            ) as response:  # fmt: skip
                data = _bounded(response)
                if response.status_code not in (200, 201, 202):
                    raise _failure(response, data)
                return data
        except httpx.HTTPError as error:
            raise EngineUnavailable(f"the API server does not answer: {error!r}") from None

    def _headers(self) -> dict[str, str]:
        try:
            token = self._connection.token()
        except (OSError, UnicodeDecodeError) as error:
            raise EngineUnavailable(f"the token cannot be read: {error}") from None
        return {"Authorization": f"Bearer {token}"} if token else {}


class _NotFound(ApiRefused):
    """There is no such thing (any more)."""


def hang_up(opened: list[Any]) -> None:
    """Wake a thread that waits in ``watch``."""
    for response in list(opened):
        stream = response.extensions.get("network_stream")
        raw = stream.get_extra_info("socket") if stream is not None else None
        if raw is not None:
            with suppress(OSError):
                raw.shutdown(socket.SHUT_RDWR)


def _bounded(response: httpx.Response) -> bytes:
    data = bytearray()
    for piece in response.iter_bytes():
        data += piece
        if len(data) > _ANSWER_BYTES_MAX:
            raise EngineUnavailable("the API server's answer has no end")
    return bytes(data)


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("metadata", {}), dict):
        raise EngineUnavailable("the API server answers something that is no object")
    return found


def _events(response: httpx.Response) -> Iterator[dict[str, Any]]:
    waiting = bytearray()
    for piece in response.iter_bytes():
        waiting += piece
        *lines, rest = waiting.split(b"\n")
        waiting = bytearray(rest)
        if len(waiting) > _EVENT_BYTES_MAX:
            raise EngineUnavailable("an event has no end")
        for line in lines:
            if line.strip():
                yield _object(bytes(line))
    if waiting.strip():
        raise EngineUnavailable("the watch ended within an event, or was none")


def _failure(response: httpx.Response, data: bytes) -> Exception:
    status = response.status_code
    try:
        said = json.loads(data)
    except ValueError:
        said = None
    said = said if isinstance(said, dict) else {}
    reason, message = str(said.get("reason", ""))[:80], str(said.get("message", ""))
    if status not in _REFUSALS or said.get("kind") != "Status":
        return EngineUnavailable(
            f"the API server answers {status} {reason} {message[:200]}".strip()
        )
    kind = _NotFound if status == 404 else ApiRefused
    return kind(status, reason, message)
