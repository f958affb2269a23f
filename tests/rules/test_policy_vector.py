"""The reading over columns gives each row exactly what deciding it alone would give."""

from __future__ import annotations

import importlib.util
from datetime import date
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from suanwang import policy
from suanwang.core.errors import Refused
from suanwang.policy.cases import read_cases
from suanwang.policy.reader import Mistakes
from suanwang.policy.vector import decide_all, run, tabulate


def neighbour(name: str) -> ModuleType:
    """A module of this folder that is no test."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


random_table = neighbour("policy_random").random_table

ROOT = Path(__file__).parents[2] / "policies"
BAODING = policy.load(ROOT / "baoding-2024")
DAY = date(2026, 7, 20)
ROWS = 100_000
MEASURES = [
    (package, name)
    for package in map(policy.load, policy.packages(ROOT))
    for name, measure in package.measures.items()
    if measure.facts
]


@pytest.mark.parametrize(
    ("package", "measure"), MEASURES, ids=lambda part: getattr(part, "name", part)
)
def test_columns_and_single_cases_agree_on_a_hundred_thousand_random_units(
    package: policy.Package, measure: str
) -> None:
    on = min(max(DAY, package.valid_from), package.valid_to)
    table = random_table(package, measure, ROWS, seed=3)
    awards = run(package, measure, table, on)
    rule = package.rule(measure, on)
    names = list(table.columns)
    rows = zip(*(table.columns[name].tolist() for name in names), strict=True)
    for row, (values, amount, eligible) in enumerate(
        zip(rows, awards.amount_fen.tolist(), awards.eligible.tolist(), strict=True)
    ):
        env = dict(zip(names, values, strict=True))
        met = rule.met(env)
        assert met == eligible, (row, env)
        assert (rule.award(env) if met else 0) == amount, (row, env)


def test_every_case_of_the_package_comes_out_the_same_in_columns() -> None:
    cases = read_cases(BAODING, Mistakes({}))
    for measure in {case.measure for case in cases}:
        own = [case for case in cases if case.measure == measure and case.facts]
        for case in own:
            columns = {name: np.array([value], object) for name, value in case.facts.items()}
            awards = decide_all(BAODING, measure, columns, case.on)
            decision = BAODING.decide(measure, case.facts, case.on)
            assert awards.amount_fen.tolist() == [decision.amount_fen]
            assert awards.eligible.tolist() == [decision.eligible]


def columns() -> dict[str, object]:
    return {
        "applicant_kind": np.array(["enterprise", "bureau"]),
        "division_code": np.array(["130606", "130606"]),
        "paid_fee_fen": np.array([30_000_001, 30_000_001]),
        "platform_is_local": np.array([True, True]),
        "service_start": np.array(["2026-03-01"] * 2, dtype="datetime64[D]"),
        "service_end": ["2026-06-30", "2026-06-30"],
        "paid_on": np.array(["2026-07-10"] * 2, dtype="datetime64[D]"),
        "filed_on": [DAY, DAY],
        "unit_year_used_fen": [0, 0],
        "voucher_available_fen": np.array([50_000_000, 50_000_000], dtype=np.int32),
    }


def test_columns_come_as_arrays_or_lists() -> None:
    awards = decide_all(BAODING, "5c", columns(), DAY)
    assert awards.amount_fen.tolist() == [15_000_000, 0]
    assert awards.eligible.tolist() == [True, False]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"paid_fee_fen": np.array([1, -1])}, "policy_fact_out_of_range"),
        ({"paid_fee_fen": np.array([1.0, 2.0])}, "policy_fact_wrong"),
        ({"applicant_kind": np.array(["enterprise", "dragon"])}, "policy_fact_wrong"),
        ({"platform_is_local": np.array([1, 0])}, "policy_fact_wrong"),
        ({"service_end": ["2026-06-30", None]}, "policy_fact_wrong"),
        ({"unit_year_used_fen": [0]}, "policy_columns_differ"),
    ],
)
def test_a_wrong_column_is_refused_with_its_row(change: dict[str, object], code: str) -> None:
    with pytest.raises(Refused) as refused:
        decide_all(BAODING, "5c", {**columns(), **change}, DAY)
    assert refused.value.code == code


def test_a_missing_column_is_asked_for() -> None:
    given = columns()
    del given["paid_on"], given["filed_on"]
    with pytest.raises(Refused, match="filed_on, paid_on"):
        tabulate(BAODING, "5c", given)
