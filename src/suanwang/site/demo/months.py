"""What the demo city does with money: vouchers in the first week, invoices and claims by month.

The last month is left unfinished on purpose, so that every inbox has something in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from suanwang.core.clock import CITY_ZONE
from suanwang.core.errors import Refused
from suanwang.core.money import parse_yuan
from suanwang.metering import services as metering
from suanwang.metering.models import Invoice
from suanwang.people.roles import Role
from suanwang.programmes import services as programmes
from suanwang.programmes.models import Application, PaymentOrder, PaymentShare
from suanwang.site.demo.cast import Cast
from suanwang.site.demo.data import city
from suanwang.vouchers import queries as voucher_queries
from suanwang.vouchers import services as vouchers
from suanwang.vouchers.models import Claim, Voucher

PURPOSE = "使用本地算力服务平台开展研发（演示）"
STILL_ASKING = ("wuliu", "xiangbao", "nongye")
"""Those whose applications wait to be decided on the last day."""

PAYS_LATE = ("xiangbao", "yiyuan")
LACKING = "付款凭证与账单户名不一致，请补正后重新申请（演示）"
CLAIM_LINES = 60


def first_week(cast: Cast, *, at: datetime) -> None:
    """The pool is funded; users apply; the reviewer grants."""
    vouchers.fund_pool(at.astimezone(CITY_ZONE).year, actor=cast.people["finance"], at=at)
    for key, amounts in city()["vouchers"].items():
        application = _apply(cast, key, parse_yuan(str(amounts["asked_yuan"])), at=at)
        programmes.grant(
            application,
            parse_yuan(str(amounts["granted_yuan"])),
            actor=cast.people["reviewer"],
            at=at + timedelta(hours=3),
        )


def issue(_: Cast, *, at: datetime) -> None:
    """Everybody gets an invoice for what was settled since the last one."""
    metering.issue_all(at=at)


def pay(cast: Cast, *, at: datetime) -> None:
    """Everybody pays in full by bank slip, except those who are known to be late."""
    payers = [cast.organisations[key] for key in city()["workloads"] if key not in PAYS_LATE]
    providers = {cast.organisations[key].pk: key for key in cast.organisations}
    unpaid = Invoice.objects.filter(organisation__in=payers, status=Invoice.Status.ISSUED)
    for invoice in unpaid.order_by("number"):
        metering.record_payment(
            invoice,
            "bank_slip",
            f"SLIP-{invoice.number}",
            invoice.total_fen,
            at.astimezone(CITY_ZONE).date(),
            actor=cast.acting_for(providers[invoice.provider_id]),
            at=at,
        )


def claim(cast: Cast, *, at: datetime) -> None:
    """Every holder claims what it paid, as many lines as one claim takes here."""
    for key in city()["vouchers"]:
        organisation = cast.organisations[key]
        voucher = Voucher.objects.get(holder=organisation)
        lines = voucher_queries.claimable_lines(organisation)
        chosen = [line.id for line in lines][:CLAIM_LINES]
        if chosen:
            actor = cast.acting_for(key, Role.OWNER)
            with suppress_refusals("voucher_exhausted"):
                vouchers.file_claim(voucher, chosen, actor=actor, at=at)


def review(cast: Cast, *, at: datetime, unfinished: bool = False) -> None:
    """The approver decides. In the unfinished month some wait, and one lacks a paper."""
    filed = Claim.objects.filter(state=Claim.State.FILED).order_by("number")
    for number, waiting in enumerate(filed):
        if unfinished and number % 4 == 0:
            continue
        lacking = unfinished and number % 4 == 1
        reason = LACKING if lacking else ""
        approver = cast.people["approver"]
        vouchers.review_claim(waiting, not lacking, reason, actor=approver, at=at)


def order(cast: Cast, *, at: datetime, unfinished: bool = False) -> None:
    """The finance bureau orders payment where the split is confirmed (A26 stops the rest)."""
    approved = Claim.objects.filter(state=Claim.State.APPROVED).order_by("number")
    for decided in approved[: 2 if unfinished else None]:
        with suppress_refusals("split_unconfirmed"):
            programmes.issue_payment_order(decided, actor=cast.people["finance"], at=at)


def receive(cast: Cast, *, at: datetime) -> None:
    """The treasuries of the city and the districts send their receipts."""
    shares = PaymentShare.objects.filter(receipt="", order__state=PaymentOrder.State.ORDERED)
    for share in shares.select_related("order").order_by("order__number", "level"):
        receipt = f"{share.order.number}-{share.level}"
        programmes.record_receipt(share, receipt, actor=cast.people["finance"], at=at)


@contextmanager
def suppress_refusals(*codes: str) -> Iterator[None]:
    """Some refusals are part of the city's life; any other is a fault of the demo."""
    try:
        yield
    except Refused as refusal:
        if refusal.code not in codes:
            raise


def last_day(cast: Cast, *, at: datetime) -> None:
    """Some have applied and wait for a decision."""
    for key in STILL_ASKING:
        _apply(cast, key, parse_yuan("50000"), at=at)


def _apply(cast: Cast, key: str, asked_fen: int, *, at: datetime) -> Application:
    return programmes.file_application(
        asked_fen, PURPOSE, actor=cast.acting_for(key, Role.OWNER), at=at
    )
