"""What an agent signs cannot be altered, moved or forged unnoticed."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from suanwang.agent.signing import AgentKey, verify, verify_record, verify_request
from suanwang.core.signed import FIRST_PREVIOUS_HASH, canonical_json, record_hash

TARGET = "/api/v1/agent/logs/a/stdout?offset=0"
RECORD = {
    "record_id": "r",
    "attempt_id": "a",
    "meter": "core_seconds",
    "quantity": 7,
    "started_at": "2024-01-01T00:00:00+00:00",
    "ended_at": "2024-01-01T00:00:07+00:00",
    "sequence": 1,
}


def test_a_request_holds_only_as_it_was_signed() -> None:
    key = AgentKey.generate()
    headers = key.headers("agent", "POST", TARGET, b"body", timestamp=1_700_000_000)
    assert verify_request(key.public, headers, "post", TARGET, b"body")
    assert not verify_request(key.public, headers, "PUT", TARGET, b"body")
    assert not verify_request(key.public, headers, "POST", TARGET + "1", b"body")
    assert not verify_request(key.public, headers, "POST", TARGET, b"bodY")
    later = headers | {"Suanwang-Timestamp": "1700000001"}
    assert not verify_request(key.public, later, "POST", TARGET, b"body")
    assert not verify_request(AgentKey.generate().public, headers, "POST", TARGET, b"body")
    assert not verify_request(key.public, {}, "POST", TARGET, b"body")


@pytest.mark.parametrize("garbage", ["", "é", "====", "AAAA", "A" * 88])
def test_garbage_is_no_signature(garbage: str) -> None:
    key = AgentKey.generate()
    assert not verify(key.public, garbage, b"")
    assert not verify(garbage, key.sign(b""), b"")


def test_a_record_is_bound_to_the_one_before_it() -> None:
    key = AgentKey.generate()
    first = record_hash(FIRST_PREVIOUS_HASH, RECORD)
    assert verify_record(key.public, first, key.sign(first.encode()))
    assert not verify_record(key.public, first[::-1], key.sign(first.encode()))
    assert record_hash(first, RECORD) != first
    for field in RECORD:
        assert record_hash(FIRST_PREVIOUS_HASH, RECORD | {field: "other"}) != first
    assert record_hash(FIRST_PREVIOUS_HASH, RECORD | {"note": "not covered"}) == first


def test_one_value_has_one_spelling() -> None:
    assert canonical_json({"b": 1, "a": "保定"}) == '{"a":"保定","b":1}'.encode()


def test_the_key_file_is_private_and_lasts(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "agent.key"
    key = AgentKey.load_or_create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert AgentKey.load_or_create(path).public == key.public
    assert [file.name for file in path.parent.iterdir()] == ["agent.key"]
    path.chmod(0o644)
    with pytest.raises(PermissionError):
        AgentKey.load_or_create(path)
