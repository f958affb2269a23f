"""A usage record as an agent sends it: read strictly, linked and signed. Pure.

The hash covers the text that was sent (``core.signed``), so that text is kept beside the values.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from suanwang.core.errors import Refused
from suanwang.core.signed import CORRECTS, RECORD_FIELDS, record_hash

METERS = ("core_seconds", "card_seconds", "memory_mib_seconds")
_QUANTITY_MAX = 2**62


@dataclass(frozen=True)
class SentRecord:
    """One record of the chain, read but not yet believed."""

    record_id: UUID
    attempt_id: UUID
    meter: str
    quantity: int
    started_at: datetime
    ended_at: datetime
    sequence: int
    previous_hash: str
    hash: str
    signature: str
    corrects: UUID | None
    """The record this one replaces."""
    sent: Mapping[str, object]
    """The hashed fields exactly as they came."""


def read_record(raw: Mapping[str, object]) -> SentRecord:
    """Read one record; refuses ``usage_record_unreadable`` and names the field."""
    meter = _text(raw, "meter")
    if meter not in METERS:
        raise Refused("usage_record_unreadable", field="meter")
    return SentRecord(
        record_id=_uuid(raw, "record_id"),
        attempt_id=_uuid(raw, "attempt_id"),
        meter=meter,
        quantity=_whole(raw, "quantity"),
        started_at=_time(raw, "started_at"),
        ended_at=_time(raw, "ended_at"),
        sequence=_whole(raw, "sequence"),
        previous_hash=_hex64(raw, "previous_hash"),
        hash=_hex64(raw, "hash"),
        signature=_text(raw, "signature"),
        corrects=_uuid(raw, CORRECTS) if CORRECTS in raw else None,
        sent={name: raw[name] for name in (*RECORD_FIELDS, CORRECTS) if name in raw},
    )


def linked(record: SentRecord) -> bool:
    """Whether the record's hash follows from its content and the link before it."""
    return record.hash == record_hash(record.previous_hash, record.sent)


def signed(hash_hex: str, signature: str, public_key: str) -> bool:
    """Whether the agent's Ed25519 key signed this link (the ASCII text of its hash)."""
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
        key.verify(base64.b64decode(signature, validate=True), hash_hex.encode("ascii"))
    except (InvalidSignature, ValueError, binascii.Error):
        return False
    return True


def _text(raw: Mapping[str, object], name: str) -> str:
    value = raw.get(name)
    if not isinstance(value, str) or not value or len(value) > 100:
        raise Refused("usage_record_unreadable", field=name)
    return value


def _hex64(raw: Mapping[str, object], name: str) -> str:
    value = _text(raw, name)
    if len(value) != 64 or set(value) - set("0123456789abcdef"):
        raise Refused("usage_record_unreadable", field=name)
    return value


def _whole(raw: Mapping[str, object], name: str) -> int:
    value = raw.get(name)
    if type(value) is not int or not 0 <= value <= _QUANTITY_MAX:
        raise Refused("usage_record_unreadable", field=name)
    return value


def _uuid(raw: Mapping[str, object], name: str) -> UUID:
    try:
        return UUID(_text(raw, name))
    except ValueError:
        raise Refused("usage_record_unreadable", field=name) from None


def _time(raw: Mapping[str, object], name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(_text(raw, name))
    except ValueError:
        raise Refused("usage_record_unreadable", field=name) from None
    if moment.tzinfo is None:
        raise Refused("usage_record_unreadable", field=name)
    return moment
