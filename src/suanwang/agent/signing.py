"""An agent's Ed25519 key, and the signatures both sides exchange.

The platform imports ``verify_request`` and ``verify_record`` from here: one implementation.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from suanwang.core.signed import (
    AGENT_HEADER,
    NONCE_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    answer_bytes,
    request_bytes,
)


class AgentKey:
    """A private key that signs. Its bytes never leave the file it lives in."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private

    @classmethod
    def generate(cls) -> AgentKey:
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load_or_create(cls, path: Path) -> AgentKey:
        """The key of a file of mode 0600, made on first use and durable before it is used."""
        try:
            raw = base64.b64decode(path.read_text(encoding="ascii"), validate=True)
        except FileNotFoundError:
            return cls._create(path)
        if path.stat().st_mode & 0o077:
            raise PermissionError(f"{path} may be read by others; chmod 600 it")
        return cls(Ed25519PrivateKey.from_private_bytes(raw))

    @classmethod
    def _create(cls, path: Path) -> AgentKey:
        key = cls.generate()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        waiting = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(waiting, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(key._private.private_bytes_raw()))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(waiting, path)  # of two that start at once, one key holds
        except FileExistsError:
            return cls.load_or_create(path)
        finally:
            waiting.unlink()
        return key

    @property
    def public(self) -> str:
        """The public key, 32 bytes in base64."""
        return base64.b64encode(self._private.public_key().public_bytes_raw()).decode()

    def sign(self, data: bytes) -> str:
        return base64.b64encode(self._private.sign(data)).decode()

    def headers(
        self, agent_id: str, method: str, target: str, body: bytes, *, timestamp: int
    ) -> dict[str, str]:
        """The four headers of a signed request; the nonce is new each time."""
        nonce = secrets.token_hex(16)
        return {
            AGENT_HEADER: agent_id,
            TIMESTAMP_HEADER: str(timestamp),
            NONCE_HEADER: nonce,
            SIGNATURE_HEADER: self.sign(request_bytes(method, target, str(timestamp), nonce, body)),
        }


def verify(public_key: str, signature: str, data: bytes) -> bool:
    """Whether a base64 signature over ``data`` is of this base64 key. Never raises on garbage."""
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
        key.verify(base64.b64decode(signature, validate=True), data)
    except (InvalidSignature, ValueError, binascii.Error):
        return False
    return True


def verify_request(
    public_key: str, headers: Mapping[str, str], method: str, target: str, body: bytes
) -> bool:
    """Whether the headers sign this request. Freshness and nonces are for the caller to judge."""
    return verify(
        public_key,
        headers.get(SIGNATURE_HEADER, ""),
        request_bytes(
            method,
            target,
            headers.get(TIMESTAMP_HEADER, ""),
            headers.get(NONCE_HEADER, ""),
            body,
        ),
    )


def verify_answer(public_key: str, signature: str, nonce: str, status: int, body: bytes) -> bool:
    """Whether an answer to the request with this nonce is signed by the platform's key."""
    return verify(public_key, signature, answer_bytes(nonce, status, body))


def verify_record(public_key: str, hash_hex: str, signature: str) -> bool:
    """Whether a usage record's hash is signed by this key."""
    return verify(public_key, signature, hash_hex.encode("ascii", "replace"))
