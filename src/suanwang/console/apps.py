"""The console as a Django app: it sees that its Chinese is there before the first page."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from django.apps import AppConfig

_CATALOGUE = Path(__file__).resolve().parent / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.po"


class Console(AppConfig):
    """Compiles the catalogue where set-up has not: an installed wheel carries only the source."""

    name = "suanwang.console"
    label = "console"

    def ready(self) -> None:
        """Nothing to do as a rule; a folder that cannot be written leaves the texts in English."""
        compiled = _CATALOGUE.with_suffix(".mo")
        if compiled.exists() and compiled.stat().st_mtime >= _CATALOGUE.stat().st_mtime:
            return
        from django.utils.translation.reloader import translation_file_changed

        from suanwang.console.messages import compile_catalogue

        with suppress(OSError):
            # What was read before is forgotten, or this process would go on in English.
            translation_file_changed(sender=None, file_path=compile_catalogue())
