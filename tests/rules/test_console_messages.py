"""Every text of the console has its Chinese, and a gap would be noticed."""

from __future__ import annotations

import os
import subprocess
import sys
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


def test_a_process_that_finds_no_compiled_catalogue_makes_it_and_speaks_chinese(
    tmp_path: Path,
) -> None:
    code = (
        "from pathlib import Path; import suanwang.console.apps as apps\n"
        "import suanwang.console.messages as messages\n"
        f"here = Path({str(tmp_path)!r}) / 'zh_Hans' / 'LC_MESSAGES' / 'django.po'\n"
        "here.parent.mkdir(parents=True); here.write_bytes(messages.CATALOGUE.read_bytes())\n"
        "messages.CATALOGUE = apps._CATALOGUE = here\n"
        "from django.conf import settings\n"
        "settings.LOCALE_PATHS = [here.parents[2]]\n"
        "import django; django.setup()\n"
        "from django.utils import translation\n"
        "with translation.override('zh-hans'): print(translation.gettext('Overview'))\n"
    )
    source = Path(__file__).resolve().parents[2] / "src"
    environment = os.environ | {
        "PYTHONPATH": str(source),
        "PYTHONIOENCODING": "utf-8",
        "DJANGO_SETTINGS_MODULE": "suanwang.site.django_settings",
    }
    said = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "概览"
    assert (tmp_path / "zh_Hans/LC_MESSAGES/django.mo").is_file()
