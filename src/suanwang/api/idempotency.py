"""One write, done once: the whole request in one transaction with the answer it gave.

A second request with the same key waits for the first and is given its stored answer. Only
answers of success are stored: a refusal changed nothing, so a repetition may try again.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime, timedelta

from cryptography.fernet import Fernet
from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.http import HttpRequest, HttpResponse

from suanwang.api.models import StoredAnswer
from suanwang.core.errors import Refused

KEPT_FOR = timedelta(hours=48)
WAIT_SECONDS = 15
TRIES = 3
"""A deadlock or a failed serialization undoes everything, so trying again is safe."""

MUST_BE_TRIED_AGAIN = "suanwang_try_again"


def answer_once(
    request: HttpRequest,
    respond: Callable[[HttpRequest], HttpResponse],
    *,
    key: str,
    caller: str,
    at: datetime,
) -> HttpResponse:
    """Answer a write, or repeat the answer it was given before.

    Refuses ``idempotency_key_reused`` (same key, other request) and ``request_in_progress``.
    """
    for last in (False,) * (TRIES - 1) + (True,):
        setattr(request, MUST_BE_TRIED_AGAIN, False)
        with transaction.atomic():
            answer_id = _claim(caller, _hash(key), _fingerprint(request), at)
            if answer_id is None:
                return _replay(request, caller, key)
            response = respond(request)
            if response.status_code >= 400:
                transaction.set_rollback(True)
            else:
                StoredAnswer.objects.filter(pk=answer_id).update(
                    status=response.status_code,
                    content_type=response.get("Content-Type", ""),
                    content=_cipher(caller, key).encrypt(response.content),
                )
        if last or not getattr(request, MUST_BE_TRIED_AGAIN):
            return response
    raise AssertionError("the last try returns")


def _claim(caller: str, key_hash: str, fingerprint: str, at: datetime) -> int | None:
    """The id of a fresh row, or None when the key was used before. Waits for a running twin."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{WAIT_SECONDS}s'")
            cursor.execute(
                "INSERT INTO api_storedanswer"
                " (caller, key_hash, fingerprint, status, content_type, content, at)"
                " VALUES (%s, %s, %s, 0, '', '', %s)"
                " ON CONFLICT (caller, key_hash) DO NOTHING RETURNING id",
                [caller, key_hash, fingerprint, at],
            )
            row = cursor.fetchone()
            cursor.execute("SET LOCAL lock_timeout TO DEFAULT")
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", "") == "55P03":  # lock_not_available
            raise Refused("request_in_progress") from error
        raise
    return row[0] if row else None


def _replay(request: HttpRequest, caller: str, key: str) -> HttpResponse:
    stored = StoredAnswer.objects.get(caller=caller, key_hash=_hash(key))
    if stored.fingerprint != _fingerprint(request):
        raise Refused("idempotency_key_reused")
    response = HttpResponse(
        _cipher(caller, key).decrypt(bytes(stored.content)),
        status=stored.status,
        content_type=stored.content_type or None,
    )
    response["Idempotency-Replayed"] = "true"
    return response


def _fingerprint(request: HttpRequest) -> str:
    """Keyed, because a body may hold a password that a plain hash would let guess.

    A multipart boundary is chosen anew by every client at every try and says nothing.
    """
    body = request.body
    if request.content_type == "multipart/form-data" and request.content_params:
        body = body.replace(request.content_params.get("boundary", "").encode() or b"--", b"")
    said = b"\n".join([str(request.method).encode(), request.get_full_path().encode(), body])
    return hmac.new(settings.SECRET_KEY.encode(), said, hashlib.sha256).hexdigest()


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _cipher(caller: str, key: str) -> Fernet:
    secret = hmac.new(settings.SECRET_KEY.encode(), f"{caller}\n{key}".encode(), hashlib.sha256)
    return Fernet(base64.urlsafe_b64encode(secret.digest()))


def forget_old_answers(*, at: datetime) -> int:
    """Remove answers older than 48 hours; their keys may be used again. Returns how many."""
    return StoredAnswer.objects.filter(at__lt=at - KEPT_FOR).delete()[0]
