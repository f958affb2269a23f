"""Sign-in, sign-out, registration, and the switches every page carries."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from suanwang.console.attempts import attempt
from suanwang.console.forms.account import ChangePassword, Register, SignIn
from suanwang.console.language import LANGUAGES, chosen
from suanwang.console.session import public, signed_in
from suanwang.people import services
from suanwang.people.roles import OrganisationKind
from suanwang.people.scope import Viewer
from suanwang.people.services.organisations import FirstPerson, Registration
from suanwang.people.sign_in import act_as, change_password, sign_in, sign_out
from suanwang.site.clock import now


def back_to(request: HttpRequest, fallback: str = "/overview") -> HttpResponse:
    """To where the reader came from, never to another site."""
    target = request.POST.get("next") or request.GET.get("next") or ""
    safe = url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()})
    return HttpResponseRedirect(target if safe and target.startswith("/") else fallback)


def address_of(request: HttpRequest) -> str:
    """From where the request came, for the lock against guessing."""
    return str(request.META.get("REMOTE_ADDR", ""))


@require_http_methods(["GET", "HEAD", "POST"])
@public
def sign_in_page(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Name and password; a refusal keeps what was typed."""
    form = SignIn(request.POST or None)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        opened = attempt(
            form,
            lambda: sign_in(
                request,
                given["username"],
                given["password"],
                address=address_of(request),
                at=now(),
            ),
        )
        if opened is not None:
            return back_to(request)
    facts = {"form": form, "next": request.POST.get("next") or request.GET.get("next", "")}
    return render(request, "console/account/sign_in.html", facts)


@require_POST
@public
def sign_out_here(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Close the session."""
    sign_out(request)
    return HttpResponseRedirect("/")


_BESIDE = {
    "name_missing": "name",
    "division_unknown": "division",
    "uscc_missing": "uscc",
    "uscc_wrong_length": "uscc",
    "uscc_wrong_character": "uscc",
    "uscc_not_available": "uscc",
    "username_not_usable": "username",
    "username_not_available": "username",
    "password_too_short": "password",
    "password_too_plain": "password",
    "password_like_username": "password",
}


@require_http_methods(["GET", "HEAD", "POST"])
@public
def register(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """A company, university, institute, maker or provider registers itself."""
    form = Register(request.POST or None)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        registration = Registration(
            name=given["name"],
            name_en=given["name_en"],
            kind=OrganisationKind(given["kind"]),
            division=given["division"],
            uscc=given["uscc"] or None,
        )
        first = FirstPerson(
            given["username"], given["password"], given["display_name"], chosen(request)
        )
        member = attempt(
            form,
            lambda: services.register_organisation(registration, first, at=now()),
            _BESIDE,
        )
        if member is not None:
            username, password = given["username"], given["password"]
            sign_in(request, username, password, address=address_of(request), at=now())
            if not member.organisation.uscc_valid:
                messages.warning(
                    request,
                    _(
                        "The check character of the credit code does not fit. An official must "
                        "confirm the code before the organisation can be admitted."
                    ),
                )
            messages.success(
                request, _("Registered. The operator admits the organisation; you may look around.")
            )
            return HttpResponseRedirect("/overview")
    return render(request, "console/account/register.html", {"form": form})


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in()
def password(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Change the own password; every other session of the person ends."""
    form = ChangePassword(request.POST or None)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data

        def changed() -> bool:
            change_password(request, given["current"], given["new"], at=now())
            return True

        codes = ("password_too_short", "password_too_long", "password_too_plain")
        if attempt(form, changed, dict.fromkeys(codes, "new") | {"password_wrong": "current"}):
            messages.success(request, _("The password was changed; other sessions have ended."))
            return HttpResponseRedirect("/overview")
    status = 409 if form.errors else 200
    return render(request, "console/account/password.html", {"form": form}, status=status)


@require_POST
@public
def language(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Switch the language: for this browser, and for the person if signed in."""
    wanted = request.POST.get("language", "")
    response = back_to(request, "/")
    if wanted in LANGUAGES:
        if viewer.person is not None:
            services.change_language(wanted, actor=viewer, at=now())
        response.set_cookie(
            settings.LANGUAGE_COOKIE_NAME,
            wanted,
            max_age=365 * 24 * 3600,
            samesite="Lax",
            secure=settings.SESSION_COOKIE_SECURE,
        )
    return response


@require_POST
@signed_in()
def switch(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """From now on act for another organisation or in another role."""
    place = request.POST.get("place", "")
    act_as(request, int(place) if place.isascii() and place.isdigit() else -1)
    return HttpResponseRedirect("/overview")


@require_POST
@signed_in()
def large_type(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Larger type, or normal again, remembered in this browser."""
    response = back_to(request)
    if request.COOKIES.get("large_type"):
        response.delete_cookie("large_type")
    else:
        response.set_cookie("large_type", "1", max_age=365 * 24 * 3600, samesite="Lax")
    return response
