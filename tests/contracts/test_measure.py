"""Measuring the way to another agent: true figures, and nothing for a stranger."""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from suanwang.agent import measure
from suanwang.agent.measure import Figures, MeasureFailed, split
from suanwang.agent.yaml_file import FileWrong

SECRET = secrets.token_bytes(32)


@pytest.fixture(autouse=True)
def short_transfers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "TRANSFER_SECONDS", 0.2)
    monkeypatch.setattr(measure, "TRANSFER_BYTES", 32 << 20)


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return f"127.0.0.1:{found.getsockname()[1]}"


@contextmanager
def listening(secret: bytes = SECRET) -> Iterator[tuple[str, threading.Thread]]:
    address, stop = free_address(), threading.Event()
    thread = threading.Thread(
        target=measure.listen, args=(address, secret),
        kwargs={"until": time.monotonic() + 60, "stop": stop},
    )  # fmt: skip
    thread.start()
    yield address, thread
    stop.set()
    thread.join(30)
    assert not thread.is_alive()


def asked(address: str, secret: bytes = SECRET, patience: float = 5) -> Figures:
    return measure.measure(address, secret, patience=patience)


def test_two_agents_measure_the_way_between_them_and_the_door_is_shut_afterwards() -> None:
    with listening() as (address, thread):
        found = asked(address)
        thread.join(30)
        assert not thread.is_alive(), "once measured it listens no more"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(split(address), timeout=5)
    assert 0 < found.latency_us <= found.latency_p95_us
    assert found.there_mbps > 0 and found.back_mbps > 0


def test_a_delay_on_the_way_is_seen() -> None:
    with listening() as (address, _), delaying(address, 0.010) as delayed:
        found = asked(delayed)
    assert found.latency_us >= 20_000


@contextmanager
def delaying(address: str, seconds: float) -> Iterator[str]:
    """A way on which every piece takes longer, in each direction."""
    server = socket.create_server(("127.0.0.1", 0))

    def carry(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(1 << 20):
                time.sleep(seconds)
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)

    carriers: list[threading.Thread] = []
    open_ones: list[socket.socket] = [server]

    def accept() -> None:
        with suppress(OSError):
            while True:
                one, _ = server.accept()
                other = socket.create_connection(split(address))
                open_ones.extend((one, other))
                for pair in ((one, other), (other, one)):
                    carriers.append(threading.Thread(target=carry, args=pair))
                    carriers[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    yield f"127.0.0.1:{server.getsockname()[1]}"
    server.shutdown(socket.SHUT_RDWR)
    accepting.join(30)
    for one in carriers:
        one.join(30)
    for each in open_ones:
        each.close()


def test_who_does_not_know_the_secret_measures_nothing_on_either_side() -> None:
    with listening() as (address, _):
        with pytest.raises(MeasureFailed, match="peer_not_the_one"):
            asked(address, secrets.token_bytes(32))
        with socket.create_connection(split(address), timeout=10) as stranger:
            stranger.sendall(bytes(32))
            assert len(stranger.recv(64, socket.MSG_WAITALL)) == 64
            stranger.sendall(bytes(32) + b"D")
            with suppress(ConnectionResetError):
                assert stranger.recv(1) == b"", "cut off before a byte is measured"
        assert asked(address).latency_us > 0, "and the measurement goes on"


def connected(address: str) -> socket.socket:
    """As soon as somebody listens there."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return socket.create_connection(split(address), timeout=10)
        except ConnectionRefusedError:
            assert time.monotonic() < deadline


def test_a_peer_that_says_nothing_is_cut_off_and_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measure, "_PROOF_SECONDS", 0.2)
    with listening() as (address, _):
        silent = connected(address)
        assert asked(address).latency_us > 0
        silent.close()


def test_a_peer_that_sends_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "TRANSFER_BYTES", 1 << 20)
    endless, sink = socket.socketpair()

    def send() -> None:
        with suppress(OSError):
            while True:
                endless.sendall(bytes(1 << 16))

    threading.Thread(target=send, daemon=True).start()
    with pytest.raises(ConnectionAbortedError, match="more than was agreed"):
        measure._take(sink)
    sink.close()
    endless.close()


def test_nobody_there_is_said_by_name() -> None:
    with pytest.raises(MeasureFailed, match="peer_not_reached"):
        asked(free_address(), patience=0.1)


def test_a_peer_that_hangs_up_in_the_middle_is_said_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measure, "_take", _hang_up)
    with listening() as (address, _), pytest.raises(MeasureFailed, match="peer_fell_silent"):
        asked(address)


def _hang_up(peer: socket.socket) -> Any:
    raise ConnectionAbortedError


@pytest.mark.parametrize(
    "text",
    [
        "listen: 9443", "listen: '10.0.0.5:9443'", "listen: ':1'\naddress: 'a:1'",
        "listen: 'a:99999'\naddress: 'a:1'", "listen: 'a:1'\naddress: 'b c:1'",
        "listen: 'a:1'\naddress: 'a:1'\nmore: 1",
    ],
)  # fmt: skip
def test_a_file_that_makes_no_sense_opens_no_door(text: str, tmp_path: Any) -> None:
    path = tmp_path / "measure.yaml"
    path.write_text(text)
    with pytest.raises(FileWrong):
        measure.read_file(path)
    assert measure.Measurer(path, lambda _: None).address() == ""
