"""Serves the few static files from where their packages keep them; no build, no CDN.

An address that carries the file's version may be kept for a year; any other is asked for again.
"""

from __future__ import annotations

import hashlib
import mimetypes
from functools import cache
from pathlib import Path
from typing import Final

from django.contrib.staticfiles import finders
from django.http import Http404, HttpRequest, HttpResponse

STYLESHEETS: Final = (
    "console/tokens.css",
    "console/bar.css",
    "console/layout.css",
    "console/panels.css",
    "console/tables.css",
    "console/forms.css",
    "console/stories.css",
    "console/what_if.css",
    "console/print.css",
)
_ALLOWED: Final = ("console/", "django_htmx/")


@cache
def version_of(path: str) -> str:
    """Twelve digits of the file's SHA-256; empty if there is no such file."""
    found = finders.find(path)
    if not isinstance(found, str):
        return ""
    return hashlib.sha256(Path(found).read_bytes()).hexdigest()[:12]


def serve(request: HttpRequest, path: str) -> HttpResponse:
    """One static file of the console or of htmx."""
    inside = path.startswith(_ALLOWED) and ".." not in path.split("/")
    found = finders.find(path) if inside else None
    if not isinstance(found, str) or not Path(found).is_file():
        raise Http404
    kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
    current = request.GET.get("v") == version_of(path)
    keep = "public, max-age=31536000, immutable" if current else "no-cache"
    return HttpResponse(
        Path(found).read_bytes(), content_type=kind, headers={"Cache-Control": keep}
    )
