"""The table of the ways between centres."""

from __future__ import annotations

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from suanwang.console.tables import Cell, Column, Table, moment, number
from suanwang.console.tables import text as plain
from suanwang.registry.models import Link


def milliseconds(microseconds: int | None) -> str:
    """``1234`` is 1.23 ms: three places are more than a network repeats."""
    return "" if microseconds is None else f"{microseconds / 1000:,.2f}"


def _width(link: Link) -> Cell:
    return number(link.bandwidth_mbps) if link.bandwidth_mbps else plain("—", muted=True)


def _by(link: Link) -> Cell:
    how = gettext("measured by agents") if link.by_agents else gettext("entered")
    return plain(f"{how} · {link.measured_by}", muted=True)


LINKS = Table[Link](
    title=_("Links"),
    key="links",
    columns=(
        Column(_("Place"), lambda one: plain(one.one), "one"),
        Column(_("Other place"), lambda one: plain(one.other), "other"),
        Column(
            _("Latency (ms)"), lambda one: number(milliseconds(one.latency_us)), "latency_us", True
        ),
        Column(_("Bandwidth (Mbit/s)"), _width, "bandwidth_mbps", True),
        Column(_("Measured"), lambda one: moment(one.measured_at), "measured_at"),
        Column(_("By"), _by),
    ),
    search=("one", "other"),
    order="one",
    empty_title=_("Nothing was measured yet"),
    empty_text=_("Jobs that ask for a place near another wait until the way there is known."),
)
