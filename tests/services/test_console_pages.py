"""Every page of every role: one headline, labelled fields, both languages, a strict policy."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from suanwang.console.middleware import CONTENT_SECURITY_POLICY
from suanwang.console.shell import NAVIGATION, navigation, shows
from suanwang.people.models import Person
from suanwang.people.roles import Role
from suanwang.people.services import enlist
from suanwang.people.sign_in import viewer_for
from suanwang.site.clock import now

from .console_city import PASSWORD, QUICK, ROLES, found_city

pytestmark = pytest.mark.django_db


class Reader(HTMLParser):
    """What a page is made of, as an assistive program sees it."""

    def __init__(self) -> None:
        super().__init__()
        self.headlines = 0
        self.tags: list[str] = []
        self.labels: set[str] = set()
        self.fields: list[dict[str, str | None]] = []
        self.language = ""
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        self.tags.append(tag)
        if tag == "html":
            self.language = known.get("lang") or ""
        if tag == "h1":
            self.headlines += 1
        if tag == "label" and known.get("for"):
            self.labels.add(str(known["for"]))
        if tag in ("input", "select", "textarea") and known.get("type") not in ("hidden", "submit"):
            self.fields.append(known)
        if tag == "style" or "style" in known or any(name.startswith("on") for name in known):
            self.wrong.append(f"<{tag}> carries style or a handler of its own")
        if tag == "script" and not known.get("src"):
            self.wrong.append("a script inside the page")
        for name in ("src", "href", "action"):
            value = known.get(name) or ""
            if value.startswith(("http:", "https:", "//")):
                self.wrong.append(f"leads elsewhere: {value}")

    def unlabelled(self) -> list[dict[str, str | None]]:
        return [
            one
            for one in self.fields
            if one.get("id") not in self.labels and not one.get("aria-label")
        ]


def read(page: Any) -> Reader:
    reader = Reader()
    reader.feed(page.content.decode())
    return reader


@pytest.fixture
def city(settings: Any) -> Iterator[None]:
    settings.PASSWORD_HASHERS = QUICK
    found_city()
    yield


def signed_in(role: str, language: str) -> Client:
    client = Client()
    client.cookies["django_language"] = language
    assert (
        client.post("/sign-in", {"username": role, "password": PASSWORD}).headers["Location"]
        == "/overview"
    )
    return client


def hold(page: Any, address: str, language: str) -> None:
    """What holds for every page."""
    assert page.status_code == 200, address
    reader = read(page)
    assert reader.headlines == 1, address
    assert reader.tags.count("main") == 1, address
    assert reader.unlabelled() == [], address
    assert reader.wrong == [], address
    assert reader.language == ("en" if language == "en" else "zh-Hans"), address
    assert page.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert "no-store" in page.headers["Cache-Control"]


@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_public_pages_hold(city: None, language: str) -> None:
    client = Client()
    client.cookies["django_language"] = language
    for address in ("/", "/centres", "/policy", "/sign-in", "/register", "/search?q=x"):
        hold(client.get(address), address, language)


@pytest.mark.parametrize("role", ROLES)
def test_every_page_of_a_role_holds_in_both_languages(city: None, role: str) -> None:
    person = Person.objects.get(username=role)
    viewer = viewer_for(person)
    offered = [one.address for affair in NAVIGATION for one in affair.entries if shows(one, viewer)]
    assert "/overview" in offered
    for language in ("zh-hans", "en"):
        client = signed_in(role, language)
        for address in offered:
            hold(client.get(address), f"{role} {address}", language)


def test_chinese_is_spoken_unless_english_was_asked_for(city: None) -> None:
    client = Client(headers={"Accept-Language": "en-GB,en;q=0.9"})
    assert read(client.get("/")).language == "zh-Hans"
    client.post("/language", {"language": "en", "next": "/policy"})
    assert read(client.get("/")).language == "en"


def test_a_persons_language_goes_with_them(city: None) -> None:
    client = signed_in("owner", "zh-hans")
    client.post("/language", {"language": "en"})
    elsewhere = Client()
    elsewhere.post("/sign-in", {"username": "owner", "password": PASSWORD})
    assert read(elsewhere.get("/overview")).language == "en"


def test_a_stranger_is_sent_to_sign_in_and_back(city: None) -> None:
    client = Client()
    answer = client.get("/jobs?state=queued")
    assert answer.headers["Location"] == "/sign-in?next=%2Fjobs%3Fstate%3Dqueued"
    form = {"username": "owner", "password": PASSWORD, "next": "/jobs?state=queued"}
    assert client.post("/sign-in", form).headers["Location"] == "/jobs?state=queued"


@pytest.mark.parametrize("elsewhere", ["https://example.com/", "//example.com", "javascript:1"])
def test_signing_in_never_leads_to_another_site(city: None, elsewhere: str) -> None:
    form = {"username": "owner", "password": PASSWORD, "next": elsewhere}
    assert Client().post("/sign-in", form).headers["Location"] == "/overview"


def test_a_page_of_another_role_says_so_in_the_readers_language(city: None) -> None:
    for language, words in (("zh-hans", "权限"), ("en", "permission")):
        page = signed_in("member", language).get("/ledger")
        assert page.status_code == 403
        assert words in page.content.decode()
        assert "permission_missing" in page.content.decode()


def test_an_unknown_address_is_a_page_with_a_way_on(city: None) -> None:
    page = Client().get("/nothing-here")
    assert page.status_code == 404
    assert read(page).headlines == 1
    assert b"page_not_found" in page.content


def test_a_form_without_its_secret_is_refused_with_words(city: None) -> None:
    page = Client(enforce_csrf_checks=True).post(
        "/sign-in", {"username": "owner", "password": PASSWORD}
    )
    assert page.status_code == 403
    assert b"csrf_failed" in page.content


def test_whoever_acts_for_several_switches_between_them(city: None) -> None:
    owner = Person.objects.get(username="owner")
    provider = Person.objects.get(username="provider").memberships.get().organisation
    place = enlist(provider, Role.PROVIDER, username="owner", password=PASSWORD, at=now())
    client = signed_in("owner", "en")
    assert b"Sample Works" in client.get("/overview").content
    client.post("/switch", {"place": place.pk})
    assert b"Sample Provider" in client.get("/overview").content
    stranger = Person.objects.get(username="auditor").memberships.get()
    assert client.post("/switch", {"place": stranger.pk}).status_code == 404
    assert owner.memberships.count() == 2


def test_static_files_are_served_from_their_packages_alone(city: None) -> None:
    client = Client()
    page = client.get("/").content.decode()
    versioned = [part.split('"')[0] for part in page.split('href="/static/')[1:]]
    assert len(versioned) >= 4
    for path in versioned:
        answer = client.get(f"/static/{path}")
        assert answer.status_code == 200
        assert "immutable" in answer.headers["Cache-Control"]
    assert client.get("/static/console/tokens.css").headers["Cache-Control"] == "no-cache"
    for path in ("../views/account.py", "admin/css/base.css", "console/../../words.py"):
        assert client.get(f"/static/{path}").status_code == 404


def test_htmx_comes_from_its_wheel(city: None) -> None:
    answer = Client().get("/static/django_htmx/htmx-2.min.js")
    assert answer.status_code == 200
    assert b"htmx" in answer.content
    templates = Path(__file__).resolve().parents[2] / "src/suanwang/console/templates"
    assert not [
        one
        for one in templates.rglob("*.html")
        if "://" in one.read_text("utf-8") and "www.w3.org" not in one.read_text("utf-8")
    ]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("/centres/plain/manage", "/my-centres"),
        ("/centres/plain", "/centres"),
        ("/site-refusals", "/agents"),
        ("/jobs/new", "/jobs/new"),
        ("/jobs/7", "/jobs"),
    ],
)
def test_the_navigation_shows_where_one_is(city: None, path: str, line: str) -> None:
    viewers = [viewer_for(person) for person in Person.objects.all()]
    shown = [
        entry["address"]
        for viewer in viewers
        if viewer.role
        for affair in navigation(viewer, path, now())
        for entry in affair["entries"]
        if entry["here"]
    ]
    assert line in shown
