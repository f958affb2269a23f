"""Every address, as every role of two of everything and as a stranger: nothing leaks.

The addresses are discovered, not listed: a new one without a declaration fails the walk.
"""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection, transaction
from django.test import Client
from django.test.utils import override_settings
from django.urls import URLPattern, URLResolver, get_resolver

from suanwang.api.api import api
from suanwang.people.models import Member
from suanwang.people.roles import CONSUMER_KINDS, OrganisationKind
from suanwang.people.scope import CITY_ROLES, STRANGER, Viewer, visible

from . import access_city, access_expected, access_pages
from .access_city import City, Side, forbidden
from .access_expected import AGENT, ANYBODY, SIGNED_IN, Ask

pytestmark = pytest.mark.django_db

READS = ("GET", "HEAD")
BOOKKEEPING = (
    "api_storedanswer",
    "django_session",
    "people_apikey",
    "people_signinfailure",
    'update "people_person" set "last_login"',
)
"""Tables a mere look may write to."""


@pytest.fixture(scope="module")
def city(django_db_setup: None, django_db_blocker: Any) -> Iterator[City]:
    """One city for all walks; each walk undoes what it did."""
    quick = ["django.contrib.auth.hashers.MD5PasswordHasher", *settings.PASSWORD_HASHERS]
    logging.disable(logging.ERROR)
    try:
        with (
            django_db_blocker.unblock(),
            override_settings(PASSWORD_HASHERS=quick),
            transaction.atomic(),
        ):
            yield access_city.build()
            transaction.set_rollback(True)
    finally:
        logging.disable(logging.NOTSET)


@dataclass(frozen=True)
class Address:
    """One operation of the API, or one page."""

    method: str
    path: str
    name: str = ""

    @property
    def operation(self) -> str:
        return f"{self.method} {self.path}"

    def filled(self, side: Side) -> str:
        path = re.sub(
            r"{(\w+)}", lambda m: access_expected.value_of(self.path, m[1], side), self.path
        )
        query = access_expected.QUERIES.get(self.operation)
        return f"{path}?{urlencode(query(side))}" if query else path


def operations() -> list[Address]:
    """What the API offers, hidden operations included."""
    found = []
    for router in api._get_bound_routers():
        for path, view in router.path_operations.items():
            for operation in view.operations:
                whole = "/" + "/".join(p.strip("/") for p in ("api/v1", router.prefix, path) if p)
                template = re.sub(r"{(?:\w+:)?(\w+)}", r"{\1}", whole.rstrip("/"))
                found += [Address(method, template) for method in operation.methods]
    return found


def pages() -> list[Address]:
    """Every other address of the URLconf."""
    found = []

    def walk(patterns: list[Any], start: str) -> None:
        for pattern in patterns:
            route = start + str(pattern.pattern).lstrip("^").rstrip("$")
            if isinstance(pattern, URLResolver):
                walk(pattern.url_patterns, route)
            elif isinstance(pattern, URLPattern):
                template = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", "/" + route)
                found.append(Address("GET", template, pattern.name or template))

    walk(get_resolver().url_patterns, "")
    offered = {address.path for address in operations()}
    return [page for page in found if page.path.rstrip("/") not in offered]


def everybody(city: City) -> dict[str, Viewer]:
    return city.viewers | {"stranger": STRANGER}


def sides_for(city: City, who: str) -> list[Side]:
    """Whose things to try: for who belongs to a side both, the own and the other's."""
    return list(city.sides.values()) if "-" in who else [city.sides["a"]]


class Writes:
    """What a request wrote, bookkeeping aside."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        start = sql.lstrip()[:80].lower()
        if start.startswith(("insert", "update", "delete")) and not any(
            table in start for table in BOOKKEEPING
        ):
            self.found.append(start)
        return execute(sql, params, many, context)


@contextmanager
def undone() -> Iterator[Writes]:
    """Let something happen, see what it writes, and take it back."""
    writes = Writes()
    with transaction.atomic():
        with connection.execute_wrapper(writes):
            yield writes
        transaction.set_rollback(True)


def browser_of(viewer: Viewer) -> Client:
    client = Client(headers={"Accept-Language": "en"})
    client.raise_request_exception = False
    if viewer.person is not None:
        client.force_login(viewer.person)
        member = Member.objects.get(
            person=viewer.person,
            organisation_id=viewer.organisation_id,
            role=viewer.role,
            left_at=None,
        )
        session = client.session
        session["acting_as"] = member.pk
        session.save()
    return client


def content_of(answer: Any) -> str:
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    headers = " ".join(f"{name}: {value}" for name, value in answer.items())
    return (headers + body.decode(errors="replace")).lower()


def leaks(who: str, address: str, answer: Any) -> list[str]:
    """Markers in an answer that its reader must not see, and failures of ours."""
    found = []
    if answer.status_code >= 500:
        found.append(f"{who}: {address} answers {answer.status_code}")
    said = content_of(answer)
    for word in address.lower().split("/"):  # what the caller said themself
        said = said.replace(word, "") if "leak" in word else said
    found += [f"{who}: {address} shows {mark}" for mark in forbidden(who) if mark in said]
    return found


def test_every_model_says_who_sees_its_rows() -> None:
    silent = [
        model._meta.label
        for model in apps.get_models()
        if model.__module__.startswith("suanwang.") and not hasattr(model, "SCOPE")
    ]
    assert silent == []


def test_the_city_walked_has_rows_of_every_model_on_both_sides(city: City) -> None:
    empty = []
    for model in apps.get_models():
        if not model.__module__.startswith("suanwang.") or model.__name__ in (
            "StoredAnswer",  # written by the walk itself
            "NumberSeries",  # counts numbers of papers; belongs to nobody
        ):
            continue
        if model._default_manager.count() < (1 if _is_shared(model) else 2):
            empty.append(model._meta.label)
    assert empty == [], "give these rows in access_city.py"


def _is_shared(model: Any) -> bool:
    return model.__name__ in ("AcceleratorModel", "AcceleratorFigure", "PolicyPackage")


def test_scope_itself_hides_the_other_side(city: City) -> None:
    shown = []
    for who, viewer in everybody(city).items():
        for model in apps.get_models():
            if not model.__module__.startswith("suanwang.") or model.__name__ == "Duty":
                continue
            for row in visible(model, viewer).values():
                said = " ".join(str(_text(value)) for value in row.values()).lower()
                marks = [m for m in forbidden(who) if m.startswith("leak") and m in said]
                if marks and not marks[0].startswith("leakv"):
                    shown.append(f"{who} sees {model._meta.label} with {marks}")
    assert shown == []


def _text(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value


def test_every_address_of_the_api_is_declared() -> None:
    writes = {address.operation for address in operations() if address.method not in READS}
    assert writes - access_expected.WRITES.keys() == set(), "declare these writes"
    assert access_expected.WRITES.keys() - writes == set(), "these writes are gone"


def test_every_page_is_declared() -> None:
    names = {page.name for page in pages()}
    known = access_pages.WRITES.keys() | access_pages.READ_ONLY
    known |= access_pages.NOT_PAGES
    assert names - known == set(), "declare these pages"
    assert known - names == set(), "these pages are gone"


def reads() -> list[Address]:
    return [a for a in operations() if a.method in READS] + pages()


@dataclass(frozen=True)
class Look:
    """What one viewer got at one address."""

    address: Address
    status: int
    wrong: list[str]


@pytest.fixture(scope="module")
def looks(city: City) -> list[Look]:
    """Every read, by everybody, of both sides' things."""
    taken = []
    for who, viewer in everybody(city).items():
        browser = browser_of(viewer)
        for address in reads():
            for path in sorted({address.filled(side) for side in sides_for(city, who)}):
                with undone() as writes:
                    answer = browser.get(path)
                wrong = leaks(who, path, answer)
                wrong += [f"{who}: GET {path} writes: {sql}" for sql in writes.found]
                taken.append(Look(address, answer.status_code, wrong))
    return taken


def test_no_read_shows_a_row_of_another_organisation(looks: list[Look]) -> None:
    assert [line for look in looks for line in look.wrong] == []


def test_reads_are_not_refused_to_everybody(looks: list[Look]) -> None:
    """A walk that only met refusals would have seen nothing."""
    statuses: dict[Address, set[int]] = {}
    for look in looks:
        statuses.setdefault(look.address, set()).add(look.status)
    shut = {
        address.operation: sorted(met)
        for address, met in statuses.items()
        if 200 not in met
        and address.name not in access_pages.NOT_PAGES | access_pages.FORMS_ALONE
        and not address.path.startswith("/api/v1/agent/")  # no person reads there
    }
    assert shut == {}


def test_every_own_thing_is_seen_by_its_owner(city: City) -> None:
    for name in access_city.SIDES:
        browser = browser_of(city.viewers[f"owner-{name}"])
        seen = content_of(browser.get(f"/api/v1/organisations/{city.sides[name].consumer.pk}"))
        assert f"leakc{name}" in seen


def permitted(ask: Ask, who: str, viewer: Viewer, side: Side) -> bool:
    """Whether a viewer may do what is asked to the things of a side."""
    if ask.permission in (ANYBODY, SIGNED_IN):
        return ask.permission == ANYBODY or viewer.person is not None
    if ask.permission == "own membership":
        return viewer.person == side.owner.person
    if ask.also and viewer.may(ask.also) and viewer.organisation_id == side.consumer.pk:
        return True
    if ask.permission == AGENT or not viewer.may(ask.permission):
        return False
    if ask.whose == "self":
        return True
    if viewer.role in CITY_ROLES:
        return ask.city_too
    if who == f"county-{side.name}":
        return True
    own = {"consumer": [side.consumer.pk], "provider": [side.provider.pk]}
    both = own["consumer"] + own["provider"]
    return viewer.organisation_id in own.get(ask.whose, both)


def test_no_write_of_the_api_succeeds_without_permission(city: City) -> None:
    wrong, done = [], set()
    addresses = [a for a in operations() if a.method not in READS]
    for who, viewer in everybody(city).items():
        browser = browser_of(viewer)
        for address in addresses:
            ask = access_expected.WRITES[address.operation]
            for side in sides_for(city, who):
                answer, path = _send(browser, address, ask, side)
                reader = f"owner-{side.name}" if ask.signs_in else who
                wrong += leaks(reader, path, answer)
                line = f"{who}: {address.operation} of {side.name} answers {answer.status_code}"
                if permitted(ask, who, viewer, side):
                    done.add((address.operation, answer.status_code))
                    if answer.status_code in (400, 401, 403, 404, 405, 415, 422):
                        wrong.append(f"{line} though permitted: {answer.content[:200]!r}")
                elif answer.status_code not in (401, 403, 404):
                    wrong.append(f"{line} without permission: {answer.content[:200]!r}")
                browser = browser if address.path not in SESSION_WRITES else browser_of(viewer)
    assert wrong == []
    succeeded = {operation for operation, status in done if status < 300}
    expected = {a.operation for a in addresses} - access_expected.NEVER_SUCCEEDS_HERE
    assert expected - succeeded == set(), "these writes were only ever refused"


SESSION_WRITES = {f"/api/v1/{name}" for name in ("sign-in", "sign-out", "me/acting", "me/password")}


def _send(browser: Client, address: Address, ask: Ask, side: Side) -> tuple[Any, str]:
    path = address.filled(side)
    body = ask.body(side)
    key = {"Idempotency-Key": uuid.uuid4().hex}
    with undone():
        if ask.form:
            answer = browser.post(path, body, headers=key)
        else:
            answer = browser.generic(
                address.method,
                path,
                b"" if body is None else body if isinstance(body, bytes) else json.dumps(body),
                content_type="application/json",
                headers=key,
            )
    return answer, path


def test_no_form_of_a_page_writes_without_permission(city: City) -> None:
    wrong, wrote = [], set()
    for who, viewer in everybody(city).items():
        browser = browser_of(viewer)
        for page in pages():
            ask = access_pages.WRITES.get(page.name)
            if page.name in access_pages.NOT_PAGES or (ask is None and who not in FEW):
                continue
            for path, side in {page.filled(side): side for side in sides_for(city, who)}.items():
                with undone() as writes:
                    answer = browser.post(path, data=(ask.body(side) or {}) if ask else {})
                wrong += leaks(who, path, answer)
                if answer.status_code < 400 and writes.found:
                    if ask is not None and permitted(ask, who, viewer, side):
                        wrote.add(page.name)
                    else:
                        wrong.append(f"{who}: POST {path} of {side.name} {writes.found[0]}")
                if page.name in SESSION_PAGES:
                    browser = browser_of(viewer)
    assert wrong == []
    idle = access_pages.WRITES.keys() - wrote - access_pages.NEVER_WRITES_HERE
    assert sorted(idle) == [], "these forms never wrote anything, whoever sent them"


FEW = ("owner-a", "provider-a", "operator", "stranger")
"""Who tries a form on pages that take none."""

SESSION_PAGES = ("sign-in", "sign-out", "register", "switch", "language")


def test_two_consumers_and_two_providers_are_walked(city: City) -> None:
    kinds = [OrganisationKind(side.consumer.kind) for side in city.sides.values()]
    assert len(kinds) == 2 and set(kinds) <= CONSUMER_KINDS
    assert city.sides["a"].consumer.division != city.sides["b"].consumer.division
