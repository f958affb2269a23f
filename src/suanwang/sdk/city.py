"""The city as a program sees it: prices, estimates, jobs and their output."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any

from suanwang.core.jobspec import JobSpec
from suanwang.sdk.connection import PATIENCE_SECONDS, Connection

ENDED = frozenset({"succeeded", "failed", "cancelled", "timeout", "out_of_memory", "lost"})

Json = dict[str, Any]

FOLLOW_SECONDS = 10
"""How long one request for output may wait for more."""


class City:
    """One city, one key. Every method answers the API's own JSON; amounts are integer fen."""

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        language: str = "zh",
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self.connection = Connection(
            url, key=key, language=language, patience_seconds=patience_seconds
        )

    def __enter__(self) -> City:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.connection.close()

    def sign_in(self, username: str, password: str, *, title: str, days: int = 30) -> Json:
        """Open a session, make an API key of it, close the session; the token is in the answer.

        From then on this object acts with the key. Raises ``RefusedByCity``: ``sign_in_failed``,
        ``sign_in_locked``.
        """
        me: Json = self.connection.post("/sign-in", {"username": username, "password": password})
        expires_at = datetime.now(UTC) + timedelta(days=days)
        made = self.connection.post(
            "/api-keys", {"title": title[:100], "expires_at": expires_at.isoformat()}
        )
        self.connection.post("/sign-out")
        self.connection.use_key(made["token"])
        return {**me, "token": made["token"]}

    def estimate(self, **spec: Any) -> Json:
        """What a job would cost at most at each centre, and what the policy would pay back."""
        answer: Json = self.connection.post("/jobs/estimate", _spec(spec, {}))
        return answer

    def submit(
        self,
        *,
        files: Mapping[str, bytes] | None = None,
        idempotency_key: str | None = None,
        **spec: Any,
    ) -> Json:
        """Hand in a job with its input files. The same key twice is one job.

        Raises ``RefusedByCity``: ``job_fits_nowhere``, ``job_without_price``, …
        """
        body = submission(files or {}, **spec)
        answer: Json = self.connection.post("/jobs", body, idempotency_key=idempotency_key)
        return answer

    def jobs(self, **filters: Any) -> Iterator[Json]:
        """The jobs one may see, newest first."""
        return self.connection.every("/jobs", **filters)

    def job(self, job_id: str) -> Json:
        """One job with its story so far."""
        answer: Json = self.connection.get(f"/jobs/{job_id}")
        return answer

    def cancel(self, job_id: str) -> Json:
        """Ask for the end of a job; what it used until then is billed."""
        answer: Json = self.connection.post(f"/jobs/{job_id}/cancel")
        return answer

    def log(
        self, job_id: str, *, stream: str = "stdout", offset: int = 0, wait_seconds: int = 0
    ) -> tuple[bytes, int, bool]:
        """The output from ``offset`` on, where to go on, and whether that was the end of it."""
        content, headers = self.connection.get_bytes(
            f"/jobs/{job_id}/logs/{stream}", offset=offset, wait_seconds=wait_seconds
        )
        return (
            content,
            int(headers["Suanwang-Next-Offset"]),
            headers["Suanwang-Complete"] == "true",
        )

    def follow(self, job_id: str, *, stream: str = "stdout") -> Iterator[str]:
        """The output as it comes, until the job has ended and all of it has been read."""
        offset, rest, complete = 0, b"", False
        while not complete:
            content, offset, complete = self.log(
                job_id, stream=stream, offset=offset, wait_seconds=FOLLOW_SECONDS
            )
            text, rest = _whole_characters(rest + content)
            if text:
                yield text
        if rest:
            yield rest.decode(errors="replace")

    def wait(
        self, job_id: str, *, timeout_seconds: float = 3600, every_seconds: float = 0.5
    ) -> Json:
        """Wait until a job has ended and answer it; ``TimeoutError`` if it takes too long."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            job = self.job(job_id)
            if job["state"] in ENDED:
                return job
            if time.monotonic() > deadline:
                raise TimeoutError(f"job {job_id} is still {job['state']}")
            time.sleep(every_seconds)

    def download(self, job_id: str, name: str) -> bytes:
        """One file the job left."""
        content, _ = self.connection.get_bytes(f"/jobs/{job_id}/files/{name}")
        return content


def submission(files: Mapping[str, bytes], **spec: Any) -> Json:
    """A job and its input files as the API takes them."""
    encoded = {name: base64.b64encode(content).decode("ascii") for name, content in files.items()}
    return {"spec": _spec(spec, files), "files": encoded}


def _spec(spec: Mapping[str, Any], files: Mapping[str, bytes]) -> Json:
    """Check a specification here already, with its files described by size and hash."""
    described = [
        {"name": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in files.items()
    ]
    whole = {**spec, **({"files_in": described} if described else {})}
    return JobSpec.model_validate(whole).model_dump(mode="json")


def _whole_characters(content: bytes) -> tuple[str, bytes]:
    """Decode as much UTF-8 as is complete; a character cut in half waits for its other half."""
    for cut in range(min(3, len(content)) + 1):
        try:
            return content[: len(content) - cut].decode(), content[len(content) - cut :]
        except UnicodeDecodeError:
            continue
    return content.decode(errors="replace"), b""
