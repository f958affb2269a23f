"""The platform's side of the agent protocol, small and real: a server on loopback.

It verifies every signature with the code the platform uses, keeps the rules of the protocol and
remembers what it was told. It can be made to be away, to lose its answers, or to talk nonsense.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import UUID, uuid4

from suanwang.agent.signing import AgentKey, verify_record, verify_request
from suanwang.core.jobspec import JobSpec
from suanwang.core.signed import FIRST_PREVIOUS_HASH, answer_bytes, record_hash

TOKEN = "a-token-that-works-once"
ENDS = {"succeeded", "failed", "cancelled", "timeout", "out_of_memory", "lost", "refused"}

Fault = Callable[[str], tuple[int, bytes] | None]
"""Given the path asked for, the answer to give instead of the right one."""


@dataclass
class Told:
    """All that one attempt's agent said."""

    spec: dict[str, Any]
    files_in: dict[str, bytes] = field(default_factory=dict)
    cancel: bool = False
    void: bool = False
    handed_out: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)
    logs: dict[str, bytes] = field(default_factory=lambda: {"stdout": b"", "stderr": b""})
    files: dict[str, bytes] = field(default_factory=dict)
    expires_in: timedelta = timedelta(seconds=120)
    organisation: str = "00000000-0000-0000-0000-000000000001"

    @property
    def states(self) -> list[str]:
        return [event["state"] for event in self.events]

    @property
    def ended(self) -> bool:
        return bool(self.events) and self.events[-1]["state"] in ENDS


class PlatformDouble:
    """A platform with one cluster and one agent."""

    def __init__(self) -> None:
        self.lock = threading.Condition()
        self.told: dict[str, Told] = {}
        self.usage: list[dict[str, Any]] = []
        self.reports: list[dict[str, Any]] = []
        self.public_key = ""
        self.agent_id = str(uuid4())
        self.nonces: set[str] = set()
        self.forged: list[str] = []
        self.engine = "local"
        self.fault: Fault | None = None
        self.lose_answers_to: set[str] = set()
        self.ahead = timedelta(0)
        self.key = AgentKey.generate()
        """What it signs its answers with."""
        self.nodes: dict[str, dict[str, Any]] = {}
        self.revision = ""
        self.unknown_models: list[str] = []
        self.signs = True
        self.leases_at_once = 250
        self.full_wanted = 0
        self.drain = False
        self.doors: list[dict[str, Any]] = []
        self.energy: list[dict[str, Any]] = []
        self.told_the_time = 0
        self._server: ThreadingHTTPServer | None = None
        self.port = 0
        self.come_up()

    # -- what a test does -----------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def come_up(self) -> None:
        """Answer, at the same address as before."""
        double = self

        class Handler(_Handler):
            platform = double

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def go_away(self) -> None:
        """Refuse connections from now on, and drop those that wait."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
            with self.lock:
                self.lock.notify_all()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    @property
    def away(self) -> bool:
        return self._server is None

    def lease(self, spec: JobSpec | dict[str, Any], **options: Any) -> str:
        """Hand out a job at the next poll; the attempt's id."""
        attempt = str(uuid4())
        raw = spec.model_dump(mode="json") if isinstance(spec, JobSpec) else spec
        with self.lock:
            self.told[attempt] = Told(raw, **options)
            self.lock.notify_all()
        return attempt

    def cancel(self, attempt: str) -> None:
        with self.lock:
            self.told[attempt].cancel = True
            self.lock.notify_all()

    def until(self, what: Callable[[], bool], *, seconds: float = 30, why: str = "") -> None:
        """Wait for something to become true of what was told."""
        deadline = time.monotonic() + seconds
        with self.lock:
            while not what():
                if not self.lock.wait(min(0.2, max(deadline - time.monotonic(), 0.01))):
                    assert time.monotonic() < deadline, why or self.told
        # Reached: the condition was true while nobody could change it.

    def until_ended(self, *attempts: str, seconds: float = 30) -> None:
        self.until(lambda: all(self.told[one].ended for one in attempts), seconds=seconds)

    def used(self, attempt: str) -> dict[str, int]:
        """The quantities of an attempt by meter; a meter counted twice would be two entries."""
        found = [one for one in self.usage if one["attempt_id"] == attempt]
        assert len({one["meter"] for one in found}) == len(found)
        return {one["meter"]: one["quantity"] for one in found}

    # -- the protocol ---------------------------------------------------------------------------

    def enrol(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if body["token"] != TOKEN or self.public_key not in ("", body["public_key"]):
            return 403, {"code": "enrolment_token_wrong", "detail": "no such token"}
        self.public_key = body["public_key"]
        return 200, {
            "agent_id": self.agent_id,
            "cluster_id": "7",
            "platform_key": self.key.public,
        }

    def report(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.reports.append(body)
        full_wanted = body["after"] not in ("", self.revision)
        if full_wanted:
            self.full_wanted += 1
        else:
            kept = self.nodes if body["after"] else {}
            self.nodes = kept | {node["name"]: node for node in body["nodes"]}
            for name in body["gone"]:
                del self.nodes[name]
            self.revision = body["revision"]
        now = self.now().isoformat()
        answer = {"server_time": now, "revision": self.revision, "full_wanted": full_wanted}
        return 200, answer | {"unknown_models": self.unknown_models}

    def take_energy(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        for reading in body["readings"]:
            if reading not in self.energy:
                self.energy.append(reading)
        return 200, {"accepted": [{"start": r["start"]} for r in body["readings"]], "refused": []}

    def poll(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        deadline = time.monotonic() + body["wait_seconds"]
        with self.lock:
            self.doors.append(body)
            drain = self.drain
            while True:
                leases, cancel = self._orders(set(body["running"]))
                left = deadline - time.monotonic()
                if leases or cancel or left <= 0 or self.away or self.drain != drain:
                    break
                self.lock.wait(left)
        answer = {"leases": leases, "cancel": cancel, "drain": self.drain}
        return 200, answer | {"server_time": self.now().isoformat()}

    def _orders(self, running: set[str]) -> tuple[list[dict[str, Any]], list[str]]:
        leases, cancel = [], []
        for attempt, told in self.told.items():
            if told.ended:
                continue
            if told.cancel or (told.void and attempt in running):
                cancel.append(attempt)
            elif len(leases) >= self.leases_at_once:
                continue
            elif attempt not in running and not told.events and not told.void:
                told.handed_out += 1
                expires = self.now() + told.expires_in
                leases.append(
                    {
                        "attempt_id": attempt,
                        "job_id": str(uuid4()),
                        "spec": told.spec,
                        "organisation": told.organisation,
                        "organisation_name": "虚构公司",
                        "expires_at": expires.isoformat(),
                        "node": "n1",
                    }
                )
        return leases, cancel

    def states(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        accepted, refused = [], []
        for event in body["events"]:
            told = self.told.get(event["attempt_id"])
            if told is None or told.void:
                code = "attempt_unknown" if told is None else "attempt_void"
                refused.append({**event, "code": code})
                continue
            datetime.fromisoformat(event["at"])
            if event["sequence"] > len(told.events):
                assert event["sequence"] == len(told.events) + 1, "a gap in the events"
                assert not told.ended, "an event after the end"
                told.events.append(event)
            accepted.append(event)
        return 200, {"accepted": accepted, "refused": refused}

    def take_usage(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        accepted, refused = [], []
        known = {one["record_id"] for one in self.usage}
        for record in body["records"]:
            last = self.usage[-1] if self.usage else {"hash": FIRST_PREVIOUS_HASH, "sequence": 0}
            if record["record_id"] in known:
                accepted.append(record["record_id"])
            elif record["sequence"] != last["sequence"] + 1:
                facts = {"expected": last["sequence"] + 1}
                refused.append(
                    {"record_id": record["record_id"], "code": "usage_sequence_gap", "facts": facts}
                )
            else:
                assert record["previous_hash"] == last["hash"]
                assert record["hash"] == record_hash(last["hash"], record)
                assert verify_record(self.public_key, record["hash"], record["signature"])
                UUID(record["record_id"])
                began = datetime.fromisoformat(record["started_at"])
                assert began <= datetime.fromisoformat(record["ended_at"])
                self.usage.append(record)
                accepted.append(record["record_id"])
        return 200, {"accepted": accepted, "refused": refused}

    def take_log(
        self, attempt: str, stream: str, offset: int, data: bytes
    ) -> tuple[int, dict[str, Any]]:
        kept = self.told[attempt].logs[stream]
        if offset > len(kept):
            return 200, {"next_offset": len(kept)}
        assert kept[offset : offset + len(data)] == data[: len(kept) - offset]
        self.told[attempt].logs[stream] = (
            kept[:offset] + data if offset + len(data) > len(kept) else kept
        )
        return 200, {"next_offset": len(self.told[attempt].logs[stream])}


class _Handler(BaseHTTPRequestHandler):
    platform: PlatformDouble
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def handle(self) -> None:
        """An agent that is killed drops its connections; that is no news here."""
        with suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PUT = do_GET  # noqa: N815 - the names the base class looks for

    def _answer(self) -> None:
        double = self.platform
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path).path.removeprefix("/api/v1/agent/")
        if double.away:
            self.close_connection = True
            return
        fault = double.fault(path) if double.fault is not None else None
        if fault is not None:
            self._send(*fault)
            return
        refusal = self._doubt(path, body)
        if refusal is not None:
            if refusal == "request_time_wrong":
                double.told_the_time += 1
            else:
                double.forged.append(f"{path}: {refusal}")
            problem = {"code": refusal, "facts": {"server_time": double.now().isoformat()}}
            self._send(403, json.dumps(problem).encode())
            return
        status, answer = self._do(path, body)
        with double.lock:
            double.lock.notify_all()
        if path.split("/")[0] in double.lose_answers_to:
            double.lose_answers_to.discard(path.split("/")[0])
            self.close_connection = True
            return
        self._send(status, answer if isinstance(answer, bytes) else json.dumps(answer).encode())

    def _doubt(self, path: str, body: bytes) -> str | None:
        double = self.platform
        headers = dict(self.headers.items())
        key = json.loads(body)["public_key"] if path == "enrol" else double.public_key
        if not verify_request(key, headers, self.command, self.path, body):
            return "signature_wrong"
        if abs(int(headers["Suanwang-Timestamp"]) - double.now().timestamp()) > 300:
            return "request_time_wrong"
        if headers["Suanwang-Nonce"] in double.nonces:
            return "replayed"
        double.nonces.add(headers["Suanwang-Nonce"])
        if path != "enrol" and headers["Suanwang-Agent"] != double.agent_id:
            return "agent_unknown"
        return None

    def _do(self, path: str, body: bytes) -> tuple[int, dict[str, Any] | bytes]:
        double = self.platform
        topic, _, rest = path.partition("/")
        if topic == "poll":
            return double.poll(json.loads(body))
        with double.lock:
            match topic:
                case "enrol":
                    return double.enrol(json.loads(body))
                case "report":
                    return double.report(json.loads(body))
                case "states":
                    return double.states(json.loads(body))
                case "usage":
                    return double.take_usage(json.loads(body))
                case "energy":
                    return double.take_energy(json.loads(body))
                case "self":
                    return 200, {
                        "centre": "here",
                        "cluster": "main",
                        "engine": double.engine,
                        "drain": double.drain,
                        "server_time": double.now().isoformat(),
                    }
                case "logs":
                    attempt, stream = rest.split("/")
                    offset = int(parse_qs(urlsplit(self.path).query)["offset"][0])
                    return double.take_log(attempt, stream, offset, body)
            attempt, _, name = rest.partition("/")
            told = double.told[attempt]
            if self.command == "PUT":
                told.files[unquote(name)] = body
                return 200, {"sha256": hashlib.sha256(body).hexdigest()}
            if (found := told.files_in.get(unquote(name))) is None:
                return 404, {"code": "file_unknown"}
            return 200, found

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        double = self.platform
        if double.signs:
            said = answer_bytes(self.headers.get("Suanwang-Nonce", ""), status, body)
            self.send_header("Suanwang-Signature", double.key.sign(said))
        self.end_headers()
        self.wfile.write(body)
