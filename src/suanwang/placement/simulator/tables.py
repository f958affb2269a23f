"""Rows of the traces' comma-separated tables, every bad line noted; takes lines, opens nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from suanwang.core.errors import Refused
from suanwang.placement.simulator.problems import Problems

LINES_MAX = 5_000_000
LINE_CHARACTERS_MAX = 10_000
LARGEST = 1 << 40
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""Where a trace that counts seconds from its own beginning is set."""


def rows(
    lines: Iterable[str], needed: Sequence[str], problems: Problems
) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Line number and cells by the names of the first line.

    Refuses ``trace_header_wrong`` and ``trace_too_long``; notes ``trace_cells_wrong``.
    """
    names: list[str] | None = None
    for number, line in enumerate(lines, 1):
        if number > LINES_MAX:
            raise Refused("trace_too_long", most=LINES_MAX)
        text = line.strip().lstrip("\ufeff")
        if names is None:
            names = [name.strip().strip('"') for name in text[:LINE_CHARACTERS_MAX].split(",")]
            if missing := [name for name in needed if name not in names]:
                raise Refused("trace_header_wrong", missing=", ".join(missing), found=text[:120])
        elif text:
            cells = text.split(",") if len(text) <= LINE_CHARACTERS_MAX else []
            if len(cells) == len(names):
                yield number, {n: c.strip().strip('"') for n, c in zip(names, cells, strict=True)}
            else:
                problems.note(number, "trace_cells_wrong", cells=len(cells), expected=len(names))
    if names is None:
        raise Refused("trace_header_wrong", missing=", ".join(needed), found="")


def number_of(text: str) -> float | None:
    """A finite number of a size that can be meant; None: it is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) <= LARGEST else None


def whole_of(text: str) -> int | None:
    """As ``number_of``, without its fraction."""
    value = number_of(text)
    return None if value is None else int(value)
