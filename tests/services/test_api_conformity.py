"""The API answers as its own description says, whatever it is sent, and never with a 500."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from suanwang.api import document
from suanwang.site.wsgi import application

from .access_city import City
from .people_setting import Caller
from .test_access_walk import city, undone  # noqa: F401 - pytest finds the fixture here

pytestmark = pytest.mark.django_db

schema = schemathesis.openapi.from_dict(document.document())
schema.app = application
asked = schema.exclude(path_regex=r"/agent/|/sign-|/me/password")
"""Agents sign what they send; ending a session would end the test's own."""

PROMISES: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
FEW = settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def callers(city: City, django_db_blocker: Any) -> Iterator[list[dict[str, str]]]:  # noqa: F811
    """A stranger, a company's owner and the operator, with their keys."""
    with django_db_blocker.unblock():
        found = [{}, *(Caller(city.viewers[who]).headers for who in ("owner-a", "operator"))]
    # As Django's own test client does: the connection holds the test's transaction.
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield found
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@asked.parametrize()
@FEW
def test_every_answer_is_as_described(
    case: schemathesis.Case, callers: list[dict[str, str]]
) -> None:
    for headers in callers:
        with undone():
            answer = case.call(headers=headers)
        case.validate_response(answer, checks=PROMISES)
