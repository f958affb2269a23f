"""The unified social credit code of a legal person, GB 32100-2015.

Eighteen characters: registration authority (1), category (2), division (3-8, digits), subject
(9-17), check (18), over an alphabet of 31 that leaves out I, O, S, V and Z.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
WEIGHTS = tuple(pow(3, place, 31) for place in range(17))

Verdict = Literal["valid", "wrong_length", "wrong_character", "wrong_check"]


@dataclass(frozen=True)
class Reading:
    """What a code turned out to be: the tidied text, the verdict and the check it should carry."""

    code: str
    verdict: Verdict
    expected_check: str | None = None

    @property
    def valid(self) -> bool:
        return self.verdict == "valid"


def check_character(first17: str) -> str:
    """The eighteenth character. A sum divisible by 31 gives 0, where naive code gives 31."""
    total = sum(
        ALPHABET.index(char) * weight for char, weight in zip(first17, WEIGHTS, strict=True)
    )
    return ALPHABET[(31 - total % 31) % 31]


def read(text: str) -> Reading:
    """Judge a code as typed. Letters are allowed in the first two places, digits in 3 to 8.

    Only ``wrong_check`` may be overridden by an official: codes issued with a misprinted check
    character exist. The other verdicts are typing errors.
    """
    code = "".join(text.split()).upper()
    if len(code) != 18:
        return Reading(code, "wrong_length")
    if any(char not in ALPHABET for char in code):
        return Reading(code, "wrong_character")
    if not (code[2:8].isascii() and code[2:8].isdigit()):
        return Reading(code, "wrong_character")
    expected = check_character(code[:17])
    return Reading(code, "valid" if code[17] == expected else "wrong_check", expected)
