"""What holds for every page: its language, a strict content policy, refusals as pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.utils import translation

from suanwang.console.language import chosen
from suanwang.console.views.problems import problem_page
from suanwang.core.errors import SuanwangError

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)

Respond = Callable[[HttpRequest], HttpResponse]


def is_page(request: HttpRequest) -> bool:
    """Whether the request is for the console and not for a program."""
    return not request.path.startswith(("/api/", "/static/", "/metrics", "/health"))


class Console:
    """Wraps every page; leaves the API alone."""

    def __init__(self, get_response: Respond) -> None:
        self._respond = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not is_page(request):
            return self._respond(request)
        with translation.override(chosen(request)):
            response = self._respond(request)
        response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        response.headers.setdefault("Content-Language", "en" if _english(request) else "zh-Hans")
        # Pages show what one person may see; nothing between here and them may keep a copy.
        response.headers.setdefault("Cache-Control", "private, no-store")
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """A refusal that no form caught becomes a page that explains it."""
        if not is_page(request) or not isinstance(error, SuanwangError):
            return None
        return problem_page(request, error)


def _english(request: HttpRequest) -> bool:
    return chosen(request) == "en"
