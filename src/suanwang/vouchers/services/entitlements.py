"""The pool of a year, and vouchers drawn from it. Caps are accounts: no path around them."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID, uuid4, uuid5

from django.db import transaction

from suanwang.core.errors import Refused
from suanwang.core.money import format_yuan
from suanwang.ledger import chart
from suanwang.ledger.models import Account, Transfer
from suanwang.ledger.queries import balance, balances
from suanwang.ledger.services import create_accounts, create_transfers, post_or_refuse
from suanwang.ledger.terms import Ledger, TransferResult, TransferSpec
from suanwang.metering.actors import person_of
from suanwang.metering.numbering import next_number
from suanwang.metering.rules import city_day
from suanwang.people.models import Organisation
from suanwang.people.scope import Viewer
from suanwang.people.services import record, require
from suanwang.policy import Package
from suanwang.policy.years import year_of
from suanwang.vouchers import certificate, issuing, rules
from suanwang.vouchers.models import Voucher
from suanwang.vouchers.platform_key import private_key
from suanwang.vouchers.policy_in_force import (
    archived,
    budget_year,
    fen,
    in_force,
    measure_in_force,
)


@transaction.atomic
def fund_pool(year: int, *, actor: Viewer | None, at: datetime) -> int:
    """Put the policy's yearly amount into the pool; answers what the pool holds now, in fen.

    Once a year: a second time changes nothing. ``actor`` None: the command line and the demo.
    Refuses ``pool_year_outside_policy``. Baoding 2024, article 5.
    """
    if actor is not None:
        require(actor, "pool.fund")
    package = in_force()
    first, last = (year_of(package, day).number for day in (package.valid_from, package.valid_to))
    if not first <= year <= last:
        raise Refused("pool_year_outside_policy", year=year, first=first, last=last)
    source, pool = chart.appropriation(package.name, year), chart.pool(package.name, year)
    create_accounts([source, pool])
    funding = uuid5(pool.id, "fund")
    if not Transfer.objects.filter(pk=funding).exists():
        day = max(date(year, 1, 1), package.valid_from)
        amount = fen(package, "voucher.pool_year_fen", day)
        post_or_refuse(
            [TransferSpec(funding, source.id, pool.id, amount, Ledger.ENTITLEMENT, "fund")], at=at
        )
        archived(package, at=at)
        row = Account.objects.get(pk=pool.id)
        record(actor, "pool.fund", subject=row, concerns=None, at=at, year=year, amount_fen=amount)
    return balance(pool.id).available


def left_of(fen: int) -> dict[str, object]:
    """What is left, for people and for programs."""
    return {"left": format_yuan(fen), "left_fen": fen}


def open_allowances(package: Package, year: int, organisation: UUID, *, at: datetime) -> None:
    """Give a unit its allowances of a year, once: what it may be issued, what it may be paid."""
    cap, used = chart.cap(package.name, year), chart.used(package.name, year)
    allowances = [
        chart.issue_allowance(package.name, year, organisation),
        chart.payment_allowance(package.name, year, organisation),
    ]
    ids = {uuid5(account.id, "cap"): account for account in allowances}
    opened = set(Transfer.objects.filter(pk__in=ids).values_list("pk", flat=True))
    if len(opened) == len(ids):
        return
    create_accounts([cap, used, *allowances])
    day = max(date(year, 1, 1), package.valid_from)
    amount = fen(package, "voucher.unit_year_cap_fen", day)
    post_or_refuse(
        [
            TransferSpec(opening, cap.id, account.id, amount, Ledger.ALLOWANCE, "cap")
            for opening, account in ids.items()
            if opening not in opened
        ],
        at=at,
    )


@transaction.atomic
def issue(
    holder: Organisation,
    face_fen: int,
    *,
    filed_on: date | None = None,
    last_day: date | None = None,
    actor: Viewer,
    at: datetime,
    voucher_id: UUID | None = None,
) -> Voucher:
    """Draw a voucher from this year's pool and sign its certificate; the policy is asked first.

    Part of ``programmes.services.grant``, which checks who may and takes the duty. ``filed_on`` is
    the day of the application; without one, today. Caps are accounts: what the policy cuts the
    ledger refuses, in its own words.

    Refuses ``voucher_not_eligible``, ``issue_above_policy``, ``pool_not_funded``,
    ``pool_exhausted``, ``unit_year_issue_cap_reached``, ``voucher_day_outside_policy``.
    Baoding 2024, article 5.
    """
    package, today, year = in_force(), city_day(at), budget_year(at)
    latest = issuing.last_day(package, today)
    last_day = last_day or latest
    if not today <= last_day <= latest:
        raise Refused("voucher_day_outside_policy", first=today, last=latest)
    voucher_id = voucher_id or uuid4()
    archived(package, at=at)
    open_allowances(package, year, holder.pk, at=at)
    decision = issuing.issuable(holder, face_fen, filed_on=filed_on or today, at=at)
    _draw(package, year, holder, voucher_id, face_fen, at=at)
    if decision.amount_fen != face_fen:
        most = decision.amount_fen
        raise Refused("issue_above_policy", most=format_yuan(most), most_fen=most)
    expires_at = rules.end_of(last_day)
    number = next_number("V", at=at)
    stated = certificate.content(
        number=number,
        holder=holder.name,
        holder_code=holder.uscc,
        policy=package.name,
        measure=measure_in_force(),
        package_hash=package.content_hash,
        year=year,
        face_fen=face_fen,
        issued_at=at,
        expires_at=expires_at,
    )
    return Voucher.objects.create(
        id=voucher_id,
        number=number,
        holder=holder,
        policy=package.name,
        package_hash=package.content_hash,
        measure=measure_in_force(),
        year=year,
        face_fen=face_fen,
        issued_at=at,
        expires_at=expires_at,
        granted_by=person_of(actor),
        stated=stated,
        signature=certificate.sign(stated, private_key()),
    )


def _draw(
    package: Package,
    year: int,
    holder: Organisation,
    voucher_id: UUID,
    face_fen: int,
    *,
    at: datetime,
) -> None:
    """Pool to voucher and allowance to used, both or neither."""
    pool, voucher = chart.pool(package.name, year), chart.voucher(voucher_id)
    allowance = chart.issue_allowance(package.name, year, holder.pk)
    create_accounts([chart.appropriation(package.name, year), pool, voucher])
    steps = [
        TransferSpec(
            uuid5(voucher_id, "grant"),
            pool.id,
            voucher.id,
            face_fen,
            Ledger.ENTITLEMENT,
            "grant",
            linked=True,
        ),
        TransferSpec(
            uuid5(voucher_id, "issue_allowance"),
            allowance.id,
            chart.used(package.name, year).id,
            face_fen,
            Ledger.ALLOWANCE,
            "issue_allowance",
        ),
    ]
    from_pool, from_allowance = create_transfers(steps, at=at)
    if from_pool is TransferResult.EXCEEDS_CREDITS:
        left = balance(pool.id)
        if not left.credits_posted:
            raise Refused("pool_not_funded", year=year)
        raise Refused("pool_exhausted", year=year, **left_of(left.available))
    if from_allowance is TransferResult.EXCEEDS_CREDITS:
        left = balance(allowance.id)
        raise Refused("unit_year_issue_cap_reached", year=year, **left_of(left.available))
    if not (from_pool.good and from_allowance.good):
        raise Refused("grant_not_recorded", result=f"{from_pool}, {from_allowance}")


@transaction.atomic
def expire_vouchers(*, at: datetime) -> int:
    """Take back what is left on vouchers whose last day is over; answers how many lost something.

    What is reserved by a claim stays with it; if that claim fails later, the next run takes it.
    Within the budget year it goes back to the pool (A8), afterwards to ``expired``. Safe to repeat.
    """
    over = Voucher.objects.filter(expires_at__lt=at).exclude(status=Voucher.Status.CANCELLED)
    accounts = {chart.voucher(voucher.pk).id: voucher for voucher in over.order_by("id")}
    lost = 0
    for account, left in balances(accounts).items():
        voucher = accounts[account]
        if left.available or voucher.status == Voucher.Status.ISSUED:
            lost += _expire(Voucher.objects.select_for_update().get(pk=voucher.pk), at=at)
    return lost


def _expire(voucher: Voucher, *, at: datetime) -> bool:
    account = chart.voucher(voucher.pk)
    left = balance(account.id).available
    if voucher.status != Voucher.Status.EXPIRED:
        voucher.status = Voucher.Status.EXPIRED
        voucher.save(update_fields=["status"])
    if not left:
        return False
    if budget_year(at) == voucher.year:
        sink = chart.pool(voucher.policy, voucher.year)
    else:
        sink = chart.expired(voucher.policy, voucher.year)
    create_accounts([sink])
    before = Transfer.objects.filter(debit_account=account.id, code="expire").count()
    post_or_refuse(
        [
            TransferSpec(
                uuid5(voucher.pk, f"expire:{before}"),
                account.id,
                sink.id,
                left,
                Ledger.ENTITLEMENT,
                "expire",
            )
        ],
        at=at,
    )
    record(
        None,
        "vouchers.expire",
        subject=voucher,
        concerns=voucher.holder,
        at=at,
        number=voucher.number,
        amount_fen=left,
    )
    return True
