"""The electronic entitlement certificate: what it says, and the platform's signature over it.

Anyone with the published key can verify one without asking the platform. It is an entitlement,
not money: it cannot be handed on and gives no change.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from suanwang.core.clock import CITY_ZONE
from suanwang.core.money import Fen
from suanwang.core.signed import canonical_json

ALGORITHM = "Ed25519"


def content(
    *,
    number: str,
    holder: str,
    holder_code: str | None,
    policy: str,
    measure: str,
    package_hash: str,
    year: int,
    face_fen: Fen,
    issued_at: datetime,
    expires_at: datetime,
) -> dict[str, object]:
    """What a certificate states; its canonical JSON is what is signed. Times in the city's zone."""
    return {
        "type": "compute_voucher",
        "number": number,
        "holder": holder,
        "holder_code": holder_code or "",
        "policy": policy,
        "measure": measure,
        "package_hash": package_hash,
        "year": year,
        "face_fen": face_fen,
        "issued_at": issued_at.astimezone(CITY_ZONE).isoformat(timespec="seconds"),
        "expires_at": expires_at.astimezone(CITY_ZONE).isoformat(timespec="seconds"),
        "transferable": False,
    }


def sign(stated: Mapping[str, object], key: Ed25519PrivateKey) -> str:
    """The platform's signature over a certificate, base64."""
    return base64.b64encode(key.sign(canonical_json(dict(stated)))).decode("ascii")


def genuine(stated: Mapping[str, object], signature: str, key: Ed25519PublicKey) -> bool:
    """Whether the holder of a key signed exactly this content."""
    try:
        key.verify(base64.b64decode(signature, validate=True), canonical_json(dict(stated)))
    except (InvalidSignature, binascii.Error, ValueError, TypeError):
        return False
    return True
