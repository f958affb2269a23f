"""Keeps the catalogue of the console's words: ``python -m suanwang.console.messages --check``.

Texts are English in the source and found in Python and in templates (through Django's own reading
of them) by Babel, so that no gettext tools are needed. ``--update`` brings the catalogue up to
date, ``--compile`` writes the ``.mo``, ``--check`` fails on a text without its translation.
"""

from __future__ import annotations

import argparse
import io
import os
import string
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

ROOM: Final = Path(__file__).resolve().parent
CATALOGUE: Final = ROOM / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.po"
_KEYWORDS: Final = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext": (1, 2),
    "pgettext": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}


def _sources() -> Iterator[tuple[str, str]]:
    """Every Python file and template as Python text that Babel reads, with its name."""
    for path in sorted(ROOM.rglob("*.py")):
        yield path.relative_to(ROOM).as_posix(), path.read_text(encoding="utf-8")
    for path in sorted((ROOM / "templates").rglob("*.html")):
        name = path.relative_to(ROOM).as_posix()
        yield name, templatize(path.read_text(encoding="utf-8"), origin=name)


def found() -> Catalog:
    """Every text of the console, without translations."""
    texts = Catalog(locale="zh_Hans", project="suanwang")
    for name, text in _sources():
        file = io.BytesIO(text.encode())
        for _line, message, comments, context in extract("python", file, _KEYWORDS):
            # Lines are left out: they move with every edit and say nothing to a translator.
            texts.add(message, locations=[(name, 0)], auto_comments=comments, context=context)
    return texts


def kept() -> Catalog:
    """The catalogue as it is."""
    if not CATALOGUE.exists():
        return Catalog(locale="zh_Hans", project="suanwang")
    with CATALOGUE.open("rb") as file:
        return read_po(file, locale="zh_Hans")


def update() -> None:
    """Add new texts, drop those no longer used, guess nothing."""
    catalogue = kept()
    catalogue.update(found(), no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    with CATALOGUE.open("wb") as file:
        write_po(file, catalogue, width=100, no_location=True, omit_header=False, sort_output=True)


def _places(text: str) -> set[str]:
    """The ``%(name)s``, ``%s`` and ``{name}`` a text has to fill."""
    named = {part.split(")")[0] for part in text.split("%(")[1:]}
    plain = {f"%{kind}" for kind in "sd" if f"%{kind}" in text}
    braces = {name for _text, name, _spec, _conversion in string.Formatter().parse(text) if name}
    return named | plain | braces


def _texts(of: object) -> list[str]:
    return [str(one or "") for one in of] if isinstance(of, list | tuple) else [str(of or "")]


def _wrong(message: Message) -> str | None:
    asked, given = _texts(message.id), _texts(message.string)
    if message.fuzzy:
        return "fuzzy"
    if not all(given):
        return "not translated"
    if any(_places(one) - _places(asked[-1]) for one in given):
        return "fills places the text does not have"
    if _places(asked[-1]) - _places(given[-1]):
        return "leaves out a place"
    return None


def problems() -> list[str]:
    """What keeps the catalogue from being complete, one line each."""
    catalogue = kept()
    wrong = []
    for message in found():
        if not message.id:
            continue
        known = catalogue.get(message.id, message.context)
        if known is None:
            wrong.append(f"missing: {message.id!r}")
        elif (reason := _wrong(known)) is not None:
            wrong.append(f"{reason}: {message.id!r}")
    return wrong


def compile_catalogue() -> Path:
    """Write the ``.mo`` beside the ``.po``."""
    target = CATALOGUE.with_suffix(".mo")
    # Several processes may start at once; each writes its own and puts it in place whole.
    part = target.with_name(f"{target.name}.{os.getpid()}")
    with part.open("wb") as file:
        write_mo(file, kept())
    part.replace(target)
    return target


def main(arguments: list[str] | None = None) -> int:
    """Run one of the three; exit status 1 if the catalogue is not complete."""
    parser = argparse.ArgumentParser(prog="python -m suanwang.console.messages")
    group = parser.add_mutually_exclusive_group(required=True)
    for name in ("update", "compile", "check"):
        group.add_argument(f"--{name}", action="store_true")
    asked = parser.parse_args(arguments)
    if asked.update:
        update()
    if asked.compile:
        compile_catalogue()
    wrong = problems()
    for line in wrong:
        sys.stderr.write(line + "\n")
    return 1 if wrong and not asked.compile else 0


if __name__ == "__main__":
    raise SystemExit(main())
