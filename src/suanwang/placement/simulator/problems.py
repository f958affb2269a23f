"""What is wrong with an input: where, and why, under a code whose words are in refusals.yaml."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from suanwang.core.errors import Refused

OnMalformed = Literal["skip", "refuse"]
SHOWN_CHARACTERS = 120


@dataclass(frozen=True, slots=True)
class Problem:
    """A part of an input that cannot be used. Line 0: no line is at fault."""

    line: int
    code: str
    facts: Mapping[str, str | int] = field(default_factory=dict)


class Problems:
    """All problems of one input; the first one ends the reading if so chosen."""

    def __init__(self, on_malformed: OnMalformed) -> None:
        self.on_malformed = on_malformed
        self.found: list[Problem] = []

    def note(self, line: int, code: str, **facts: str | int) -> None:
        """Note that a part is left out.

        Refuses ``input_refused`` if nothing may be left out.
        """
        short = {
            name: fact[:SHOWN_CHARACTERS] if isinstance(fact, str) else fact
            for name, fact in facts.items()
        }
        if self.on_malformed == "refuse":
            told = ", ".join(f"{name}={fact}" for name, fact in short.items())
            raise Refused("input_refused", line=line, problem=f"{code} ({told})")
        self.found.append(Problem(line, code, short))


def by_code(problems: Iterable[Problem]) -> dict[str, int]:
    """How many parts were left out, by code, the commonest first."""
    return dict(Counter(problem.code for problem in problems).most_common())
