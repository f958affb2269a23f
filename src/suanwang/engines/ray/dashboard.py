"""Asks the dashboard of a Ray cluster, and believes nothing that does not look like its answer.

Whatever cannot be had or read raises ``EngineUnavailable``: a proxy's page must never be taken for
Ray saying that it knows no such job.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from typing import IO, Any, Final, NamedTuple, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from suanwang.engines.port import EngineUnavailable
from suanwang.engines.ray.settings import RaySettings

_ANSWER_BYTES_MAX: Final = 64 << 20
_NODES_MAX: Final = 10_000
_PIECE: Final = 1 << 18
_LOG_FILE: Final = "/api/v0/logs/file"
T = TypeVar("T")


class FileMissing(Exception):
    """The node answered: there is no such file."""


class NodeUnreachable(Exception):
    """The dashboard answered: it cannot reach that node now."""


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Version(_Answer):
    """Which Ray, and which life of its head: a head that forgot everything has another session."""

    ray_version: str
    session_name: str


class RayJob(_Answer):
    """What Ray keeps of one submission. Times are milliseconds since 1970; ``start_time`` is that
    of the submission, not of the start.
    """

    submission_id: str | None = None
    status: str
    message: str | None = None
    error_type: str | None = None
    start_time: int | None = None
    end_time: int | None = None
    metadata: dict[str, str] | None = None
    driver_node_id: str | None = None
    driver_exit_code: int | None = None


class RayNode(_Answer):
    node_id: str
    node_name: str | None = None
    state: str
    resources_total: dict[str, float]


class _Stopped(_Answer):
    stopped: bool


class _Submitted(_Answer):
    submission_id: str


class _Nodes(_Answer):
    class Data(_Answer):
        class Result(_Answer):
            result: list[RayNode]

        result: Result

    data: Data


class _ClusterStatus(_Answer):
    class Data(_Answer):
        class Status(_Answer):
            class Load(_Answer):
                usageByNode: dict[str, dict[str, tuple[float, float]]] | None = None  # noqa: N815

            loadMetricsReport: Load | None = None  # noqa: N815

        clusterStatus: Status | None = None  # noqa: N815

    data: Data


_JOBS: Final = TypeAdapter(list[RayJob])
_JOB: Final = TypeAdapter(RayJob)
_VERSION: Final = TypeAdapter(Version)
_STOPPED: Final = TypeAdapter(_Stopped)
_SUBMITTED: Final = TypeAdapter(_Submitted)
_NODES: Final = TypeAdapter(_Nodes)
_CLUSTER: Final = TypeAdapter(_ClusterStatus)


class Reply(NamedTuple):
    """What came back, whole and bounded."""

    status: int
    body: bytes

    @property
    def text(self) -> str:
        return self.body[:2000].decode(errors="replace")


class Dashboard:
    """One cluster's door. Safe to use from several threads."""

    def __init__(self, settings: RaySettings) -> None:
        self._settings = settings
        verify: ssl.SSLContext | bool = True
        if settings.ca_file is not None:
            verify = ssl.create_default_context(cafile=str(settings.ca_file))
        self._client = httpx.Client(
            base_url=settings.url,
            timeout=settings.timeout_seconds,
            limits=httpx.Limits(max_connections=settings.connections),
            trust_env=False,  # an outward proxy is none of a cluster's business
            verify=verify,
        )

    def close(self) -> None:
        self._client.close()

    # -- jobs ---------------------------------------------------------------------

    def version(self) -> Version:
        return _read(_VERSION, self._good("GET", "/api/version"))

    def jobs(self) -> dict[str, RayJob]:
        """Everything the head remembers, by submission id; other people's too."""
        found = _read(_JOBS, self._good("GET", "/api/jobs/"))
        return {one.submission_id: one for one in found if one.submission_id is not None}

    def job(self, ref: str) -> RayJob | None:
        """One submission; None only when Ray itself says that there is none."""
        reply = self._ask("GET", f"/api/jobs/{ref}")
        if _says_unknown(reply, ref):
            return None
        found = _read(_JOB, _expected(reply))
        if found.submission_id != ref:
            raise EngineUnavailable("the dashboard answered with another job")
        return found

    def submit(self, body: Mapping[str, Any]) -> Reply | None:
        """None when it was taken; otherwise what Ray said, taken before or not."""
        reply = self._ask("POST", "/api/jobs/", json=body)
        if reply.status != 200:
            return reply
        _read(_SUBMITTED, reply)
        return None

    def stop(self, ref: str) -> bool:
        """Whether Ray passed it on. It ends later, or was about to end, or is not known."""
        reply = self._ask("POST", f"/api/jobs/{ref}/stop")
        if _says_unknown(reply, ref):
            return False
        return _read(_STOPPED, _expected(reply)).stopped

    def delete(self, ref: str) -> bool:
        """Make Ray forget an ended job; False while it does not want to."""
        reply = self._ask("DELETE", f"/api/jobs/{ref}")
        return reply.status == 200 or _says_unknown(reply, ref)

    def upload(self, name: str, content: IO[bytes]) -> Reply | None:
        """Bring a package in. Asking first makes Ray keep it until the job refers to it."""
        path = f"/api/packages/gcs/{name}"
        self._ask("GET", path)
        reply = self._ask("PUT", path, content=_pieces(content))
        return None if reply.status == 200 else reply

    # -- the cluster --------------------------------------------------------------

    def nodes(self) -> list[RayNode]:
        """Those that are alive."""
        asked = {"detail": "1", "limit": str(_NODES_MAX)}
        reply = self._good("GET", "/api/v0/nodes", params=asked)
        return [one for one in _read(_NODES, reply).data.result.result if one.state == "ALIVE"]

    def in_use(self) -> dict[str, dict[str, float]]:
        """What is taken, by node id and Ray's camel-cased name; empty where Ray does not say."""
        status = _read(_CLUSTER, self._good("GET", "/api/cluster_status")).data.clusterStatus
        load = status.loadMetricsReport if status is not None else None
        if load is None or load.usageByNode is None:
            return {}
        return {
            node: {name: used for name, (used, _) in amounts.items()}
            for node, amounts in load.usageByNode.items()
        }

    # -- files beside Ray's logs --------------------------------------------------------

    def read_log_file(self, node: str, name: str, bytes_max: int) -> bytes:
        """A whole small file of a node. Raises ``FileMissing`` and ``NodeUnreachable``."""
        query = _log_query(node, name)
        reply = self._ask("GET", _LOG_FILE, params=query, bytes_max=bytes_max)
        _complain(reply)
        return reply.body

    def copy_log_file(self, node: str, name: str, into: IO[bytes], bytes_max: int) -> None:
        """A file of any size, no more than that much of it; else as ``read_log_file``."""
        query = _log_query(node, name, seconds=3600)
        left = bytes_max
        for piece in self._stream("GET", _LOG_FILE, params=query):
            if isinstance(piece, int):
                if piece != 200:
                    _complain(Reply(piece, b""))
                continue
            into.write(piece[:left])
            left -= len(piece)
            if left <= 0:
                return

    # -- asking --------------------------------------------------------------------

    def _good(self, method: str, path: str, **how: Any) -> Reply:
        return _expected(self._ask(method, path, **how))

    def _ask(
        self, method: str, path: str, *, bytes_max: int = _ANSWER_BYTES_MAX, **how: Any
    ) -> Reply:
        status, body = 0, bytearray()
        for piece in self._stream(method, path, **how):
            if isinstance(piece, int):
                status = piece
                continue
            body += piece
            if len(body) > bytes_max:
                raise EngineUnavailable(f"more than {bytes_max} bytes from {path}")
        return Reply(status, bytes(body))

    def _stream(self, method: str, path: str, **how: Any) -> Iterator[int | bytes]:
        """The status, then the body."""
        try:
            headers = self._authorization()
            with self._client.stream(method, path, headers=headers, **how) as response:
                if response.status_code in (401, 403):
                    raise EngineUnavailable(f"the dashboard asks for a token ({path})")
                attached = response.headers.get("Content-Disposition", "").startswith("attachment")
                if path == _LOG_FILE and response.status_code == 200 and not attached:
                    raise EngineUnavailable("a page came in place of a file")
                yield response.status_code
                yield from response.iter_bytes(_PIECE)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise EngineUnavailable(f"{type(error).__name__}: {error}") from error

    def _authorization(self) -> dict[str, str]:
        if self._settings.token_file is None:
            return {}
        try:
            token = self._settings.token_file.read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            raise EngineUnavailable(f"the token cannot be read: {error}") from error
        return {"Authorization": f"Bearer {token}"}


def _pieces(content: IO[bytes]) -> Iterator[bytes]:
    while data := content.read(_PIECE):
        yield data


def _log_query(node: str, name: str, seconds: int = 30) -> dict[str, str]:
    return {"node_id": node, "filename": name, "lines": "-1", "timeout": str(seconds)}


def _says_unknown(reply: Reply, ref: str) -> bool:
    return reply.status == 404 and reply.text.strip() == f"Job {ref} does not exist"


def _expected(reply: Reply) -> Reply:
    if reply.status != 200:
        raise EngineUnavailable(f"the dashboard answered {reply.status}: {reply.text[:200]}")
    return reply


def _complain(reply: Reply) -> None:
    if reply.status == 200:
        return
    if reply.status == 500 and "file is not found" in reply.text:
        raise FileMissing(reply.text)
    if reply.status == 500:
        raise NodeUnreachable(reply.text)
    raise EngineUnavailable(f"the dashboard answered {reply.status}: {reply.text[:200]}")


def _read(shape: TypeAdapter[T], reply: Reply) -> T:
    try:
        return shape.validate_json(reply.body)
    except ValidationError as error:
        raise EngineUnavailable(f"the dashboard answered what cannot be read: {error}") from error
