"""Whether a request comes from the agent it names: signature, time, and never twice."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote
from uuid import UUID

from django.http import HttpRequest

from suanwang.agent.signing import verify_request
from suanwang.core.errors import Malformed, NotAllowed, NotSignedIn
from suanwang.core.signed import (
    AGENT_HEADER,
    NONCE_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    TIMESTAMP_TOLERANCE_SECONDS,
)
from suanwang.jobs.services import use_nonce
from suanwang.registry import queries as registry
from suanwang.registry import services as registry_services
from suanwang.registry.models import SiteAgent
from suanwang.site import clock

BODY_BYTES_MAX = 33 * 1024 * 1024
_NONCE_LENGTHS = range(16, 65)


def signed_agent(request: HttpRequest) -> SiteAgent:
    """The agent that signed this request.

    Refuses ``request_unsigned``, ``agent_unknown``, ``request_signature_wrong``,
    ``request_time_wrong`` (with our time, so that the agent can correct itself) and
    ``request_replayed``.
    """
    headers = request.headers
    given = [
        headers.get(name, "")
        for name in (AGENT_HEADER, TIMESTAMP_HEADER, NONCE_HEADER, SIGNATURE_HEADER)
    ]
    if not all(given) or len(given[2]) not in _NONCE_LENGTHS or not given[2].isalnum():
        raise NotSignedIn("request_unsigned")
    try:
        agent = registry.agent_known(UUID(given[0]))
        timestamp = int(given[1])
    except ValueError as error:
        raise NotSignedIn("request_unsigned") from error
    if agent is None:
        raise NotSignedIn("agent_unknown")
    body = body_of(request)
    if not any(
        verify_request(agent.public_key, headers, request.method or "", target, body)
        for target in _targets(request)
    ):
        raise NotSignedIn("request_signature_wrong")
    at = clock.now()
    if abs(at.timestamp() - timestamp) > TIMESTAMP_TOLERANCE_SECONDS:
        raise NotAllowed(
            "request_time_wrong",
            tolerance_seconds=TIMESTAMP_TOLERANCE_SECONDS,
            server_time=at.isoformat(),
        )
    use_nonce(agent, given[2], at=at)
    registry_services.seen(agent, at=at)
    return agent


def body_of(request: HttpRequest) -> bytes:
    """The whole body, at most as long as a file may be; read once and kept with the request.

    Refuses ``request_too_large``.
    """
    kept: bytes | None = getattr(request, "_body", None)
    if kept is None:
        kept = request.read(BODY_BYTES_MAX + 1)
        if len(kept) > BODY_BYTES_MAX:
            raise Malformed("request_too_large", limit=BODY_BYTES_MAX)
        # Where Django keeps it too, so that the framework finds it there.
        request._body = kept
    return kept


def _targets(request: HttpRequest) -> Iterator[str]:
    """The spellings of the address the agent may have signed: the server hands on a decoded path,
    and one path can be quoted in several ways. All of them mean the same.
    """
    query = request.META.get("QUERY_STRING", "")
    after = f"?{query}" if query else ""
    seen = set()
    for path in (
        request.path,
        quote(request.path, safe="/"),
        quote(request.path, safe="/:@!$&'()*+,;=~-._"),
    ):
        if path not in seen:
            seen.add(path)
            yield path + after
