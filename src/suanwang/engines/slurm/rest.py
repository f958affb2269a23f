"""Slurm through slurmrestd, with a JWT, in the newest version of its interface both sides speak."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar
from urllib.parse import quote

import httpx

from suanwang.engines.port import EngineUnavailable
from suanwang.engines.slurm.account import Account
from suanwang.engines.slurm.answers import (
    document,
    entries,
    errors,
    limits,
    live_row,
    node_row,
    number,
    past_row,
    text,
)
from suanwang.engines.slurm.rejections import GONE, refusal
from suanwang.engines.slurm.rows import JobRow, NodeRow, PartitionLimits, ours
from suanwang.engines.slurm.settings import SlurmSettings
from suanwang.engines.slurm.tokens import Tokens
from suanwang.engines.slurm.transport import Batch, NotTaken

SPOKEN: Final = ("v0.0.38", "v0.0.37")
"""The versions this speaks, newest first; each is tried against the real one. v0.0.36 has neither
accounting nor what is free.
"""
_ANSWER_BYTES_MAX: Final = 64 << 20
_DAY: Final = 86_400
_MANY: Final = 200
_Kept = TypeVar("_Kept")


class Rest:
    """The transport over slurmrestd."""

    def __init__(
        self, settings: SlurmSettings, account: Account, spoken: Sequence[str] = SPOKEN
    ) -> None:
        self._account = account
        self._tokens = Tokens(settings, account)
        self._partition = settings.partition
        self._prefix = settings.prefix
        self._spoken = spoken
        self._version: str | None = None
        self._slurm = ""
        url, transport = str(settings.url), None
        verify: ssl.SSLContext | bool = True
        if url.startswith("unix://"):
            transport, url = httpx.HTTPTransport(uds=url.removeprefix("unix://")), "http://slurm"
        elif settings.ca_file is not None:
            try:
                verify = ssl.create_default_context(cafile=str(settings.ca_file))
            except OSError as error:
                raise EngineUnavailable(f"ca_file {settings.ca_file}: {error}") from None
        self._client = httpx.Client(
            base_url=url, timeout=settings.timeout_seconds, transport=transport, verify=verify,
            trust_env=False,
        )  # fmt: skip

    def version(self) -> str:
        spoken = self._speak()
        return f"{self._slurm} (slurmrestd {spoken})"

    def isolation(self) -> str:
        return "slurm"  # slurmrestd does not tell how processes are kept together

    def close(self) -> None:
        self._client.close()

    # -- work ----------------------------------------------------------------------------

    def submit(self, batch: Batch) -> int:
        job: dict[str, Any] = {
            "name": self._prefix + batch.name,
            "comment": f"suanwang {batch.name}",
            "current_working_directory": batch.folder,
            "standard_output": batch.log,
            "open_mode": "append",
            "nodes": batch.nodes,
            "tasks": batch.nodes,
            "tasks_per_node": 1,
            "cpus_per_task": batch.cores_per_node,
            "memory_per_node": batch.memory_mib_per_node,
            "time_limit": batch.minutes,
            # "requeue": false is read as true by 22.05.
            "requeue" if batch.requeue else "no_requeue": True,
            "environment": dict(batch.environment),
        }
        for name in ("gres", "partition", "account", "qos"):
            if (value := getattr(batch, name)) is not None:
                job[name] = value
        body = {"script": batch.script, "job": job}
        answer = self._asked("POST", f"/slurm/{self._speak()}/job/submit", body)
        job_id = number(answer.get("job_id"))
        if not (said := errors(answer)):
            if not job_id:
                raise EngineUnavailable("slurmrestd says neither a job id nor an error")
            return job_id
        why = refusal(said)
        if job_id and not (isinstance(why, NotTaken) and why.permanent):
            return job_id  # it was taken, and is told why it cannot start just now
        if job_id:
            self.cancel([job_id])
        raise why

    def signal(self, ids: Sequence[int]) -> None:
        self._cancel(ids, "?signal=TERM")

    def cancel(self, ids: Sequence[int]) -> None:
        self._cancel(ids)

    def _cancel(self, ids: Sequence[int], how: str = "") -> None:
        for job_id in ids:
            said = errors(self._asked("DELETE", f"/slurm/{self._speak()}/job/{job_id}{how}"))
            if said and not any(words in said for words in GONE):
                raise EngineUnavailable(said)

    # -- looking -------------------------------------------------------------------------

    def live(self) -> list[JobRow]:
        def of_user(entry: dict[str, Any]) -> JobRow | None:
            # Some versions leave the name open.
            user = entry.get("user_name") or entry.get("user_id")
            mine = user in (self._account.name, self._account.uid)
            return live_row(entry) if mine else None

        return ours(self._list(f"/slurm/{self._speak()}/jobs", "jobs", of_user), self._prefix)

    def accounting(
        self, *, ids: Sequence[int] = (), names: Sequence[str] = (), since: int
    ) -> list[JobRow]:
        # Its clock may be of any time zone: a day earlier is early enough everywhere.
        start = datetime.fromtimestamp(since - _DAY, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        path = f"/slurmdb/{self._speak()}/jobs?start_time={quote(start)}"
        found: list[JobRow] = []
        for option, wanted in (
            ("step", [str(one) for one in ids]),
            ("job_name", [self._prefix + name for name in names]),
        ):
            for begin in range(0, len(wanted), _MANY):
                some = quote(",".join(wanted[begin : begin + _MANY]), safe="")
                answer = self._asked("GET", f"{path}&{option}={some}")
                if (said := errors(answer)) and "Nothing found" not in said:
                    raise EngineUnavailable(said)
                for entry in _objects(answer.get("jobs"), "jobs"):
                    if entry.get("user") == self._account.name:
                        found += [row for row in [past_row(entry)] if row is not None]
        return ours(found, self._prefix)

    def nodes(self) -> list[NodeRow]:
        partition = self._where()

        def there(entry: dict[str, Any]) -> NodeRow | None:
            inside = partition is None or partition in (entry.get("partitions") or ())
            return node_row(entry) if inside else None

        return self._list(f"/slurm/{self._speak()}/nodes", "nodes", there)

    def limits(self) -> PartitionLimits:
        name = self._where()
        found = [one for one in self._partitions() if text(one.get("name")) == name]
        if not found:
            raise NotTaken(True, "engine_no_partition", f"no partition {name} here")
        return limits(found[0])

    def _where(self) -> str | None:
        """The partition jobs go to: the one that is set, or else the cluster's default."""
        if self._partition is None:
            for entry in self._partitions():
                if "default" in (entry.get("flags") or ()):
                    self._partition = text(entry.get("name"))
        return self._partition

    def _partitions(self) -> list[dict[str, Any]]:
        return self._list(f"/slurm/{self._speak()}/partitions", "partitions", lambda one: one)

    # -- asking ---------------------------------------------------------------------------

    def _speak(self) -> str:
        """The newest version that both sides know, found by asking for each."""
        if self._version is None:
            for version in self._spoken:
                status, answer = self._exchange("GET", f"/slurm/{version}/ping", None, _read)
                if status == 404:
                    continue
                found = document(answer)
                if said := errors(found):
                    self._tokens.drop()
                    raise EngineUnavailable(said)
                self._slurm = _release(found)
                self._version = version
                break
            else:
                spoken = ", ".join(self._spoken)
                raise EngineUnavailable(f"slurmrestd speaks none of {spoken}")
        return self._version

    def _asked(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        status, answer = self._exchange(method, path, body, _read)
        if status in (401, 403):
            self._tokens.drop()
            raise EngineUnavailable(f"slurmrestd does not take the token ({status})")
        if status == 404:
            self._version = None  # another version may have taken its place
        if status == 400:
            raise NotTaken(True, "engine_refused", f"not understood: {answer[:200]}")
        found = document(answer)
        if "authentication" in errors(found).lower():
            self._tokens.drop()
        return found

    def _list(
        self, path: str, name: str, keep: Callable[[dict[str, Any]], _Kept | None]
    ) -> list[_Kept]:
        """What is kept of a list, read piece by piece."""

        def read(response: httpx.Response) -> list[_Kept]:
            found = map(keep, entries(response.iter_text(), name))
            return [one for one in found if one is not None]

        return self._exchange("GET", path, None, read)[1]

    def _exchange(
        self, method: str, path: str, body: object, read: Callable[[httpx.Response], _Kept]
    ) -> tuple[int, _Kept]:
        headers = {
            "X-SLURM-USER-NAME": self._account.name,
            "X-SLURM-USER-TOKEN": self._tokens.get(),
        }
        try:
            with self._client.stream(method, path, json=body, headers=headers) as response:
                return response.status_code, read(response)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            raise EngineUnavailable(f"slurmrestd: {type(error).__name__}: {error}") from None


def _read(response: httpx.Response) -> str:
    parts, size = [], 0
    for part in response.iter_text():
        size += len(part)
        if size > _ANSWER_BYTES_MAX:
            raise EngineUnavailable("slurmrestd answers without end")
        parts.append(part)
    return "".join(parts)


def _release(found: Mapping[str, Any]) -> str:
    meta = found.get("meta")
    slurm = meta.get("Slurm") if isinstance(meta, dict) else None
    return text(slurm.get("release")) if isinstance(slurm, dict) else ""


def _objects(value: object, name: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise EngineUnavailable(f"slurmrestd answered without {name}")
    return value
