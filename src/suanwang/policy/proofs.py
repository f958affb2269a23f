"""What a proof is, and how z3 is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import z3

from suanwang.policy.reader import Text
from suanwang.policy.why import Shown

TIMEOUT_MS = 20_000
Verdict = str
"""``holds``, ``broken`` or ``unknown`` (z3 found no answer in time; that is no proof)."""


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether a promise holds for every case in the declared ranges."""

    name: str
    measure: str
    label: Text
    verdict: Verdict
    counterexample: Mapping[str, Shown] = field(default_factory=dict)
    """Facts for which it does not hold."""


def decided(counterexample: Any) -> Verdict:
    """Whether there is a counterexample."""
    solver = z3.Solver()
    solver.set("timeout", TIMEOUT_MS)
    solver.add(counterexample)
    found = solver.check()
    return "holds" if found == z3.unsat else "broken" if found == z3.sat else "unknown"
