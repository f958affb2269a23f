"""Every refusal raised anywhere has its words in both languages, and no words lie unused."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from suanwang.core.errors import (
    Malformed,
    NotAllowed,
    NotFound,
    NotSignedIn,
    Refused,
    SuanwangError,
    Unavailable,
)
from suanwang.core.refusals import catalogue, explain
from suanwang.ledger.terms import TransferResult

SOURCE = Path(__file__).parents[2] / "src" / "suanwang"
ERRORS = {
    kind.__name__
    for kind in (SuanwangError, Malformed, NotAllowed, NotSignedIn, NotFound, Refused, Unavailable)
}
COMPUTED = {
    "ledger/services.py": {f"ledger_{result}" for result in TransferResult if not result.good},
    # A code per HTTP status and per kind of field error: literals there.
    "api/problems.py": set(),
    # Codes that were raised elsewhere and kept with the row they explain.
    "console/compared.py": set(),
    "console/forms/jobs.py": set(),
    "console/templatetags/console.py": set(),
}
"""Where a code is put together, and which codes can come out."""


def calls() -> Iterator[tuple[str, ast.Call]]:
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = node.func
                called = name.id if isinstance(name, ast.Name) else getattr(name, "attr", "")
                if called in ERRORS and node.args:
                    yield str(path.relative_to(SOURCE)), node


def literals(node: ast.expr) -> set[str] | None:
    """The codes an expression can be, when it is a literal or a choice between literals."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return {node.value}
    if isinstance(node, ast.IfExp):
        one, other = literals(node.body), literals(node.orelse)
        return one | other if one is not None and other is not None else None
    if isinstance(node, ast.Attribute) and node.attr == "code":
        return set()  # another refusal raised again with more facts
    return None


def test_every_code_raised_is_a_literal_with_words() -> None:
    unclear, wordless = [], []
    for path, call in calls():
        codes = literals(call.args[0])
        if codes is None:
            if path not in COMPUTED:
                unclear.append(f"{path}:{call.lineno}")
            continue
        wordless += [f"{path}:{call.lineno} {code}" for code in codes - catalogue().keys()]
    assert not unclear, "a code must be a literal here"
    assert not wordless, "these codes have no words in refusals.yaml"


def test_every_computed_code_has_words() -> None:
    for codes in COMPUTED.values():
        assert codes <= catalogue().keys()


def test_every_fact_a_sentence_shows_is_given_where_it_is_raised() -> None:
    lacking = []
    for path, call in calls():
        given = {keyword.arg for keyword in call.keywords}
        if None in given:  # **facts
            continue
        for code in literals(call.args[0]) or ():
            shown = set(re.findall(r"{(\w+)}", catalogue().get(code, {}).get("zh", "")))
            if shown - given:
                lacking.append(f"{path}:{call.lineno} {code} lacks {sorted(shown - given)}")
    assert not lacking


@pytest.mark.parametrize("code", sorted(catalogue()))
def test_words_are_in_both_languages_with_the_same_facts(code: str) -> None:
    words = catalogue()[code]
    assert words.keys() == {"zh", "en"}
    # A fact may itself come in two languages: reasons_zh beside reasons_en.
    facts = {
        language: {name.removesuffix(f"_{language}") for name in re.findall(r"{(\w+)}", text)}
        for language, text in words.items()
    }
    assert facts["zh"] == facts["en"]
    assert re.search(r"[\u4e00-\u9fff]", words["zh"])
    assert not re.search(r"[\u4e00-\u9fff]", re.sub(r"{\w+}", "", words["en"]))


def test_a_code_stands_in_one_file_once() -> None:
    stands = [
        code
        for path in SOURCE.glob("*/refusals.yaml")
        for code in re.findall(r"^(\w+):", path.read_text(encoding="utf-8"), re.M)
    ]
    assert sorted(code for code in set(stands) if stands.count(code) > 1) == []


def test_no_words_lie_unused() -> None:
    said = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                said.add(node.value)
    computed = set().union(*COMPUTED.values())
    assert sorted(catalogue().keys() - said - computed) == []


def test_a_refusal_is_explained_in_the_language_asked_for() -> None:
    refusal = Refused("amount_unreadable", text="abc")
    assert "abc" in explain(refusal, "zh") and "abc" in explain(refusal, "en")
    assert explain(refusal, "zh") != explain(refusal, "en")


def test_an_unknown_code_shows_itself() -> None:
    assert explain(SuanwangError("never_written_down", why=3), "en") == "never_written_down(why=3)"


def test_a_missing_fact_leaves_its_place_visible() -> None:
    assert "{text}" in explain(Refused("amount_unreadable"), "en")


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (Malformed, 422),
        (NotAllowed, 403),
        (NotSignedIn, 401),
        (NotFound, 404),
        (Refused, 409),
        (Unavailable, 503),
    ],
)
def test_every_kind_of_refusal_has_its_status(kind: type[SuanwangError], status: int) -> None:
    assert kind("x").status == status
    assert isinstance(kind("x"), SuanwangError)
