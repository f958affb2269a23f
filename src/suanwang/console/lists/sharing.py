"""Tables of shares and of kept nodes."""

from __future__ import annotations

from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from suanwang.console.forms.sharing import cluster_name
from suanwang.console.language import pick
from suanwang.console.tables import Cell, Column, Table, moment, number
from suanwang.console.tables import text as plain
from suanwang.jobs.models import NodeReservation, OrganisationShare


def _who(share: OrganisationShare) -> Cell:
    organisation = share.organisation
    name = pick(organisation.name, organisation.name_en)
    address = f"/shares?organisation={organisation.pk}"
    return Cell(format_html('<a href="{}">{}</a>', address, name), name)


def _lending(share: OrganisationShare) -> Cell:
    said = [gettext("borrows")] if share.borrow else []
    said += [gettext("lends")] if share.lend else []
    return plain(" · ".join(said), muted=True)


SHARES = Table[OrganisationShare](
    title=_("Shares"),
    key="shares",
    columns=(
        Column(_("Organisation"), _who, "organisation__name"),
        Column(_("Weight"), lambda one: number(f"{one.weight_milli / 1000:g}"), "weight_milli"),
        Column(_("Cores it is sure of"), lambda one: number(one.cores), None, True),
        Column(_("Cards it is sure of"), lambda one: number(one.cards), None, True),
        Column(_("Cohort"), lambda one: plain(one.cohort), "cohort"),
        Column(_("Idle quota"), _lending),
        Column(
            _("High priority"), lambda one: plain(gettext("granted") if one.high_priority else "")
        ),
        Column(_("Set"), lambda one: moment(one.set_at), "set_at"),
    ),
    search=("organisation__name", "cohort"),
    order="-set_at",
    empty_title=_("Everybody has the usual"),
    empty_text=_("Who waits takes turns alike, and nobody has a quota."),
)


def _nodes(kept: NodeReservation) -> Cell:
    if not kept.nodes:
        return plain(gettext("all"))
    more = f" +{len(kept.nodes) - 3}" if len(kept.nodes) > 3 else ""
    return plain(", ".join(kept.nodes[:3]) + more)


def _whom(kept: NodeReservation) -> Cell:
    names = [pick(one.name, one.name_en) for one in kept.organisations.all()]
    return plain(", ".join(names) or gettext("nobody"))


def _let_go(kept: NodeReservation) -> Cell:
    if kept.cancelled_at is not None:
        return Cell(gettext("let go"), gettext("let go"))
    address = f"/kept-nodes/{kept.pk}/cancel"
    return Cell(format_html('<a href="{}">{}</a>', address, gettext("Let go")), "")


KEPT_NODES = Table[NodeReservation](
    title=_("Kept nodes"),
    key="kept-nodes",
    columns=(
        Column(_("Cluster"), lambda one: plain(cluster_name(one.cluster)), "cluster__name"),
        Column(_("Names of nodes"), _nodes),
        Column(_("Kept for"), _whom),
        Column(_("From"), lambda one: moment(one.starts_at), "starts_at"),
        Column(_("Until"), lambda one: moment(one.ends_at), "ends_at"),
        Column(_("Reason"), lambda one: plain(one.reason)),
        Column(_("Action"), _let_go),
    ),
    search=("reason", "cluster__name"),
    order="-starts_at",
    empty_title=_("No nodes are kept"),
    empty_text=_("Keep some for an organisation, or for nobody while they are maintained."),
)
