"""Measures the way to another centre's agent: latency there and back, and width in each direction.

One of the two listens, if its owner allows it (``measure.yaml``), and only while the platform has
announced a measurement to it. Both know a secret of this one measurement, which the platform told
them in signed answers, and prove it to each other before anything is measured. What is sent is
nothing but zeros and counters; nobody reads the other's bytes as anything else.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import socket
import statistics
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictStr, field_validator

from suanwang.agent.messages import Measure
from suanwang.agent.yaml_file import FileWrong, read, read_raw

log = logging.getLogger("suanwang.agent")

_T = TypeVar("_T")

PINGS: Final = 100
TRANSFER_SECONDS: Final = 3.0
TRANSFER_BYTES: Final = 256 << 20
_CONNECT_SECONDS: Final = 5.0
_SILENCE_SECONDS: Final = 10.0
"""A peer that says nothing for so long is cut off."""
_PROOF_SECONDS: Final = 2.0
"""So long a stranger may keep the listener busy."""
_NONCE: Final = 32
_BLOCK: Final = bytes(64 << 10)
_COUNT: Final = struct.Struct("!QQ")
"""Bytes that arrived, and nanoseconds from the first to the last."""


class MeasureFile(BaseModel):
    """``measure.yaml``: whether, and where, this agent may be measured."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    listen: Annotated[StrictStr, Field(max_length=120)]
    """The address and port of this machine that is opened while a measurement is announced."""
    address: Annotated[StrictStr, Field(max_length=120)]
    """What other centres reach it by, as host:port."""

    @field_validator("listen", "address")
    @classmethod
    def _host_and_port(cls, said: str) -> str:
        split(said)
        return said


def split(address: str) -> tuple[str, int]:
    """``host:port`` or ``[IPv6]:port`` in its parts. Raises ``ValueError``."""
    host, colon, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ValueError("host:port is wanted")
    if any(letter.isspace() or not letter.isprintable() for letter in host):
        raise ValueError("host:port is wanted")
    return host, int(port)


def read_file(path: Path) -> MeasureFile | None:
    """What the owner allows; None: nothing. Raises ``FileWrong``."""
    try:
        return read(read_raw(path), MeasureFile)
    except FileNotFoundError:
        return None


@dataclass(frozen=True)
class Figures:
    """What came out."""

    latency_us: int
    """There and back, the median."""
    latency_p95_us: int
    there_mbps: int
    back_mbps: int


class MeasureFailed(Exception):
    """Why nothing came out, as a stable code."""


# -- the side that asks -------------------------------------------------------------------


def measure(address: str, secret: bytes, *, patience: float) -> Figures:
    """Measure the way to a listening agent. Raises ``MeasureFailed``: ``peer_not_reached``,
    ``peer_not_the_one``, ``peer_fell_silent``.
    """
    deadline = time.monotonic() + patience
    while True:  # the other hears of it at its own next poll
        try:
            latencies = _on_connection(address, secret, b"P", _ping)
            break
        except (ConnectionError, socket.gaierror, TimeoutError) as error:
            if time.monotonic() >= deadline:
                raise MeasureFailed("peer_not_reached") from error
            time.sleep(0.5)
    try:
        there = _on_connection(address, secret, b"U", _send_and_ask)
        back = _on_connection(address, secret, b"D", _take)
    except OSError as error:
        raise MeasureFailed("peer_fell_silent") from error
    ordered = sorted(latencies)
    return Figures(
        max(1, round(statistics.median(ordered) / 1000)),
        max(1, round(ordered[len(ordered) * 95 // 100] / 1000)),
        _mbps(*there),
        _mbps(*back),
    )


def _mbps(count: int, nanoseconds: int) -> int:
    return round(count * 8000 / nanoseconds) if nanoseconds else 0


def _on_connection(
    address: str, secret: bytes, what: bytes, then: Callable[[socket.socket], _T]
) -> _T:
    with socket.create_connection(split(address), timeout=_CONNECT_SECONDS) as peer:
        peer.settimeout(_SILENCE_SECONDS)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ours = secrets.token_bytes(_NONCE)
        peer.sendall(ours)
        answer = _exactly(peer, _NONCE * 2)
        theirs, proof = answer[:_NONCE], answer[_NONCE:]
        if not hmac.compare_digest(proof, _proof(secret, b"listens", ours, theirs)):
            raise MeasureFailed("peer_not_the_one")
        peer.sendall(_proof(secret, b"asks", ours, theirs) + what)
        return then(peer)


def _ping(peer: socket.socket) -> list[int]:
    found = []
    for number in range(PINGS):
        sent, message = time.perf_counter_ns(), struct.pack("!Q", number)
        peer.sendall(message)
        if _exactly(peer, len(message)) != message:
            raise MeasureFailed("peer_not_the_one")
        found.append(time.perf_counter_ns() - sent)
    return found


def _send_and_ask(peer: socket.socket) -> tuple[int, int]:
    _give(peer)
    peer.shutdown(socket.SHUT_WR)
    count, nanoseconds = _COUNT.unpack(_exactly(peer, _COUNT.size))
    return min(count, TRANSFER_BYTES), nanoseconds


def _proof(secret: bytes, role: bytes, ours: bytes, theirs: bytes) -> bytes:
    return hmac.new(secret, role + ours + theirs, hashlib.sha256).digest()


def _exactly(peer: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        piece = peer.recv(size - len(found))
        if not piece:
            raise ConnectionAbortedError("the peer hung up")
        found += piece
    return found


def _give(peer: socket.socket) -> None:
    until, sent = time.monotonic() + TRANSFER_SECONDS, 0
    while time.monotonic() < until and sent < TRANSFER_BYTES:
        peer.sendall(_BLOCK)
        sent += len(_BLOCK)


def _take(peer: socket.socket) -> tuple[int, int]:
    """Bytes and nanoseconds until the other has sent all; never more than is agreed."""
    count, began, ended = 0, 0, 0
    until = time.monotonic() + 2 * TRANSFER_SECONDS + _SILENCE_SECONDS
    while count <= TRANSFER_BYTES and time.monotonic() < until:
        piece = peer.recv(len(_BLOCK))
        ended = time.perf_counter_ns()
        if not piece:
            return count, ended - began
        began = began or ended
        count += len(piece)
    raise ConnectionAbortedError("the peer sends more than was agreed")


# -- the side that listens ------------------------------------------------------------------


def listen(where: str, secret: bytes, *, until: float, stop: threading.Event) -> None:
    """Be measured once, at the latest until a moment of the monotonic clock, or until stopped. One
    peer at a time; one that does not know the secret is cut off. Raises ``OSError`` if the
    address cannot be had.
    """
    host, port = split(where)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=4) as server:
        server.settimeout(0.2)
        while not stop.is_set() and time.monotonic() < until:
            with suppress(TimeoutError):
                peer, _ = server.accept()
                with peer, suppress(OSError):
                    if _serve(peer, secret):
                        return


def _serve(peer: socket.socket, secret: bytes) -> bool:
    """One part of a measurement; True after the last."""
    peer.settimeout(_PROOF_SECONDS)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    theirs, ours = _exactly(peer, _NONCE), secrets.token_bytes(_NONCE)
    peer.sendall(ours + _proof(secret, b"listens", theirs, ours))
    said = _exactly(peer, _NONCE + 1)
    if not hmac.compare_digest(said[:_NONCE], _proof(secret, b"asks", theirs, ours)):
        return False
    peer.settimeout(_SILENCE_SECONDS)
    match said[_NONCE:]:
        case b"P":
            for _ in range(PINGS):
                peer.sendall(_exactly(peer, 8))
        case b"U":
            peer.sendall(_COUNT.pack(*_take(peer)))
        case b"D":
            _give(peer)
            return True
    return False


# -- in the agent -----------------------------------------------------------------------------


class Measurer:
    """Carries out what the platform announces, one at a time, beside the agent's own work."""

    def __init__(self, path: Path, report: Callable[[dict[str, object]], object]) -> None:
        self._path = path
        self._report = report
        self._seen: set[str] = set()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def address(self) -> str:
        """What this agent may be measured by; empty: it may not."""
        try:
            found = read_file(self._path)
        except FileWrong as error:
            log.error("this agent is not measured: %s", error)
            return ""
        return found.address if found else ""

    def take(self, orders: list[Measure]) -> None:
        """Begin with the first that is new. Others are announced again."""
        new = [one for one in orders if str(one.id) not in self._seen]
        if not new or (self._thread is not None and self._thread.is_alive()):
            return
        self._seen.add(str(new[0].id))
        self._thread = threading.Thread(
            target=self._carry_out, args=(new[0],), name="measure", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    def _carry_out(self, order: Measure) -> None:
        try:
            secret = bytes.fromhex(order.secret)
            if order.role == "listen":
                failed = self._be_measured(order, secret)
                found: dict[str, object] = {"failed": failed} if failed else {}
            else:
                found = vars(measure(order.address, secret, patience=order.seconds / 2)).copy()
        except MeasureFailed as why:
            found = {"failed": str(why)}
        except Exception:  # whatever a peer does, the agent goes on
            log.exception("a measurement failed")
            found = {"failed": "measuring_failed"}
        if found:
            with suppress(Exception):  # the platform knows when it has waited long enough
                self._report({"id": str(order.id), **found})

    def _be_measured(self, order: Measure, secret: bytes) -> Literal["", "peer_does_not_listen"]:
        try:
            allowed = read_file(self._path)
            if allowed is None:
                return "peer_does_not_listen"
            until = time.monotonic() + order.seconds
            listen(allowed.listen, secret, until=until, stop=self._stop)
        except (OSError, FileWrong) as error:
            log.error("this agent cannot be measured: %s", error)
            return "peer_does_not_listen"
        return ""
