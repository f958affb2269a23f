"""A population of units, read from the text of a CSV file whose first row names facts.

Every length is bounded, so that a file from a stranger costs no more than its size says.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from suanwang.core.errors import Refused
from suanwang.policy.vector import Table, tabulate_facts

if TYPE_CHECKING:
    from suanwang.policy.package import Package

COLUMNS_MAX: Final = 200
SYNTHETIC_MAX: Final = 100_000
ROWS_MAX: Final = 20_000
CHARACTERS_MAX: Final = 900_000
"""What is taken over a network in one go, so that an answer takes less than two seconds."""
CELL_MAX: Final = 60
"""Characters: NumPy gives every cell of a column the room of the longest one."""
_TRUTHS: Final = {"true": True, "false": False}


class _TooLarge(Exception):
    """More rows, columns or characters than are read."""


def read_csv(package: Package, lines: Iterable[str], *, found: str, rows_max: int) -> Table:
    """The columns that are facts of the package; other columns are left aside.

    ``found`` is what a refusal calls the file. Refuses ``policy_population_unreadable``,
    ``policy_population_too_large``, and what ``tabulate_facts`` refuses of a value.
    """
    try:
        head, rows = _read(lines, rows_max)
    except _TooLarge:
        raise Refused(
            "policy_population_too_large",
            found=found,
            rows=rows_max,
            columns=COLUMNS_MAX,
            characters=CELL_MAX,
        ) from None
    except csv.Error as wrong:
        raise Refused("policy_population_unreadable", found=found, problem=str(wrong)) from wrong
    except UnicodeDecodeError as wrong:
        raise Refused("policy_population_unreadable", found=found, problem="not UTF-8") from wrong
    names = {name: at for at, name in enumerate(head) if name in package.facts}
    if not names or not rows:
        problem = "no facts in row 1" if not names else "no units"
        raise Refused("policy_population_unreadable", found=found, problem=problem)
    columns = {name: [_cell(row, at) for row in rows] for name, at in names.items()}
    return tabulate_facts(package, list(columns), columns)


def _read(lines: Iterable[str], rows_max: int) -> tuple[Sequence[str], list[list[str]]]:
    reader = csv.reader(lines)
    head = [name.strip().removeprefix("\ufeff") for name in next(reader, [])]
    if len(head) > COLUMNS_MAX:
        raise _TooLarge
    rows: list[list[str]] = []
    for row in reader:
        if not row:
            continue
        if len(rows) == rows_max or max(map(len, row)) > CELL_MAX:
            raise _TooLarge
        rows.append(row)
    return head, rows


def _cell(row: Sequence[str], at: int) -> object:
    text = row[at].strip() if at < len(row) else ""
    return _TRUTHS.get(text, text)
