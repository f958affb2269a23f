"""Tables of invoices."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from suanwang.console import words
from suanwang.console.language import pick
from suanwang.console.tables import Cell, Column, Filter, Table, amount, chip, link, moment
from suanwang.console.tables import text as plain
from suanwang.console.templatetags.console import deadline
from suanwang.metering.models import Invoice
from suanwang.site.clock import now


def invoice_state(invoice: Invoice) -> str:
    """``overdue`` is an unpaid invoice past its day."""
    late = invoice.status == Invoice.Status.ISSUED and invoice.due_at < now()
    return "overdue" if late else invoice.status


def _due(invoice: Invoice) -> Cell:
    if invoice.status == Invoice.Status.PAID:
        return plain("", muted=True)
    return Cell(deadline(invoice.due_at), invoice.due_at)


_NUMBER = Column[Invoice](
    _("Number"), lambda one: link(f"/invoices/{one.pk}", one.number), "number"
)
_USER = Column[Invoice](
    _("User"), lambda one: plain(pick(one.organisation.name, one.organisation.name_en))
)
_FROM = Column[Invoice](
    _("Provider"), lambda one: plain(pick(one.provider.name, one.provider.name_en))
)
_REST = (
    Column[Invoice](_("State"), lambda one: chip("invoice", invoice_state(one))),
    Column[Invoice](_("Issued"), lambda one: moment(one.issued_at), "issued_at"),
    Column[Invoice](_("Due"), _due, "due_at"),
    Column[Invoice](_("Total"), lambda one: amount(one.total_fen), "total_fen", True),
)
_FILTERS = (
    Filter(
        "status",
        _("State"),
        [("issued", words.INVOICE["issued"][0]), ("paid", words.INVOICE["paid"][0])],
        "status",
    ),
)

INVOICES = Table[Invoice](
    title=_("Invoices"),
    key="invoices",
    columns=(_NUMBER, _FROM, *_REST),
    filters=_FILTERS,
    search=("number", "provider__name"),
    order="-issued_at",
    empty_title=_("No invoices yet"),
    empty_text=_("What you used is invoiced line by line, once a month or when you ask."),
)
INVOICES_OF_ALL = Table[Invoice](
    title=_("Invoices"),
    key="invoices",
    columns=(_NUMBER, _USER, _FROM, *_REST),
    filters=_FILTERS,
    search=("number", "organisation__name", "provider__name"),
    order="-issued_at",
    empty_title=_("No invoices yet"),
    empty_text=_("Invoices appear here once metered usage was invoiced."),
)
