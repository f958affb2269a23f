"""Answers that were given, so that a repeated write is answered again instead of done again."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from suanwang.people.scope import Scope


class StoredAnswer(models.Model):
    """The answer to one write, by who asked and the ``Idempotency-Key`` they chose.

    The key is kept hashed and the answer encrypted under the key itself: an answer may hold a
    fresh secret (an API key, an enrolment token), and only who knows the key may see it again.
    """

    SCOPE: ClassVar = Scope(city_roles=frozenset())

    caller = models.CharField(max_length=80)
    key_hash = models.CharField(max_length=64)
    fingerprint = models.CharField(max_length=64)
    """Of method, address and body: the same key with another request is refused."""
    status = models.PositiveSmallIntegerField(default=0)
    content_type = models.CharField(max_length=100, default="")
    content = models.BinaryField(default=b"")
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["caller", "key_hash"], name="answered_once")]
        indexes = [models.Index(fields=["at"], name="answer_age")]
