"""The platform signs what it answers to agents, so that they know who gives the orders.

TLS may end at a proxy that is not ours; a signature over the request's nonce, the status and the
body holds from end to end. ADR 0019.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import cache

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from suanwang.core.signed import NONCE_HEADER, SIGNATURE_HEADER, answer_bytes

_PATH = "/api/v1/agent/"
_PURPOSE = b"suanwang: answers to agents, 1"


@cache
def _key(secret: str) -> Ed25519PrivateKey:
    """One key for all web processes: it follows from the secret they share."""
    seed = HKDF(hashes.SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret.encode())
    return Ed25519PrivateKey.from_private_bytes(seed)


def platform_key() -> str:
    """The public key agents pin when they enrol, base64."""
    raw = _key(settings.SECRET_KEY).public_key().public_bytes_raw()
    return base64.b64encode(raw).decode()


def sign_answers(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware, outside of all that writes answers: refusals are signed like the rest."""

    def respond(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        nonce = request.headers.get(NONCE_HEADER, "")
        if request.path.startswith(_PATH) and nonce.isalnum() and len(nonce) <= 64:
            said = answer_bytes(nonce, response.status_code, response.content)
            signature = _key(settings.SECRET_KEY).sign(said)
            response[SIGNATURE_HEADER] = base64.b64encode(signature).decode()
        return response

    return respond
