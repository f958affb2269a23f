"""The one small tree of refusals.

    SuanwangError
    ├── Malformed     the request itself cannot be read                 422
    ├── NotAllowed    the caller may not do this                       403
    │   └── NotSignedIn   it is not known who is calling               401
    ├── NotFound      it does not exist, or not for this caller        404
    ├── Refused       allowed and understood, but a rule forbids it    409
    └── Unavailable   something we depend on cannot answer now         503

Every refusal carries a stable ``code`` and the ``facts`` that explain it. The words, in both
languages, live in ``<affair>/refusals.yaml`` and are put in at the edge (``core.refusals``).
A test holds every code raised in the source against those files.
"""

from __future__ import annotations

from typing import ClassVar


class SuanwangError(Exception):
    """A refusal with a stable code and the facts behind it."""

    status: ClassVar[int] = 500

    def __init__(self, code: str, /, **facts: object) -> None:
        super().__init__(code, facts)
        self.code = code
        self.facts = facts

    def __str__(self) -> str:
        shown = ", ".join(f"{name}={value}" for name, value in self.facts.items())
        return f"{self.code}({shown})"


class Malformed(SuanwangError):
    """A part of the request cannot be read, whoever sends it and whatever the state."""

    status = 422


class NotAllowed(SuanwangError):
    """The caller is known and may not do this."""

    status = 403


class NotSignedIn(NotAllowed):
    """Nobody, or nobody we believe, is calling."""

    status = 401


class NotFound(SuanwangError):
    """It does not exist, or the caller may not know that it does."""

    status = 404


class Refused(SuanwangError):
    """The request is well formed and permitted, but a rule of the city forbids it."""

    status = 409


class Unavailable(SuanwangError):
    """Something we depend on cannot answer now; the same request may succeed later."""

    status = 503
