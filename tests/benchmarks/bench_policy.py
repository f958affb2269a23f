"""How fast the policy engine is on one core, beside plain NumPy and, where it is there, OpenFisca.

    PYTHONPATH=src python -m tests.benchmarks.bench_policy [--rows 1000000] [--json]

OpenFisca is under the AGPL and no part of this project. To measure beside it, make a virtual
environment elsewhere, ``pip install openfisca-core z3-solver`` into it, run this with its Python.

CPU time of this process, best of several rounds: other work on the machine does not count. The
goals are those the engine was built to; the exit status is 1 when one is missed.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from suanwang import policy
from suanwang.policy.check import check
from suanwang.policy.decision import verdict
from suanwang.policy.prove import prove
from suanwang.policy.publish import example_facts
from suanwang.policy.simulate import compare, synthetic
from suanwang.policy.vector import Table, run

ROOT = Path(__file__).resolve().parents[2] / "policies"
DAY = date(2026, 7, 20)


@dataclass(frozen=True)
class Measured:
    """What something cost, in milliseconds of CPU time, and what it may cost at most."""

    what: str
    cpu_ms: float
    goal_ms: float | None


def best(work: Callable[[], object], rounds: int, times: int = 1) -> float:
    """The least CPU time of one call, in milliseconds."""
    spent = []
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(times):
            work()
        spent.append((time.process_time() - start) / times)
    return min(spent) * 1e3


def plain_numpy(fee: np.ndarray, used: np.ndarray, left: np.ndarray) -> np.ndarray:
    """The bare arithmetic of the voucher rule, without a single condition."""
    return np.maximum(0, np.minimum(np.minimum(fee // 2, 100_000_000 - used), left))


def measure(rows: int) -> list[Measured]:
    """Everything, in the order of the goals."""
    package = policy.load(ROOT / "baoding-2024")
    units = synthetic(package, rows, seed=1)
    own = Table({fact: units.columns[fact] for fact in package.measures["5c"].facts})
    facts = example_facts(package, "5c")
    fee, used, left = (
        units.columns[f"{name}_fen"] for name in ("paid_fee", "unit_year_used", "voucher_available")
    )
    scale = rows / 1_000_000
    return [
        Measured(
            f"the voucher rule 5c with all its conditions, {rows:,} units",
            best(lambda: run(package, "5c", own, DAY), 7),
            25 * scale,
        ),
        Measured(
            f"its bare arithmetic in plain NumPy, {rows:,} units",
            best(lambda: plain_numpy(fee, used, left), 7),
            None,
        ),
        Measured(
            "one decision with its full trace",
            best(lambda: package.decide("5c", facts, DAY), 7, 2000),
            0.1,
        ),
        Measured(
            "one decision without the trace",
            best(lambda: verdict(package, "5c", facts, DAY), 7, 2000),
            0.02,
        ),
        Measured(
            "loading and checking all packages",
            best(lambda: [check(folder) for folder in policy.packages(ROOT)], 2),
            1000,
        ),
        Measured("all proofs of Baoding 2024", best(lambda: list(prove(package, DAY)), 1), 60_000),
        Measured(
            f"a what-if with all measures, {rows:,} units",
            best(lambda: compare(package, {"voucher.use_ratio": "0.4"}, units, DAY), 2),
            5000 * scale,
        ),
    ]


def beside_openfisca(rows: int) -> list[Measured]:
    """The bare arithmetic of the voucher rule in OpenFisca, built and calculated; nothing without
    it. Also how far its 32-bit floats are off."""
    if find_spec("openfisca_core") is None:
        return []
    from tests.benchmarks.openfisca_rule import Rule

    rng = np.random.default_rng(1)
    fee = rng.integers(0, 400_000_000, rows)
    used, left = rng.integers(0, 100_000_000, rows), rng.integers(0, 100_000_000, rows)
    rule = Rule()
    exact = plain_numpy(fee, used, left)
    wrong = int((np.abs(rule.award(fee, used, left) - exact) > 1).sum())
    return [
        Measured(
            f"its bare arithmetic in OpenFisca, {rows:,} units, {wrong:,} off by more than a fen",
            best(lambda: rule.award(fee, used, left), 5),
            None,
        ),
        Measured(
            "one unit in OpenFisca",
            best(lambda: rule.award(fee[:1], used[:1], left[:1]), 5, 100),
            None,
        ),
    ]


def main() -> int:
    """Measure and print; 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = [*measure(asked.rows), *beside_openfisca(asked.rows)]
    if asked.json:
        print(json.dumps([asdict(one) for one in found], indent=1))
    else:
        print(f"Python {platform.python_version()}, NumPy {np.__version__}, CPU time, best of some")
        for one in found:
            goal = "" if one.goal_ms is None else f"  goal {one.goal_ms:,.2f}"
            print(f"{one.cpu_ms:>12,.3f} ms{goal:<18} {one.what}")
    return int(any(one.goal_ms is not None and one.cpu_ms > one.goal_ms for one in found))


if __name__ == "__main__":
    sys.exit(main())
