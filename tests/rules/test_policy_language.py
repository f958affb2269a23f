"""The rule language: a typed subset of expressions, and nothing that could run."""

from __future__ import annotations

from fractions import Fraction

import pytest

from suanwang.policy.language import BOOL, DATE, INTEGERS, Compiler, Mistaken, Type, number, parse
from suanwang.policy.language.parse import Names

NAMES = Names(
    facts={
        "fee_fen": number("fen"),
        "racks": number("rack"),
        "pue": number("ratio", 4),
        "day": DATE,
        "local": BOOL,
        "kind": Type("choice", choices=("firm", "maker")),
    },
    parameters={
        "v.ratio": number("ratio", None),
        "v.rate_fen": number("fen/rack"),
        "v.days": number("day"),
        "v.kinds": Type("set", choices=("firm",)),
        "v.table": Type("table", (("fen", 1),)),
    },
    steps={},
)
VALUES = {
    "v.ratio": Fraction(3, 5),
    "v.rate_fen": Fraction(100_000),
    "v.days": Fraction(30),
    "v.kinds": frozenset({"firm"}),
    "v.table": ((Fraction(1, 2), Fraction(10)), (Fraction(3, 4), Fraction(20))),
}


def value_of(text: str, rounding: str = "down", **facts: int | bool) -> Fraction:
    compiled = Compiler(VALUES, INTEGERS, rounding).compile(parse(text, NAMES))
    return Fraction(compiled.run(facts)) * compiled.scale


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "(lambda: 0)()",
        "[fee_fen for fee_fen in (0, 1)]",
        "fee_fen.real",
        "fee_fen ** fee_fen",
        "f'{fee_fen}'",
        "min(*v.kinds)",
        "fee_fen if local else",
        "fee_fen is local",
        "v.ratio.numerator",
        "1.5 * fee_fen",
        "fee_fen * 0.5",
        "fee_fen < 100",
        "unknown > 0",
        "eval(fee_fen)",
        "not fee_fen",
        "racks / fee_fen",
        "",
        "(" * 900 + "local" + ")" * 900,
        "local or " * 1000 + "local",
        "not " * 490 + "local",
    ],
)
def test_what_is_not_of_the_language_is_refused(text: str) -> None:
    with pytest.raises(Mistaken):
        parse(text, NAMES)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("fee_fen + racks", "policy_unit_wrong"),
        ("fee_fen > racks", "policy_unit_wrong"),
        ("racks * v.rate_fen > racks", "policy_unit_wrong"),
        ("day + racks", "policy_type_wrong"),
        ("day > fee_fen", "policy_type_wrong"),
        ("kind == 'dragon'", "policy_code_unknown"),
        ("fee_fen > 5", "policy_literal_number"),
        ("max(fee_fen)", "policy_arguments_wrong"),
        ("fee_fen in v.kinds", "policy_type_wrong"),
    ],
)
def test_types_and_units_are_held_apart(text: str, code: str) -> None:
    with pytest.raises(Mistaken) as wrong:
        parse(text, NAMES)
    assert wrong.value.code == code


def test_units_multiply_and_a_bare_zero_fits_any() -> None:
    assert parse("racks * v.rate_fen", NAMES).type == number("fen")
    assert parse("max(0, fee_fen - racks * v.rate_fen)", NAMES).type == number("fen")


def test_sixty_percent_of_one_and_a_half_million_yuan_is_exact() -> None:
    assert value_of("fee_fen * v.ratio", fee_fen=150_000_000) == 90_000_000


@pytest.mark.parametrize(("rounding", "fen"), [("down", 1), ("half_up", 2), ("up", 2)])
def test_rounding_is_declared(rounding: str, fen: int) -> None:
    assert value_of("rounded(fee_fen * v.ratio)", rounding, fee_fen=3) == fen  # 1.8 fen


def test_strict_and_inclusive_comparisons_differ_at_the_edge() -> None:
    assert value_of("pue < v.ratio * 1", pue=6000) == 0
    assert value_of("pue <= v.ratio * 1", pue=6000) == 1
    assert value_of("pue < v.ratio", pue=5999) == 1


@pytest.mark.parametrize(
    ("pue", "fen"), [(0, 0), (4999, 0), (5000, 10), (7499, 10), (7500, 20), (99_999, 20)]
)
def test_a_graded_table_steps_at_the_start_of_each_row(pue: int, fen: int) -> None:
    assert value_of("graded(pue, v.table)", pue=pue) == fen


def test_the_calendar_knows_years_and_their_last_day() -> None:
    from datetime import date

    for day in (date(2024, 1, 1), date(2024, 12, 31), date(2027, 2, 28)):
        assert value_of("year(day)", day=day.toordinal()) == day.year
        assert value_of("year_end(day)", day=day.toordinal()) == date(day.year, 12, 31).toordinal()
