"""The cases and promises of Baoding 2024 catch every slip that can be made in its rules."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path

from suanwang import policy
from suanwang.policy.mutants import mutants
from suanwang.policy.mutate import mutate

BAODING = policy.load(Path(__file__).parents[2] / "policies" / "baoding-2024")


def test_every_slip_in_baoding_2024_is_caught() -> None:
    living = [
        (judged.mutant.kind, judged.mutant.path, judged.mutant.after)
        for judged in mutate(BAODING, date(2026, 7, 20))
        if not judged.caught_by
    ]
    assert living == []


def test_slips_of_every_kind_are_made() -> None:
    kinds = Counter(mutant.kind for mutant in mutants(BAODING))
    assert kinds.keys() == {
        "rule", "condition dropped", "cap dropped", "figure", "table", "date", "set", "switch",
        "choice", "share", "scope", "funding", "settlement", "stage dropped",
    }  # fmt: skip
    assert kinds.total() > 350
