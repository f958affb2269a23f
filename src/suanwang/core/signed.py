"""The exact bytes an agent signs: of a request, and of a usage record in its hash chain.

Both sides build them here, so that they cannot drift apart. Nothing here knows a key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Final

AGENT_HEADER: Final = "Suanwang-Agent"
SIGNATURE_HEADER: Final = "Suanwang-Signature"
TIMESTAMP_HEADER: Final = "Suanwang-Timestamp"
NONCE_HEADER: Final = "Suanwang-Nonce"

TIMESTAMP_TOLERANCE_SECONDS: Final = 300
"""A request signed longer ago, or so far ahead, is refused; nonces are remembered that long."""

FIRST_PREVIOUS_HASH: Final = "0" * 64
"""What the first record of a chain points back at."""

RECORD_FIELDS: Final = (
    "record_id",
    "attempt_id",
    "meter",
    "quantity",
    "started_at",
    "ended_at",
    "sequence",
)
"""The fields of a usage record that its hash covers, besides the previous hash."""
CORRECTS: Final = "corrects"
"""One more field, of a record that replaces an earlier one, whose ``record_id`` it names."""


def request_bytes(method: str, target: str, timestamp: str, nonce: str, body: bytes) -> bytes:
    """What the signature of a request covers.

    ``target`` is the path with its query as sent (``/api/v1/agent/logs/…?offset=0``): an offset
    is as worth protecting as a path. ``timestamp`` is whole Unix seconds in decimal.
    """
    digest = hashlib.sha256(body).hexdigest()
    return "\n".join((method.upper(), target, timestamp, nonce, digest)).encode()


def answer_bytes(nonce: str, status: int, body: bytes) -> bytes:
    """What the platform signs of an answer to an agent.

    The nonce is the request's own: an answer to another request, or an old one, does not fit.
    """
    return "\n".join(("answer", nonce, str(status), hashlib.sha256(body).hexdigest())).encode()


def canonical_json(value: object) -> bytes:
    """One spelling for one value: sorted keys, no spaces, UTF-8. Floats have no place here."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def record_hash(previous_hash: str, record: Mapping[str, object]) -> str:
    """The link of one usage record: SHA-256, in hex, over the previous link and its fields.

    Times are hashed as the text that was sent, so no side reformats them.
    """
    fields = {name: record[name] for name in RECORD_FIELDS}
    if CORRECTS in record:
        fields[CORRECTS] = record[CORRECTS]
    return hashlib.sha256(previous_hash.encode("ascii") + canonical_json(fields)).hexdigest()
