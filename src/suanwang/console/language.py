"""Chinese unless someone asked for English: the person's choice, else the cookie's."""

from __future__ import annotations

from typing import Final, Literal

from django.conf import settings
from django.http import HttpRequest
from django.utils import translation

LANGUAGES: Final = {"zh-hans": "中文", "en": "English"}


def chosen(request: HttpRequest) -> str:
    """``zh-hans`` or ``en`` for this request. A browser's own wish is not asked on pages."""
    cookie = request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME)
    if cookie in LANGUAGES:
        return cookie
    asked = getattr(request.user, "language", None)
    return asked if asked in LANGUAGES else settings.LANGUAGE_CODE


def short() -> Literal["zh", "en"]:
    """The active language as the catalogues of refusals and policies name it."""
    return "en" if (translation.get_language() or "").startswith("en") else "zh"


def pick(zh: str, en: str) -> str:
    """The text in the active language; Chinese where no English was given."""
    return en if short() == "en" and en else zh
