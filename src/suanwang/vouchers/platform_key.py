"""The platform's Ed25519 key: a PEM file under ``SUANWANG_HOME/keys``.

Made on first use in development. In production it must be put there: a platform that quietly
made a new one would issue certificates nobody can verify with the published key.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from suanwang.core.errors import Unavailable
from suanwang.site.settings import settings

FILE = "platform-ed25519.pem"


def private_key() -> Ed25519PrivateKey:
    """The key that signs certificates. Raises ``platform_key_missing`` in production."""
    path = settings().home / "keys" / FILE
    if not path.exists():
        if settings().env == "production":
            raise Unavailable("platform_key_missing", file=FILE)
        _make(path)
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise Unavailable("platform_key_missing", file=FILE)
    return key


def public_key() -> Ed25519PublicKey:
    """The key that verifies them."""
    return private_key().public_key()


def public_key_text() -> str:
    """The published form: base64 of the 32 raw bytes."""
    raw = public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return base64.b64encode(raw).decode("ascii")


def _make(path: Path) -> None:
    """Write a new key whole or not at all; of two processes at once the first one wins."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    pem = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    draft = path.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
