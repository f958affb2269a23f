"""Tables of applications, vouchers, claims and payment orders."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from suanwang.console import words
from suanwang.console.language import pick
from suanwang.console.tables import Cell, Column, Filter, Table, amount, chip, link, moment
from suanwang.console.tables import text as plain
from suanwang.console.templatetags.console import deadline
from suanwang.people.models import Organisation
from suanwang.programmes.models import Application, PaymentOrder
from suanwang.vouchers.models import Claim, Voucher


def _choices(kinds: dict[str, words.Words]) -> list[tuple[str, str | Promise]]:
    return [(code, name) for code, (name, _tone) in kinds.items()]


def _name(organisation: Organisation) -> Cell:
    return plain(pick(organisation.name, organisation.name_en))


APPLICATIONS = Table[Application](
    title=_("Applications"),
    key="applications",
    columns=(
        Column(_("Number"), lambda one: link(f"/applications/{one.pk}", one.number), "number"),
        Column(_("Applicant"), lambda one: _name(one.organisation), "organisation__name"),
        Column(_("Measure"), lambda one: plain(one.measure)),
        Column(_("State"), lambda one: chip("application", one.state), "state"),
        Column(_("Filed on"), lambda one: moment(one.filed_at), "filed_at"),
        Column(_("Asked for"), lambda one: amount(one.asked_fen), "asked_fen", True),
    ),
    filters=(Filter("state", _("State"), _choices(words.APPLICATION), "state"),),
    search=("number", "organisation__name", "organisation__name_en"),
    order="-filed_at",
    empty_title=_("No applications yet"),
    empty_text=_("A voucher is asked for once a year and granted from the city's pool."),
)
VOUCHERS = Table[Voucher](
    title=_("Vouchers"),
    key="vouchers",
    columns=(
        Column(_("Number"), lambda one: link(f"/vouchers/{one.pk}", one.number), "number"),
        Column(_("Holder"), lambda one: _name(one.holder), "holder__name"),
        Column(_("State"), lambda one: chip("voucher", one.status), "status"),
        Column(_("Granted on"), lambda one: moment(one.issued_at), "issued_at"),
        Column(
            _("Valid until"),
            lambda one: Cell(deadline(one.expires_at), one.expires_at),
            "expires_at",
        ),
        Column(_("Face value"), lambda one: amount(one.face_fen), "face_fen", True),
    ),
    filters=(Filter("status", _("State"), _choices(words.VOUCHER), "status"),),
    search=("number", "holder__name", "holder__name_en"),
    order="-issued_at",
    empty_title=_("No vouchers yet"),
    empty_text=_("A granted application becomes a voucher, an electronic entitlement certificate."),
)
CLAIMS = Table[Claim](
    title=_("Claims"),
    key="claims",
    columns=(
        Column(_("Number"), lambda one: link(f"/claims/{one.pk}", one.number), "number"),
        Column(_("Applicant"), lambda one: _name(one.organisation), "organisation__name"),
        Column(_("State"), lambda one: chip("claim", one.state), "state"),
        Column(_("Filed on"), lambda one: moment(one.filed_at), "filed_at"),
        Column(_("Fees paid"), lambda one: amount(one.paid_fee_fen), "paid_fee_fen", True),
        Column(_("Claimed"), lambda one: amount(one.amount_fen), "amount_fen", True),
    ),
    filters=(Filter("state", _("State"), _choices(words.CLAIM), "state"),),
    search=("number", "organisation__name", "organisation__name_en", "voucher__number"),
    order="-filed_at",
    empty_title=_("No claims yet"),
    empty_text=_("Claims are filed from a voucher, against fees that were paid in full."),
)
ORDERS = Table[PaymentOrder](
    title=_("Payment orders"),
    key="payment-orders",
    columns=(
        Column(_("Number"), lambda one: link(f"/payment-orders/{one.pk}", one.number), "number"),
        Column(_("Payee"), lambda one: _name(one.claim.organisation), "claim__organisation__name"),
        Column(_("Claim"), lambda one: link(f"/claims/{one.claim_id}", one.claim.number)),
        Column(_("State"), lambda one: chip("order", one.state), "state"),
        Column(_("Ordered"), lambda one: moment(one.ordered_at), "ordered_at"),
        Column(_("Amount"), lambda one: amount(one.amount_fen), "amount_fen", True),
    ),
    filters=(Filter("state", _("State"), _choices(words.ORDER), "state"),),
    search=("number", "claim__number", "claim__organisation__name"),
    order="-ordered_at",
    empty_title=_("No payment orders yet"),
    empty_text=_("An approved claim becomes an order, split between the budgets that bear it."),
)
