"""Lines and bars as plain SVG: no script, no font, prints; colours are classes of the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

WIDTH, HEIGHT = 640, 240
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 12, 36
BAR, GAP, LABEL = 16, 14, 250
HOUR_STEPS = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 6, 12, 24, 48, 72, 168, 336, 720, 1440, 4380, 8760)

Line = tuple[str, Sequence[tuple[float, float]]]
"""Its name, and its points."""


def number(value: float) -> str:
    """A figure on an axis: as short as it can be told."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def percent(value: float) -> str:
    return f"{value:.0%}"


def lines(
    series: Sequence[Line],
    *,
    title: str,
    across: str,
    up_to: float | None = None,
    told: Callable[[float], str] = number,
    logarithmic: bool = False,
) -> str:
    """Lines over a common axis of hours; ``logarithmic``: of log10(1 + x)."""
    most_x = max((x for _, points in series for x, _ in points), default=0) or 1
    most_y = up_to or round_up(max((y for _, points in series for _, y in points), default=0)) or 1
    wide, tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x_of(x: float) -> float:
        part = math.log10(1 + x) / math.log10(1 + most_x) if logarithmic else x / most_x
        return LEFT + wide * part

    def y_of(y: float) -> float:
        return TOP + tall * (1 - min(1.0, y / most_y))

    drawn = [_open(title, HEIGHT)]
    for step in range(5):
        value = most_y * step / 4
        y = y_of(value)
        drawn.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        drawn.append(f'<text class="tick end" x="{LEFT - 6}" y="{y + 4:.1f}">{told(value)}</text>')
    ticks = _log_ticks(most_x) if logarithmic else _hour_ticks(most_x)
    for value in ticks:
        anchor = "end" if value == most_x else "middle"
        drawn.append(
            f'<text class="tick {anchor}" x="{x_of(value):.1f}" y="{HEIGHT - BOTTOM + 16}">'
            f"{number(value)}</text>"
        )
    drawn.append(
        f'<text class="tick middle" x="{LEFT + wide / 2:.0f}" y="{HEIGHT - 4}">'
        f"{escape(across)}</text>"
    )
    for place, (name, points) in enumerate(series):
        path = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in points)
        drawn.append(
            f'<polyline class="line s{place % 8}" points="{path}">'
            f"<title>{escape(name)}</title></polyline>"
        )
    return "".join([*drawn, "</svg>"])


def _hour_ticks(most: float) -> list[float]:
    """Steps people count hours in; six or fewer."""
    step = next((hours for hours in HOUR_STEPS if most / hours <= 6), most / 6)
    return [step * place for place in range(int(most / step + 1e-9) + 1)]


def _log_ticks(most: float) -> list[float]:
    """0, then powers of ten, and the end."""
    ticks, value = [0.0], 1.0
    while value < most / 1.8:
        ticks.append(value)
        value *= 10
    return [*ticks, most]


def bars(
    groups: Sequence[tuple[str, Sequence[float]]],
    names: Sequence[str],
    *,
    title: str,
    told: Callable[[float], str] = percent,
    up_to: float | None = None,
) -> str:
    """Groups of lying bars, one for each name; the figure stands beside its bar."""
    thick = BAR if len(names) < 4 else 11
    most = up_to or max((value for _, values in groups for value in values), default=0) or 1
    wide = WIDTH - LABEL - 70
    height = sum(len(values) * (thick + 2) + GAP for _, values in groups) + GAP
    drawn, y = [_open(title, height)], GAP
    for label, values in groups:
        middle = y + len(values) * (thick + 2) / 2 + 4
        drawn.append(
            f'<text class="label end" x="{LABEL - 10}" y="{middle:.1f}">{escape(label)}</text>'
        )
        for place, value in enumerate(values):
            length = wide * min(1.0, value / most)
            drawn.append(
                f'<rect class="bar s{place % 8}" x="{LABEL}" y="{y}" height="{thick}" '
                f'width="{max(0.5, length):.1f}"><title>{escape(names[place])}: {told(value)}'
                f'</title></rect><text class="tick" x="{LABEL + length + 6:.1f}" '
                f'y="{y + thick - 3}">{told(value)}</text>'
            )
            y += thick + 2
        y += GAP
    return "".join([*drawn, "</svg>"])


def _open(title: str, height: float) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title, quote=True)}" '
        f'xmlns="http://www.w3.org/2000/svg">'
    )


def round_up(value: float) -> float:
    """The next of 1, 2, 4, 5, 10 … so that the lines stand at round amounts."""
    if value <= 0:
        return 0.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * step for step in (1, 2, 4, 5, 10) if power * step >= value)
