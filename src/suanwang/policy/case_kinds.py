"""Cases of what is not a measure: who bears what, pools, payments, recoveries, use over an edge.

- {name: …, split: ["130602"], on: 2026-07-20, amount_fen: 3, gives: {city: 2, county: 1}}
- {name: …, pool: voucher, claims: {a: [2026-03-01, 500], …}, gives: {2026: {a: 500, …}},
   waiting: …, refused: …}
- {name: …, settle: 5c, on: …, price_fen: …, award_fen: …, done: […],
   gives: {"user → provider": …}, waits: […]}
- {name: …, recover: 5c, like: …, but: {…}, cause: refund, paid_fen: …, on: …, found_on: …,
   gives: {due: …, back: …}}
- {name: …, use: {fee_fen: …, starts: …, ends: …}, on: …, gives: {before: …, inside: …, after: …}}

Each becomes an outcome and an expectation as one comparable text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from suanwang.core.clock import CITY_ZONE
from suanwang.core.errors import SuanwangError
from suanwang.policy.package import Package
from suanwang.policy.pools import Claim, over_years
from suanwang.policy.reader import Path, Reader
from suanwang.policy.recovery import CAUSES, recover
from suanwang.policy.settlement import settle
from suanwang.policy.validity import split_use

Facts = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class OtherCase:
    """What must come out of a part of the policy that is no measure."""

    name: str
    part: str
    """Which kind: ``split``, ``pool``, …"""
    about: str
    """Which division, pool or measure."""
    works: Callable[[Package], str]
    expected: str
    path: Path
    assumed: Mapping[str, object]
    """Parameters with another value than the package gives them."""

    def outcome(self, package: Package) -> str:
        """What comes out, as one comparable text; a refusal is an outcome as well."""
        try:
            return self.works(package.assuming(self.assumed) if self.assumed else package)
        except SuanwangError as refused:
            return refused.code


def _case(
    entry: Reader, part: str, about: str, works: Callable[[Package], str], expected: str
) -> OtherCase:
    name = entry.at("name").text()
    assumed = {parameter: other.value for parameter, other in entry.named("assume")}
    if refused := entry.maybe("refused_by"):
        expected = refused.text()
    return OtherCase(name, part, about, works, expected, entry.path, assumed)


def _splits(entry: Reader, package: Package, facts: Facts) -> Iterator[OtherCase]:
    gives = entry.maybe("gives")
    on, amount = entry.at("on").day(), _fen(entry, "amount_fen")
    steps = {name: int(fen.exact()) for name, fen in entry.named("steps")}
    words = gives.text() if gives and isinstance(gives.value, str) else _given(gives)
    expected = {"outside": "policy_division_not_in_scope"}.get(words, words)
    for code in entry.at("split").texts():

        def works(package: Package, code: str = code) -> str:
            split = package.split(code, amount, on, steps)
            if split.status == "to_confirm":
                return "to_confirm"
            return _parts({share.level: share.amount_fen for share in split.shares})

        yield _case(entry, "split", code, works, expected)


def _pools(entry: Reader, package: Package, facts: Facts) -> Iterator[OtherCase]:
    name = entry.at("pool").text()
    claims = []
    for claim, said in entry.at("claims").entries():
        when, asked = (*said.items(), Reader(None, said.path, said.mistakes))[:2]
        claims.append(Claim(claim, int(asked.exact()), _moment(when)))
    expected = " | ".join(
        f"{what} {year}: {_given(parts)}"
        for what, key in (("paid", "gives"), ("waiting", "waiting"), ("refused", "refused"))
        for year, parts in entry.named(key)
    )

    def works(package: Package) -> str:
        years = over_years(package, name, claims)
        told = [
            (what, one.year, parts)
            for what in ("paid", "waiting", "refused")
            for one in years
            if (parts := getattr(one, what))
        ]
        return " | ".join(f"{what} {year}: {_parts(parts)}" for what, year, parts in told)

    yield _case(entry, "pool", name, works, expected)


def _settlements(entry: Reader, package: Package, facts: Facts) -> Iterator[OtherCase]:
    measure, on = entry.at("settle").text(), entry.at("on").day()
    price, award = _fen(entry, "price_fen"), _fen(entry, "award_fen")
    done = entry.at("done").texts()
    waits = entry.maybe("waits")
    waited = "" if waits is None else ", ".join(sorted(waits.texts()))
    division = division.text() if (division := entry.maybe("division")) else ""
    steps = {name: int(fen.exact()) for name, fen in entry.named("steps")}
    expected = f"{_given(entry.maybe('gives'))}; waits for {waited}"

    def works(package: Package) -> str:
        found = settle(
            package, measure, price_fen=price, award_fen=award, on=on,
            done=done, division=division, steps=steps,
        )  # fmt: skip
        paid: dict[str, int] = {}
        for move in found.movements:
            way = f"{move.payer} → {move.payee}"
            paid[way] = paid.get(way, 0) + move.amount_fen
        missing = {
            f"{event} {found.days[event]}" if event in found.days else event
            for move in found.movements
            for event in move.waits_for
        }
        return f"{_parts(paid)}; waits for {', '.join(sorted(missing))}"

    yield _case(entry, "settle", measure, works, expected)


def _recoveries(entry: Reader, package: Package, facts: Facts) -> Iterator[OtherCase]:
    measure = entry.at("recover").text()
    cause = entry.at("cause").one_of(*CAUSES)
    paid, on = _fen(entry, "paid_fen"), entry.at("on").day()
    found_on = entry.at("found_on").day()
    now = {**facts, **{fact: part.value for fact, part in entry.named("but")}}
    expected = _given(entry.maybe("gives"))
    if until := entry.maybe("blocked_until"):
        expected += f"; blocked until {until.day()}"

    def works(package: Package) -> str:
        back = recover(
            package, measure, cause="deceit" if cause == "deceit" else "refund",
            paid_fen=paid, facts=now, decided_on=on, found_on=found_on,
        )  # fmt: skip
        told = _parts({"back": back.recover_fen, "due": back.due_fen})
        return told + (f"; blocked until {back.blocked_until}" if back.blocked_until else "")

    yield _case(entry, "recover", measure, works, expected)


def _uses(entry: Reader, package: Package, facts: Facts) -> Iterator[OtherCase]:
    use, on = entry.at("use"), entry.at("on").day()
    fee = _fen(use, "fee_fen")
    starts, ends = _moment(use.at("starts")), _moment(use.at("ends"))

    def works(package: Package) -> str:
        split = split_use(package, fee, starts=starts, ends=ends, on=on)
        parts = {"before": split.before_fen, "inside": split.inside_fen, "after": split.after_fen}
        return _parts(parts)

    yield _case(entry, "use", "", works, _given(entry.maybe("gives")))


KINDS: Mapping[str, Callable[[Reader, Package, Facts], Iterator[OtherCase]]] = {
    "split": _splits,
    "pool": _pools,
    "settle": _settlements,
    "recover": _recoveries,
    "use": _uses,
}


def _given(gives: Reader | None) -> str:
    if gives is None:
        return ""
    return _parts({name: int(part.exact()) for name, part in gives.entries()})


def _parts(parts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {fen}" for name, fen in sorted(parts.items()))


def _fen(entry: Reader, key: str) -> int:
    return int(entry.at(key).exact())


def _moment(part: Reader) -> datetime:
    """A moment in the city: ``2027-01-24`` (midnight) or ``2027-01-24T22:00``."""
    try:
        moment = datetime.fromisoformat(str(part.value))
    except ValueError:
        part.wrong("policy_entry_wrong", expected="2027-01-24T22:00", found=part.value)
        moment = datetime(1970, 1, 1)  # noqa: DTZ001 - given its zone below
    return moment if moment.tzinfo else moment.replace(tzinfo=CITY_ZONE)
