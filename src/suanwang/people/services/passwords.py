"""Whether a name and a password belong together, and the locks against guessing."""

from __future__ import annotations

import hashlib
from datetime import datetime
from functools import cache

from django.contrib.auth.hashers import check_password, make_password
from django.db import connection, transaction

from suanwang.core.errors import NotSignedIn, Refused
from suanwang.people import rules
from suanwang.people.models import Person, SignInFailure


@cache
def _nobody() -> str:
    """Checked when nobody bears the name, so that the answer takes as long.

    Made when first asked for: it costs as much as a sign-in, and every process loads this file.
    """
    return make_password("nobody signs in with this")


def check_sign_in(username: str, password: str, *, address: str, at: datetime) -> Person:
    """The person a name and a password belong to.

    After too many failures the name, or the address, is locked for a while; whether anybody
    bears the name changes nothing in the answer. A failure is kept, so this must not run inside
    a transaction that is rolled back when it refuses.

    Refuses ``sign_in_failed``, ``sign_in_locked``.
    """
    username = username.strip().lower()[:150]
    name_hash = hashlib.sha256(username.encode()).hexdigest()
    with transaction.atomic():
        # One try at a time for a name: parallel guesses would all pass the count below.
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name_hash])
        _refuse_if_locked(name_hash, address, at=at)
        person = Person.objects.filter(username=username, is_active=True).first()
        if check_password(password, person.password if person else _nobody()) and person:
            SignInFailure.objects.filter(name_hash=name_hash).delete()
            return person
        SignInFailure.objects.create(name_hash=name_hash, address=address[:45], at=at)
    raise NotSignedIn("sign_in_failed")


def _refuse_if_locked(name_hash: str, address: str, *, at: datetime) -> None:
    recent = SignInFailure.objects.filter(at__gt=at - rules.LOCK)
    of_name = recent.filter(name_hash=name_hash).count()
    of_address = recent.filter(address=address[:45]).count()
    if of_name >= rules.FAILURES_BEFORE_LOCK or of_address >= rules.FAILURES_BEFORE_ADDRESS_LOCK:
        raise Refused("sign_in_locked", minutes=int(rules.LOCK.total_seconds() // 60))


def forget_old_failures(*, at: datetime) -> int:
    """Remove failures that lock nothing any more; return how many."""
    return SignInFailure.objects.filter(at__lt=at - 2 * rules.LOCK).delete()[0]
