"""Money is whole fen, read and written exactly."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanwang.core.errors import Refused
from suanwang.core.money import FEN_MAX, format_yuan, parse_yuan, round_fen


@given(st.integers(-FEN_MAX, FEN_MAX))
def test_what_is_written_is_read_back(fen: int) -> None:
    assert parse_yuan(format_yuan(fen).replace("-¥", "¥-")) == fen


@pytest.mark.parametrize(
    ("text", "fen"),
    [("1,234.5", 123450), ("0", 0), ("¥0.01", 1), (" 12 ", 1200), ("-3.07", -307)],
)
def test_amounts_as_people_type_them(text: str, fen: int) -> None:
    assert parse_yuan(text) == fen


@pytest.mark.parametrize("text", ["", "abc", "1.234", "1e5", "--1", "1.", ".5", "1 2", "NaN", "∞"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="amount_unreadable"):
        parse_yuan(text)


def test_a_slip_of_the_finger_is_refused() -> None:
    with pytest.raises(Refused, match="amount_too_large"):
        parse_yuan("10000000000000.01")


@given(st.fractions())
def test_rounding_moves_less_than_one_fen(amount: Fraction) -> None:
    assert 0 <= amount - round_fen(amount, "down") < 1
    assert 0 <= round_fen(amount, "up") - amount < 1
    assert abs(amount - round_fen(amount, "half_up")) <= Fraction(1, 2)


@given(st.integers())
def test_half_a_fen_rounds_up(fen: int) -> None:
    assert round_fen(Fraction(2 * fen + 1, 2), "half_up") == fen + 1
