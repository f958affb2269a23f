"""Pages for what went wrong: refused, not found, broken. They say what to do next."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from suanwang.console.language import short
from suanwang.core.errors import NotFound, SuanwangError
from suanwang.core.refusals import explain


def problem_page(request: HttpRequest, error: SuanwangError) -> HttpResponse:
    """The refusal in the viewer's language, with its stable code."""
    titles = {
        403: _("You may not do this"),
        404: _("There is nothing here"),
        409: _("A rule forbids this"),
        503: _("Not available just now"),
    }
    facts = {
        "title": titles.get(error.status, _("This did not work")),
        "words": explain(error, short()),
        "code": error.code,
        "status": error.status,
    }
    return render(request, "console/problem.html", facts, status=error.status)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """404 for an address that leads nowhere, or not for this viewer."""
    return problem_page(request, NotFound("page_not_found", path=request.path[:200]))


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """403 raised by Django itself."""
    facts = {
        "title": _("You may not do this"),
        "words": _("Your role does not allow this page or action."),
        "code": "permission_missing",
        "status": 403,
    }
    return render(request, "console/problem.html", facts, status=403)


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form without its secret: an old page, cookies switched off, or another site's doing."""
    facts = {
        "title": _("This form is too old"),
        "words": _("Go back, reload the page and send it again. Cookies must be allowed."),
        "code": "csrf_failed",
        "status": 403,
    }
    return render(request, "console/problem.html", facts, status=403)


def broken(request: HttpRequest) -> HttpResponse:
    """500. Asks nothing of the database, which may be what broke."""
    # Without the request: its context would look up who is signed in.
    return HttpResponse(render_to_string("console/broken.html"), status=500)
