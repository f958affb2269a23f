"""Reading a package's document step by step, noting every mistake with its place.

The document is plain data (mappings, lists, text, whole numbers, truths); ``places`` says from
which file and line each part came. Reading never stops at the first mistake: an author wants all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import Any

_EXACT = re.compile(r"-?[0-9]{1,24}(\.[0-9]{1,24}|/[1-9][0-9]{0,23})?")
Path = tuple[str | int, ...]
Text = Mapping[str, str]
"""Words in both languages: ``{"zh": …, "en": …}``."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something wrong in a package; its words are in ``refusals.yaml`` under ``code``."""

    place: str
    code: str
    facts: Mapping[str, object]

    def __str__(self) -> str:
        shown = ", ".join(f"{name}={value}" for name, value in self.facts.items())
        return f"{self.place}: {self.code}({shown})"


@dataclass
class Mistakes:
    """All mistakes found so far, and where each part of the document came from."""

    places: Mapping[Path, str]
    found: list[Mistake] = field(default_factory=list)

    def note(self, path: Path, code: str, **facts: object) -> None:
        """Note a mistake at a part of the document."""
        self.found.append(Mistake(self.place(path), code, facts))

    def place(self, path: Path) -> str:
        """The file and line of a part, or of the nearest part around it."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, "package")


class Reader:
    """One part of the document."""

    def __init__(self, value: Any, path: Path, mistakes: Mistakes) -> None:
        self.value = value
        self.path = path
        self.mistakes = mistakes
        self.used: set[str] = set()

    def wrong(self, code: str, **facts: object) -> None:
        """Note a mistake here."""
        self.mistakes.note(self.path, code, **facts)

    def has(self, key: str) -> bool:
        """Whether a mapping has this entry."""
        return isinstance(self.value, dict) and key in self.value

    def at(self, key: str) -> Reader:
        """A required entry of a mapping; a missing one is a mistake and reads as nothing."""
        self.used.add(key)
        if not isinstance(self.value, dict):
            self.wrong("policy_entry_wrong", expected="mapping", found=self.value)
        elif key not in self.value:
            self.wrong("policy_entry_missing", entry=key)
        else:
            return Reader(self.value[key], (*self.path, key), self.mistakes)
        return Reader(None, self.path, Mistakes({}))

    def maybe(self, key: str) -> Reader | None:
        """An entry that may be left out."""
        self.used.add(key)
        return self.at(key) if self.has(key) else None

    def some(self, key: str) -> Iterator[Reader]:
        """The members of a list that may be left out."""
        part = self.maybe(key)
        return part.items() if part else iter(())

    def named(self, key: str) -> Iterator[tuple[str, Reader]]:
        """The entries of a mapping that may be left out."""
        part = self.maybe(key)
        return part.entries() if part else iter(())

    def closed(self) -> None:
        """Say of every entry that was not read that it means nothing."""
        if isinstance(self.value, dict):
            for key in self.value.keys() - self.used:
                self.mistakes.note((*self.path, key), "policy_entry_unknown", entry=key)

    def entries(self) -> Iterator[tuple[str, Reader]]:
        """The entries of a mapping, in order."""
        if not isinstance(self.value, dict):
            if self.value is not None:
                self.wrong("policy_entry_wrong", expected="mapping", found=self.value)
            return
        for key, value in self.value.items():
            yield str(key), Reader(value, (*self.path, key), self.mistakes)

    def items(self) -> Iterator[Reader]:
        """The members of a list."""
        if not isinstance(self.value, list):
            if self.value is not None:
                self.wrong("policy_entry_wrong", expected="list", found=self.value)
            return
        for index, value in enumerate(self.value):
            yield Reader(value, (*self.path, index), self.mistakes)

    def text(self) -> str:
        """Text that is not empty."""
        if isinstance(self.value, int) and not isinstance(self.value, bool):
            return str(self.value)
        if isinstance(self.value, str) and self.value.strip():
            return self.value.strip()
        self._expected("text")
        return ""

    def texts(self) -> tuple[str, ...]:
        """A list of texts."""
        return tuple(item.text() for item in self.items())

    def one_of(self, *choices: str) -> str:
        """One of a few words."""
        if self.value not in choices:
            self._expected(" | ".join(choices))
            return choices[0]
        return str(self.value)

    def words(self) -> Text:
        """Words in both languages; a missing translation is a mistake."""
        if not isinstance(self.value, dict) or self.value.keys() - {"zh", "en"}:
            self._expected("{zh: …, en: …}")
            return {"zh": "", "en": ""}
        words = {}
        for language in ("zh", "en"):
            word = self.value.get(language)
            if not isinstance(word, str) or not word.strip():
                self.wrong("policy_translation_missing", language=language)
                word = ""
            words[language] = word.strip()
        return words

    def day(self) -> date:
        """A date, ``2024-01-25``."""
        try:
            return date.fromisoformat(str(self.value))
        except ValueError:
            self._expected("date, year-month-day")
            return date.min

    def truth(self) -> bool:
        """``true`` or ``false``."""
        if not isinstance(self.value, bool):
            self._expected("true | false")
        return self.value is True

    def exact(self) -> Fraction:
        """An exact number: ``1000``, ``1.25`` or ``1/2``."""
        if type(self.value) is int:
            return Fraction(self.value)
        if isinstance(self.value, str) and _EXACT.fullmatch(self.value):
            return Fraction(self.value)
        self._expected("exact number")
        return Fraction(0)

    def _expected(self, expected: str) -> None:
        if self.mistakes.places or self.value is not None:
            self.wrong("policy_entry_wrong", expected=expected, found=self.value)
