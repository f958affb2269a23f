"""The colours of the console can be read: every pair used for text has a contrast of 4.5."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TOKENS = Path(__file__).resolve().parents[2] / "src/suanwang/console/static/console/tokens.css"
PAIRS = [
    ("text", "paper"),
    ("text", "ground"),
    ("muted", "paper"),
    ("muted", "ground"),
    ("muted", "grey-wash"),
    ("blue", "paper"),
    ("blue", "ground"),
    ("blue", "blue-wash"),
    ("red", "paper"),
    ("red", "red-wash"),
    ("green", "paper"),
    ("green", "green-wash"),
    ("amber", "paper"),
    ("amber", "amber-wash"),
    ("on-blue", "blue"),
    ("on-blue", "blue-strong"),
    ("text", "amber-wash"),
]


def themes() -> dict[str, dict[str, str]]:
    """The colours by name, light and dark; the dark ones stand on the light ones."""
    light, dark = TOKENS.read_text(encoding="utf-8").split("@media (prefers-color-scheme: dark)")
    found = [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", part)) for part in (light, dark)]
    return {"light": found[0], "dark": found[0] | found[1]}


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    brighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("ink", "paper"), PAIRS)
def test_text_can_be_read_on_its_ground(theme: str, ink: str, paper: str) -> None:
    colours = themes()[theme]
    assert contrast(colours[ink], colours[paper]) >= 4.5, (theme, ink, paper)


def test_contrast_is_measured_as_the_standard_says() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_a_dark_colour_exists_for_every_light_one_that_text_uses() -> None:
    text = TOKENS.read_text(encoding="utf-8").split("@media (prefers-color-scheme: dark)")[1]
    for name in {name for pair in PAIRS for name in pair}:
        assert f"--{name}:" in text, name
