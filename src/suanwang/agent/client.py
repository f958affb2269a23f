"""Speaks to the platform: outwards only, every request signed, every answer distrusted.

Two things can go wrong and are kept apart: the platform cannot be asked (``PlatformUnavailable``:
the same request may succeed later) or it will not take this (``PlatformRefused``: it never will).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import IO, Any, TypeVar
from urllib.parse import quote, urlsplit

import httpx
from pydantic import BaseModel, ValidationError

from suanwang import __version__
from suanwang.agent import messages
from suanwang.agent.signing import AgentKey, verify_answer
from suanwang.core.signed import NONCE_HEADER, SIGNATURE_HEADER

BASE = "/api/v1/agent"
_ANSWER_BYTES_MAX = 8 << 20
READ_SECONDS = 30.0
"""How long an answer may be silent; a half-open connection is given up after it."""
_SKEW_NOTED_SECONDS = 3

_Model = TypeVar("_Model", bound=BaseModel)


class PlatformUnavailable(Exception):
    """No answer, no usable answer, or one that says to come back later."""

    def __init__(self, said: str, code: str = "") -> None:
        super().__init__(said)
        self.code = code
        """The platform's, if it gave one."""


class PlatformRefused(Exception):
    """The platform understood and will not take it."""

    def __init__(
        self, status: int, code: str, detail: str, facts: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.facts = facts or {}


class PlatformClient:
    """One connection pool; safe to use from several threads."""

    def __init__(self, url: str, key: AgentKey, agent_id: str = "", platform_key: str = "") -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is not the address of a platform")
        local = parts.hostname in ("127.0.0.1", "localhost", "::1")
        self._key = key
        self._agent_id = agent_id
        self._platform_key = platform_key
        self.skew_seconds = 0.0
        """How far the platform's clock is ahead of this machine's."""
        self._http = httpx.Client(
            base_url=url.rstrip("/"),
            timeout=httpx.Timeout(READ_SECONDS, connect=10.0),
            trust_env=not local,  # a proxy leads out of the house, not into it
            headers={"User-Agent": f"suanwang-agent/{__version__}"},
            follow_redirects=False,
        )

    def close(self) -> None:
        self._http.close()

    # -- the protocol ------------------------------------------------------------

    def enrol(self, token: str) -> messages.Enrolled:
        """Become known, and pin the key the platform signs its answers with from now on.

        Its first answer must be signed with that key already.
        """
        asked = {"token": token, "public_key": self._key.public, "version": __version__}
        nonce, status, answer, signature = self._ask("POST", "enrol", json.dumps(asked).encode())
        self._judge(status, answer)
        enrolled = self._read(answer, messages.Enrolled)
        if enrolled.platform_key and not verify_answer(
            enrolled.platform_key, signature, nonce, status, answer
        ):
            raise PlatformUnavailable("the answer is not signed with the key it names")
        return enrolled

    def report(self, inventory: Mapping[str, Any]) -> messages.Reported:
        answer = self._post("report", inventory, messages.Reported)
        self._note_time(answer.server_time)
        return answer

    def known(self) -> messages.Known:
        """Who the platform says this agent is. Changes nothing."""
        return self._read(self._send("GET", "self", b"", None), messages.Known)

    def energy(self, readings: Sequence[Mapping[str, Any]]) -> messages.Taken:
        return self._post("energy", {"readings": list(readings)}, messages.Taken)

    def poll(self, door: Mapping[str, Any], wait_seconds: int) -> messages.Orders:
        asked = {**door, "wait_seconds": wait_seconds}
        answer = self._post("poll", asked, messages.Orders, patience=wait_seconds)
        self._note_time(answer.server_time)
        return answer

    def states(self, events: Sequence[Mapping[str, Any]]) -> messages.Taken:
        return self._post("states", {"events": list(events)}, messages.Taken)

    def usage(self, records: Sequence[Mapping[str, Any]]) -> messages.Taken:
        return self._post("usage", {"records": list(records)}, messages.Taken)

    def link(self, found: Mapping[str, Any]) -> messages.Noted:
        """What a measurement came to, or why it came to nothing."""
        return self._post("links", found, messages.Noted)

    def log(self, attempt_id: str, stream: str, offset: int, data: bytes) -> int:
        """Hand over a piece of output; the offset from which the platform wants more."""
        path = f"logs/{attempt_id}/{stream}?offset={offset}"
        body = self._send("POST", path, data, "application/octet-stream")
        return self._read(body, messages.LogTaken).next_offset

    def put_file(self, attempt_id: str, name: str, data: bytes) -> None:
        path = f"files/{attempt_id}/{quote(name, safe='/')}"
        self._send("PUT", path, data, "application/octet-stream")

    def get_file(self, attempt_id: str, name: str, into: IO[bytes], size: int) -> str:
        """Fetch a file in; its SHA-256. Never takes more than it should be."""
        path = f"files/{attempt_id}/{quote(name, safe='/')}"
        body = self._send("GET", path, b"", None, answer_max=size)
        into.write(body)
        return hashlib.sha256(body).hexdigest()

    # -- one request ------------------------------------------------------------

    def _post(
        self, path: str, asked: Mapping[str, Any], model: type[_Model], *, patience: int = 0
    ) -> _Model:
        body = json.dumps(asked).encode()
        return self._read(
            self._send("POST", path, body, "application/json", patience=patience), model
        )

    def _read(self, body: bytes, model: type[_Model]) -> _Model:
        try:
            return model.model_validate_json(body)
        except ValidationError as error:
            raise PlatformUnavailable(f"an answer that makes no sense: {error!s:.200}") from None

    def _send(
        self,
        method: str,
        path: str,
        body: bytes,
        content_type: str | None,
        *,
        patience: int = 0,
        answer_max: int = _ANSWER_BYTES_MAX,
    ) -> bytes:
        nonce, status, answer, signature = self._ask(
            method, path, body, content_type, patience=patience, answer_max=answer_max
        )
        if self._platform_key and not verify_answer(
            self._platform_key, signature, nonce, status, answer
        ):
            # A proxy's error page, or somebody in between: no word of it counts.
            raise PlatformUnavailable(f"an answer ({status}) the platform did not sign")
        self._judge(status, answer)
        return answer

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes,
        content_type: str | None = "application/json",
        *,
        patience: int = 0,
        answer_max: int = _ANSWER_BYTES_MAX,
    ) -> tuple[str, int, bytes, str]:
        """One signed request: its nonce, and the status, body and signature of the answer."""
        headers = {} if content_type is None else {"Content-Type": content_type}
        timeout = httpx.Timeout(READ_SECONDS + patience, connect=10.0)
        request = self._http.build_request(
            method, f"{BASE}/{path}", content=body, headers=headers, timeout=timeout
        )
        target = request.url.raw_path.decode("ascii")
        at = int(time.time() + self.skew_seconds)
        request.headers.update(
            self._key.headers(self._agent_id, method, target, body, timestamp=at)
        )
        try:
            response = self._http.send(request, stream=True)
            try:
                answer = _bounded(response, answer_max)
            finally:
                response.close()
        except httpx.HTTPError as error:
            raise PlatformUnavailable(f"{type(error).__name__}: {error}") from error
        nonce = request.headers[NONCE_HEADER]
        return nonce, response.status_code, answer, response.headers.get(SIGNATURE_HEADER, "")

    def _note_time(self, there: datetime) -> None:
        """Live by the platform's clock: this machine's may be minutes off."""
        skew = there.timestamp() - time.time()
        self.skew_seconds = skew if abs(skew) > _SKEW_NOTED_SECONDS else 0.0

    def _judge(self, status: int, answer: bytes) -> None:
        if status < 300:
            return
        try:
            problem = messages.Problem.model_validate_json(answer)
        except ValidationError:
            problem = messages.Problem()
        if problem.code == "request_time_wrong":
            with contextlib.suppress(ValueError):
                self._note_time(datetime.fromisoformat(str(problem.facts.get("server_time"))))
        # Not being let in says nothing about what was asked: a clock may be off, a key unknown.
        if status in (401, 403, 408, 425, 429) or status >= 500 or status < 400:
            said = f"{status} {problem.code} {problem.detail}".strip()
            raise PlatformUnavailable(said, problem.code)
        detail = problem.detail or problem.title
        raise PlatformRefused(status, problem.code or "refused", detail, problem.facts)


def _bounded(response: httpx.Response, most: int) -> bytes:
    pieces, size = [], 0
    for piece in response.iter_bytes():
        size += len(piece)
        if size > max(most, 64 << 10):  # an error's words are always read
            raise PlatformUnavailable(f"an answer of more than {most} bytes")
        pieces.append(piece)
    return b"".join(pieces)
