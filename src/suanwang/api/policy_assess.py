"""Judging a policy over HTTP: is it without mistakes, do its promises hold, what if it changed?

Whether a package is without mistakes anybody may ask. Proofs, slips and comparisons cost seconds of
a processor, so they are for the operator and the bureaus (``policy.assess``). Nothing is stored.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date
from itertools import islice
from typing import Any, Final, TypeVar

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field, model_validator

from suanwang.api.http import In, language_of, viewer_of
from suanwang.api.policy import WordsOut, day_of, folder_of, package_of
from suanwang.core.errors import SuanwangError
from suanwang.core.refusals import explain
from suanwang.people.services import require
from suanwang.policy.check import check as check_package
from suanwang.policy.mutants import mutants
from suanwang.policy.mutate import mutate
from suanwang.policy.population import CHARACTERS_MAX, ROWS_MAX, SYNTHETIC_MAX, read_csv
from suanwang.policy.prove import prove
from suanwang.policy.simulate import PoolOutcome, synthetic
from suanwang.policy.what_if import SEED, WhatIf, what_if

router = Router(tags=["policy"])

SLIPS_AT_ONCE: Final = 60
SECONDS_MAX: Final = 1.5
"""After this no further proof or slip is begun; the answer says where to go on."""

T = TypeVar("T")


class MistakeOut(Schema):
    """A mistake of a package: ``place`` is file and line below the folder of all packages."""

    place: str
    code: str
    message: str


class CheckOut(Schema):
    """Whether a package is without mistakes; ``hash`` is null if it cannot even be read."""

    package: str
    hash: str | None
    clean: bool
    mistakes: list[MistakeOut]


class OnIn(Schema):
    """With the figures of which day."""

    on: date | None = None


class PartIn(OnIn):
    """And from which number on."""

    first: int = Field(0, ge=0, le=100_000)


class ProofOut(Schema):
    """A promise for every case: it ``holds``, is ``broken`` (by the case given) or ``unknown``."""

    name: str
    measure: str
    label: WordsOut
    verdict: str
    counterexample: dict[str, Any]


class ProofsOut(Schema):
    """The proofs; ``complete`` is false if the time was up before the last."""

    hash: str
    on: date
    proofs: list[ProofOut]
    complete: bool


class SlipOut(Schema):
    """A small slip, and what catches it: the reading, a case, a promise; empty if nothing does."""

    kind: str
    place: str
    before: str
    after: str
    caught_by: str


class SlipsOut(Schema):
    """Some of the ``total`` slips, from number ``first`` on; ``next`` is null after the last."""

    hash: str
    on: date
    total: int
    slips: list[SlipOut]
    next: int | None


class WhatIfIn(In):
    """Which parameters change, for whom: ``synthetic`` made-up units, or a CSV text of facts.

    A change is written as in a package: "2/5", true, "2027-01-25", a code, a list.
    """

    changes: dict[str, Any] = Field({}, max_length=40)
    synthetic: int | None = Field(None, ge=1, le=SYNTHETIC_MAX)
    csv: str | None = Field(None, max_length=CHARACTERS_MAX)
    on: date | None = None

    @model_validator(mode="after")
    def _one_population(self) -> WhatIfIn:
        if (self.synthetic is None) == (self.csv is None):
            raise ValueError("either synthetic or csv")
        return self


class PoolYearOut(Schema):
    """A pool of the year: its money, what is asked and paid, and when it is used up."""

    money_fen: int
    asked_fen: int
    paid_fen: int
    when_dry: str
    dry_after: int | None
    dry_on: date | None


class SideOut(Schema):
    pools: dict[str, PoolYearOut]


class MoneyOut(Schema):
    """Money by a measure, level, division or kind of applicant, and how many gain and lose."""

    by: str
    which: str
    label: WordsOut
    before_fen: int
    after_fen: int
    change_fen: int
    gains: int | None
    loses: int | None


class WhatIfOut(Schema):
    """Today's rules (``before``) beside changed ones (``after``). No forecast."""

    hash: str
    on: date
    units: int
    gains: int
    loses: int
    same: int
    gained_fen: int
    lost_fen: int
    before: SideOut
    after: SideOut
    rows: list[MoneyOut]


@router.get("/{package}/check", response=CheckOut)
def check(request: HttpRequest, package: str) -> Any:
    """Every mistake of a package, with file and line; a clean one has none."""
    folder = folder_of(package)
    read, mistakes = check_package(folder)
    return {
        "package": folder.name,
        "hash": read.content_hash if read else None,
        "clean": not mistakes,
        "mistakes": [
            {
                "place": mistake.place,
                "code": mistake.code,
                "message": explain(
                    SuanwangError(mistake.code, **mistake.facts), language_of(request)
                ),
            }
            for mistake in mistakes
        ],
    }


@router.get("/{package}/proofs", response=ProofsOut)
def proofs(request: HttpRequest, package: str, day: Query[OnIn]) -> Any:
    """Prove the promises of a package for every case, as many as can be begun in 1.5 seconds."""
    require(viewer_of(request), "policy.assess")
    wanted = package_of(package)
    on = day_of(wanted, day.on)
    found, complete = _in_time(prove(wanted, on))
    return {
        "hash": wanted.content_hash,
        "on": on,
        "proofs": [asdict(proof) for proof in found],
        "complete": complete,
    }


@router.get("/{package}/slips", response=SlipsOut)
def slips(request: HttpRequest, package: str, part: Query[PartIn]) -> Any:
    """Make small slips in a package and say which case or promise catches each.

    At most 60 in one answer, and as many as can be begun in 1.5 seconds. Go on with
    ``first`` = ``next`` until it is null.
    """
    require(viewer_of(request), "policy.assess")
    wanted = package_of(package)
    on = day_of(wanted, part.on)
    judged, _ = _in_time(islice(mutate(wanted, on, part.first), SLIPS_AT_ONCE))
    total = sum(1 for _ in mutants(wanted))
    done = part.first + len(judged)
    return {
        "hash": wanted.content_hash,
        "on": on,
        "total": total,
        "slips": [
            {
                "kind": one.mutant.kind,
                "place": ".".join(map(str, one.mutant.path)),
                "before": str(one.mutant.before),
                "after": str(one.mutant.after),
                "caught_by": one.caught_by,
            }
            for one in judged
        ],
        "next": done if judged and done < total else None,
    }


@router.post("/{package}/simulation", response=WhatIfOut)
def simulate(request: HttpRequest, package: str, payload: WhatIfIn) -> Any:
    """What if? Compare today's rules with changed ones over a population and a year."""
    require(viewer_of(request), "policy.assess")
    wanted = package_of(package)
    on = day_of(wanted, payload.on)
    if payload.synthetic is not None:
        units = synthetic(wanted, payload.synthetic, SEED, on)
    else:
        lines = (payload.csv or "").splitlines()
        units = read_csv(wanted, lines, found="csv", rows_max=ROWS_MAX)
    return _what_if_out(what_if(wanted, payload.changes, units, on))


def _in_time(results: Iterator[T]) -> tuple[list[T], bool]:
    """Results until the time is up, and whether these are all.

    The machine's own time, not the city's: what is bounded is the work of this request.
    """
    ends = time.monotonic() + SECONDS_MAX
    found: list[T] = []
    for result in results:
        found.append(result)
        if time.monotonic() > ends:
            return found, False
    return found, True


def _what_if_out(found: WhatIf) -> dict[str, Any]:
    compared = found.comparison
    return {
        "hash": found.package.content_hash,
        "on": found.on,
        "units": found.units,
        "gains": compared.gains,
        "loses": compared.loses,
        "same": found.same,
        "gained_fen": found.gained_fen,
        "lost_fen": found.lost_fen,
        "before": {"pools": _pools_out(compared.before.pools)},
        "after": {"pools": _pools_out(compared.after.pools)},
        "rows": [{**asdict(row), "change_fen": row.change_fen} for row in found.rows],
    }


def _pools_out(pools: Any) -> dict[str, dict[str, Any]]:
    def one(pool: PoolOutcome) -> dict[str, Any]:
        return {name: getattr(pool, name) for name in PoolYearOut.model_fields}

    return {name: one(pool) for name, pool in pools.items()}
