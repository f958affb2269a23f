"""The unified social credit code is judged exactly as GB 32100-2015 says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanwang.core import uscc

GOOD = ["91350100M000100Y43", "91110000101623741K", "911101066976941872"]
"""Codes the standard and public registers print."""

first17 = st.builds(
    str.__add__,
    st.builds(
        str.__add__,
        st.text(uscc.ALPHABET, min_size=2, max_size=2),
        st.text("0123456789", min_size=6, max_size=6),
    ),
    st.text(uscc.ALPHABET, min_size=9, max_size=9),
)


@pytest.mark.parametrize("code", GOOD)
def test_known_codes_are_valid(code: str) -> None:
    assert uscc.read(code).valid


def test_a_wrong_check_character_is_named_with_the_right_one() -> None:
    reading = uscc.read("91350100M000100Y4Z".replace("Z", "2"))
    assert (reading.verdict, reading.expected_check) == ("wrong_check", "3")


def test_a_misprinted_issued_code_is_a_wrong_check_not_a_typing_error() -> None:
    reading = uscc.read("91350211M0000XUF46")
    assert (reading.verdict, reading.expected_check) == ("wrong_check", "R")


@given(first17)
def test_exactly_one_check_character_fits(first: str) -> None:
    fitting = [last for last in uscc.ALPHABET if uscc.read(first + last).valid]
    assert fitting == [uscc.check_character(first)]


def test_a_sum_divisible_by_31_gives_0() -> None:
    assert uscc.check_character("0" * 17) == "0"
    assert uscc.read("0" * 18).valid


@pytest.mark.parametrize("code", ["N1110000101623741", "Y1110000101623741", "A1110000101623741"])
def test_letters_are_allowed_in_the_first_two_places(code: str) -> None:
    assert uscc.read(code + uscc.check_character(code)).valid


@pytest.mark.parametrize("code", ["", "9135", GOOD[0] + "1", GOOD[0][:-1]])
def test_another_length_is_named(code: str) -> None:
    assert uscc.read(code).verdict == "wrong_length"


@pytest.mark.parametrize("place", range(18))
@pytest.mark.parametrize("char", ["I", "O", "S", "V", "Z", "*", "中", "٣", "\x00"])
def test_a_character_no_code_has_is_named_wherever_it_stands(place: int, char: str) -> None:
    code = GOOD[0][:place] + char + GOOD[0][place + 1 :]
    assert uscc.read(code).verdict == "wrong_character"


@pytest.mark.parametrize("place", range(2, 8))
def test_places_3_to_8_are_digits(place: int) -> None:
    assert uscc.read(GOOD[0][:place] + "A" + GOOD[0][place + 1 :]).verdict == "wrong_character"


def test_spaces_and_small_letters_as_people_type_them() -> None:
    assert uscc.read(" 9135 0100 m000 100y 43 ").code == GOOD[0]


@given(first17, st.integers(0, 16), st.sampled_from(uscc.ALPHABET))
def test_any_single_slip_is_noticed(first: str, place: int, char: str) -> None:
    if first[place] == char or (2 <= place < 8 and not char.isdigit()):
        return
    slipped = first[:place] + char + first[place + 1 :] + uscc.check_character(first)
    assert not uscc.read(slipped).valid
