"""Benefits without application (免申即享): what an organisation could get, from what is known.

Everything is read from metering, invoices, payments and vouchers; nothing is stored, nobody is
asked, and nothing here is a decision of the city. A claim is still filed and reviewed by people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from importlib import resources
from uuid import UUID

import yaml

from suanwang.core.errors import SuanwangError
from suanwang.ledger import chart
from suanwang.ledger.queries import balance, balances
from suanwang.metering.models import Invoice, InvoiceLine
from suanwang.metering.rules import city_day
from suanwang.people.models import Organisation
from suanwang.people.roles import CONSUMER_KINDS
from suanwang.policy import Decision, Package
from suanwang.policy.finder import Finding, find, questions
from suanwang.vouchers import facts as facts_of
from suanwang.vouchers.choice import Standing
from suanwang.vouchers.models import Voucher
from suanwang.vouchers.policy_in_force import (
    budget_year,
    fen,
    in_force,
    measure_in_force,
    overlapping,
)
from suanwang.vouchers.queries import (
    Expected,
    Prefilled,
    claimable_lines,
    expected_reimbursement,
    prefill_claim,
)
from suanwang.vouchers.rules import FeeLine

UNPAID_AT_MOST = 20

Words = Mapping[str, str]


@dataclass(frozen=True)
class Claimable:
    """A valid voucher, and the claim that could be filed on it at once."""

    voucher: Voucher
    left_fen: int
    claim: Prefilled
    """Of the lines no voucher before it takes: those that run out sooner come first."""

    @property
    def amount_fen(self) -> int:
        """What would be paid back."""
        assessed = self.claim.assessed
        return assessed.decision.amount_fen if assessed and assessed.kept else 0

    @property
    def lines(self) -> Sequence[FeeLine]:
        """The lines that claim would stand on."""
        assessed = self.claim.assessed
        return assessed.kept if assessed and self.amount_fen else ()

    @property
    def better(self) -> Standing | None:
        """Another policy that gives more for some of the lines."""
        return self.claim.assessed.better if self.claim.assessed else None


@dataclass(frozen=True)
class WithVoucher:
    """Paid fees that no voucher covers, and what they would give with one."""

    fee_fen: int
    lines: int
    decision: Decision


@dataclass(frozen=True)
class WhenPaid:
    """An invoice that is still owed, and what the policy would pay back of it."""

    invoice: Invoice
    expected: Expected


@dataclass(frozen=True)
class Possible:
    """Another measure that applies or may apply, by what is known."""

    package: Package
    found: Finding

    @property
    def papers(self) -> list[Words]:
        """The papers still to bring: those the platform does not hold."""
        return papers_to_bring(self.found.measure.evidence)


@dataclass(frozen=True)
class Benefits:
    """What an organisation could get now, and what is missing for more."""

    organisation: Organisation
    package: Package
    on: date
    facts: facts_of.Facts
    """Everything the platform knows of what the policies ask."""
    claimable: Sequence[Claimable]
    with_voucher: WithVoucher | None
    when_paid: Sequence[WhenPaid]
    possible: Sequence[Possible]
    questions: Sequence[str]
    """Facts of the policy in force that would settle more measures."""
    year_left_fen: int
    """What the unit may still be paid in the year."""

    @property
    def ready_fen(self) -> int:
        """What could be claimed at once."""
        return sum(one.amount_fen for one in self.claimable)

    @property
    def papers(self) -> list[Words]:
        """The papers to bring for a claim."""
        return papers_to_bring(self.package.measure(measure_in_force()).evidence)

    @property
    def papers_held(self) -> list[Words]:
        """The papers of a claim that the platform holds already."""
        bring = self.papers
        evidence = self.package.measure(measure_in_force()).evidence
        return [paper for paper in evidence if paper not in bring]


def benefits_of(organisation: Organisation, *, at: datetime) -> Benefits:
    """Everything an organisation could get by what the platform knows of it."""
    package, on, year = in_force(), city_day(at), budget_year(at)
    claimable = _claimable(organisation, at=at)
    covered = {line.id for one in claimable for line in one.lines}
    aside = {line.id for one in claimable for line in one.claim.lines if one.better}
    lines = claimable_lines(organisation, package)
    free = [line for line in lines if line.id not in covered | aside]
    known = _known(package, organisation, lines, claimable, at=at)
    possible = _possible(package, known, organisation, lines, at=at)
    used = facts_of.approved_in_year(package, year, organisation)
    inside = min(max(on, package.valid_from), package.valid_to)
    cap = fen(package, "voucher.unit_year_cap_fen", inside)
    return Benefits(
        organisation=organisation,
        package=package,
        on=on,
        facts=known,
        claimable=claimable,
        with_voucher=_with_voucher(package, organisation, free, at=at),
        when_paid=_when_paid(organisation, at=at),
        possible=possible,
        questions=questions([one.found for one in possible if one.package is package]),
        year_left_fen=max(0, cap - used),
    )


def papers_to_bring(evidence: Sequence[Words]) -> list[Words]:
    """Of the papers a measure asks for, those the platform does not hold itself."""
    return [paper for paper in evidence if paper["en"] not in _held()]


@cache
def _held() -> frozenset[str]:
    told = resources.files("suanwang.vouchers").joinpath("papers.yaml")
    return frozenset(one["en"] for one in yaml.safe_load(told.read_text(encoding="utf-8"))["held"])


def _claimable(organisation: Organisation, *, at: datetime) -> list[Claimable]:
    held = Voucher.objects.filter(
        holder=organisation, status=Voucher.Status.ISSUED, expires_at__gte=at
    ).select_related("holder")
    vouchers = list(held.order_by("expires_at", "number"))
    left = balances([chart.voucher(one.pk).id for one in vouchers])
    found: list[Claimable] = []
    taken: set[UUID] = set()
    for voucher in vouchers:
        available = left[chart.voucher(voucher.pk).id].available
        try:
            claim = prefill_claim(voucher, at=at, leaving_out=taken) if available else None
        except SuanwangError:  # its policy is over: nothing can be claimed by it any more
            claim = None
        one = Claimable(voucher, available, claim or Prefilled((), None))
        taken |= {line.id for line in one.lines}
        found.append(one)
    return found


def _with_voucher(
    package: Package, organisation: Organisation, lines: Sequence[FeeLine], *, at: datetime
) -> WithVoucher | None:
    """What lines no voucher covers would give with a voucher that is large enough."""
    if not lines:
        return None
    fees = sum(line.fee_fen for line in lines)
    measure = measure_in_force()
    try:
        facts = _of_fees(package, measure, organisation, lines, at=at, voucher_fen=fees)
        decision = package.decide(measure, facts, on=city_day(at))
    except SuanwangError:
        return None
    return WithVoucher(fees, len(lines), decision) if decision.amount_fen else None


def _when_paid(organisation: Organisation, *, at: datetime) -> list[WhenPaid]:
    owed = Invoice.objects.filter(organisation=organisation, status=Invoice.Status.ISSUED)
    found = []
    for invoice in owed.select_related("provider").order_by("due_at")[:UNPAID_AT_MOST]:
        lines = list(
            InvoiceLine.objects.filter(
                invoice=invoice, charge__usage__attempt__cluster__centre__is_local_platform=True
            ).select_related("charge__usage__attempt__cluster__centre")
        )
        if not lines:
            continue
        centre = lines[0].charge.usage.attempt.cluster.centre
        fee = sum(line.amount_fen for line in lines)
        expected = expected_reimbursement(organisation, fee, centre, at=at)
        if expected.amount_fen:
            found.append(WhenPaid(invoice, expected))
    return found


def known_of(package: Package, organisation: Organisation, *, at: datetime) -> facts_of.Facts:
    """What the platform knows of any organisation, of the facts a policy asks for."""
    year = budget_year(at)
    known: facts_of.Facts = {
        "applicant_kind": str(organisation.kind),
        "division_code": organisation.division,
        "filed_on": city_day(at).isoformat(),
        "unit_year_used_fen": facts_of.approved_in_year(package, year, organisation),
        "unit_year_issued_fen": balance(
            chart.issue_allowance(package.name, year, organisation.pk).id
        ).debits_posted,
    }
    return {name: value for name, value in known.items() if name in package.facts}


def everything_known(organisation: Organisation, *, at: datetime) -> facts_of.Facts:
    """What the platform knows of an organisation, of the facts the policy in force asks for:
    its registration, and if it may use vouchers its paid fees and what is left to it."""
    package = in_force()
    if organisation.kind not in CONSUMER_KINDS:
        return known_of(package, organisation, at=at)
    claimable = _claimable(organisation, at=at)
    return _known(package, organisation, claimable_lines(organisation, package), claimable, at=at)


def _known(
    package: Package,
    organisation: Organisation,
    lines: Sequence[FeeLine],
    claimable: Sequence[Claimable],
    *,
    at: datetime,
) -> facts_of.Facts:
    """The same, with what is known of the paid fees and the vouchers."""
    known = known_of(package, organisation, at=at)
    if claimable:
        known["voucher_available_fen"] = sum(one.left_fen for one in claimable)
    if lines:
        left = sum(one.left_fen for one in claimable)
        known |= _of_fees(package, measure_in_force(), organisation, lines, at=at, voucher_fen=left)
    return known


def _possible(
    package: Package,
    known: facts_of.Facts,
    organisation: Organisation,
    lines: Sequence[FeeLine],
    *,
    at: datetime,
) -> list[Possible]:
    """Every other measure of every policy of the city; what is out comes last."""
    measure, found = measure_in_force(), []
    for policy, own in ((package, measure), *overlapping(package.name, measure)):
        facts = known if policy is package else known_of(policy, organisation, at=at)
        try:
            if policy is not package and lines:
                facts = facts | _of_fees(policy, own, organisation, lines, at=at)
            found += [
                Possible(policy, one)
                for one in find(policy, facts, city_day(at))
                if one.measure.is_award
                and (policy.name, one.measure.name) != (package.name, measure)
            ]
        except SuanwangError:  # not in force today, or it knows no applicants of this kind
            continue
    order = {"applies": 0, "open": 1, "out": 2}
    return sorted(found, key=lambda one: order[one.found.state])


def _of_fees(
    package: Package,
    measure: str,
    organisation: Organisation,
    lines: Sequence[FeeLine],
    *,
    at: datetime,
    voucher_fen: int = 0,
) -> facts_of.Facts:
    facts = facts_of.of_fees(
        package,
        measure,
        organisation,
        lines,
        year=budget_year(at),
        filed_on=city_day(at),
        voucher_available_fen=voucher_fen,
    )
    return facts_of.as_json(facts)
