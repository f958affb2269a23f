"""Every text of the console has its Chinese, and a gap would be noticed."""

from __future__ import annotations

from pathlib import Path

import pytest
from babel.messages.pofile import read_po, write_po

from suanwang.console import messages


def test_every_text_is_translated_and_fills_the_same_places() -> None:
    assert messages.problems() == []


def test_texts_are_found_in_templates_and_in_python() -> None:
    found = messages.found()
    assert found.get("Skip to the content") is not None  # base.html
    assert found.get("Waiting for receipts") is not None  # words.py
    assert found.get("%d weekday left") is not None  # a plural


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda one: setattr(one, "string", ""), "not translated"),
        (lambda one: one.flags.add("fuzzy"), "fuzzy"),
        (lambda one: setattr(one, "string", "没有位置"), "leaves out a place"),
        (lambda one: setattr(one, "string", "%s %(other)s"), "fills places"),
    ],
)
def test_a_gap_is_noticed(
    spoil: object, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with messages.CATALOGUE.open("rb") as file:
        catalogue = read_po(file, locale="zh_Hans")
    message = catalogue.get("Application %s to decide")
    assert message is not None and callable(spoil)
    spoil(message)
    copy = tmp_path / "django.po"
    with copy.open("wb") as file:
        write_po(file, catalogue)
    monkeypatch.setattr(messages, "CATALOGUE", copy)
    assert [line for line in messages.problems() if line.startswith(said)] != []
    assert messages.main(["--check"]) == 1


def test_no_compiled_catalogue_is_kept_in_the_repository() -> None:
    ignored = (Path(__file__).resolve().parents[2] / ".gitignore").read_text(encoding="utf-8")
    assert "*.mo" in ignored.split()
