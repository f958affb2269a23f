"""The charts of a what-if as plain SVG, coloured by classes alone (ADR 9); pure text.

``then`` is today's rules, ``now`` the changed ones. What a chart shows also stands in a table
beside it, so a reader who cannot see it loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from html import escape
from typing import Final

from suanwang.core.money import format_yuan

WIDE: Final = 960
HIGH: Final = 220
LEFT: Final = 128
RIGHT: Final = 24
TOP: Final = 14
BOTTOM: Final = 26
BAR: Final = 180
Course = Sequence[tuple[date, int]]
"""Days in order, and the fen left after each."""


def bars(then: int, now: int, most: int) -> str:
    """Two bars, one above the other, to the scale of the largest of their group."""
    drawn = "".join(
        f'<rect class="{name}" y="{y}" width="{BAR * max(value, 0) / most:.1f}" height="6"/>'
        for name, y, value in (("then", 2, then), ("now", 9, now))
    )
    return f'<svg class="bars" viewBox="0 0 {BAR} 17" aria-hidden="true">{drawn}</svg>'


def swing(change: int, most: int) -> str:
    """One bar from the middle: to the right for more, to the left for less."""
    half = BAR / 4
    wide = half * abs(change) / most
    x = half if change >= 0 else half - wide
    name = "more" if change >= 0 else "less"
    return (
        f'<svg class="swing" viewBox="0 0 {BAR / 2:.0f} 17" aria-hidden="true">'
        f'<line x1="{half:.0f}" x2="{half:.0f}" y1="1" y2="16"/>'
        f'<rect class="{name}" x="{x:.1f}" y="5" width="{wide:.1f}" height="7"/></svg>'
    )


def parts(less: int, same: int, more: int, label: str) -> str:
    """How all units are divided between those who get less, the same and more."""
    total = max(less + same + more, 1)
    x, drawn = 0.0, []
    for name, count in (("less", less), ("same", same), ("more", more)):
        wide = WIDE * count / total
        if count:
            wide = max(wide, 3.0)  # a few of many are still to be seen
        wide = min(wide, WIDE - x)
        drawn.append(f'<rect class="{name}" x="{x:.1f}" width="{wide:.1f}" height="16"/>')
        x += wide
    return (
        f'<svg class="parts" viewBox="0 0 {WIDE} 16" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(label)}">{"".join(drawn)}</svg>'
    )


def course(money_fen: int, then: Course, now: Course, label: str) -> str:
    """What is left of a pool over the days on which claims came, under both rules."""
    days = [day for day, _ in (*then, *now)]
    first, last = min(days), max(days)
    most = max(money_fen, *(left for _, left in (*then, *now)), 1)
    room, tall = WIDE - LEFT - RIGHT, HIGH - TOP - BOTTOM
    span = max((last - first).days, 1)

    def x(day: date) -> float:
        return LEFT + room * (day - first).days / span

    def y(left: int) -> float:
        return TOP + tall * (1 - left / most)

    ruled = "".join(
        f'<line x1="{LEFT}" x2="{WIDE - RIGHT}" y1="{y(at):.1f}" y2="{y(at):.1f}"/>'
        f'<text x="{LEFT - 8}" y="{y(at) + 4:.1f}" text-anchor="end">{format_yuan(at)}</text>'
        for at in (0, most // 2, most)
    )
    ticks = "".join(
        f'<text x="{x(day):.1f}" y="{HIGH - 6}" text-anchor="{anchor}">{day}</text>'
        for day, anchor in _ticks(first, last)
    )
    lines = "".join(
        f'<polyline class="{name}" points="{_points(steps, money_fen, x, y)}"/>'
        for name, steps in (("then", then), ("now", now))
    )
    return (
        f'<svg class="course" viewBox="0 0 {WIDE} {HIGH}" role="img" '
        f'aria-label="{escape(label)}">{ruled}{ticks}{lines}</svg>'
    )


def _points(
    steps: Course, money_fen: int, x: Callable[[date], float], y: Callable[[int], float]
) -> str:
    if not steps:
        return ""
    start = f"{x(steps[0][0]):.1f},{y(money_fen):.1f}"
    return " ".join([start, *(f"{x(day):.1f},{y(left):.1f}" for day, left in steps)])


def _ticks(first: date, last: date) -> list[tuple[date, str]]:
    if first == last:
        return [(first, "start")]
    between = [
        date.fromordinal(first.toordinal() + (last - first).days * n // 4) for n in (1, 2, 3)
    ]
    return [(first, "start"), *((day, "middle") for day in between), (last, "end")]
