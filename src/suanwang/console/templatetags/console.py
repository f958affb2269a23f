"""How an amount, a moment, a deadline, a state and a field look on every page."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from django import template
from django.forms import BoundField, Form
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from suanwang.console import words
from suanwang.console.compared import compared
from suanwang.console.language import pick, short
from suanwang.console.static_files import version_of
from suanwang.console.why import localised, reasons
from suanwang.core.errors import SuanwangError
from suanwang.core.money import format_yuan
from suanwang.core.refusals import explain
from suanwang.ledger.chart import TITLES
from suanwang.site.clock import now

register = template.Library()
CITY_ZONE = ZoneInfo("Asia/Shanghai")

_HOUR_OF = {"core_seconds": 3600, "card_seconds": 3600, "memory_mib_seconds": 3600 * 1024}


@register.filter
def yuan(fen: int | None) -> str:
    """``¥1,234.50``; a dash where there is no amount."""
    return "—" if fen is None else format_yuan(fen)


@register.filter
def wan(fen: int | None) -> SafeString | str:
    """For overviews: 万元, or millions in English; the exact figure on hover and in print."""
    if fen is None:
        return "—"
    exact = format_yuan(fen)
    if short() == "zh":
        if abs(fen) < 10**6:
            return exact
        shown, unit = f"{fen / 10**6:,.2f}", "万元"
    else:
        if abs(fen) < 10**8:
            return exact
        shown, unit = f"¥{fen / 10**8:,.2f}", "M"
    return format_html(
        '<span class="exact-in-print" title="{}">{}<span class="unit">{}</span></span>',
        exact,
        shown,
        unit,
    )


@register.filter
def when(at: datetime | None) -> SafeString | str:
    """``2026-11-23 14:05`` in the city's time."""
    if at is None:
        return "—"
    local = at.astimezone(CITY_ZONE)
    return format_html(
        '<time class="nowrap" datetime="{}">{}</time>',
        at.isoformat(),
        local.strftime("%Y-%m-%d %H:%M"),
    )


@register.filter
def day(at: datetime | date | None) -> SafeString | str:
    """``2026-11-23`` in the city's time."""
    if at is None:
        return "—"
    local = at.astimezone(CITY_ZONE).date() if isinstance(at, datetime) else at
    return format_html('<time class="nowrap" datetime="{0}">{0}</time>', local.isoformat())


def weekdays_between(start: date, end: date) -> int:
    """Monday to Friday after ``start`` up to and including ``end``; public holidays not known."""
    return sum(
        (start + timedelta(days=n)).weekday() < 5 for n in range(1, max((end - start).days, 0) + 1)
    )


@register.filter
def deadline(at: datetime | None) -> SafeString | str:
    """The date, and how long until then beside it."""
    if at is None:
        return "—"
    today = now().astimezone(CITY_ZONE).date()
    last = at.astimezone(CITY_ZONE).date()
    if last < today:
        late = (today - last).days
        tone, text = "refused", ngettext("%d day overdue", "%d days overdue", late) % late
    elif (last - today).days > 60:
        months = (last - today).days // 30
        tone, text = "", ngettext("%d month left", "%d months left", months) % months
    else:
        left = weekdays_between(today, last)
        tone = "waiting" if left <= 5 else ""
        text = ngettext("%d weekday left", "%d weekdays left", left) % left
    return format_html('{} <span class="chip {}">{}</span>', day(at), tone, text)


@register.filter
def chip(code: str, kind: str) -> SafeString:
    """A state as a word with its tone: ``{{ job.state|chip:"job" }}``."""
    text, tone = words.CHIPS[kind].get(code, (code, ""))
    return format_html('<span class="chip {}">{}</span>', tone, text)


@register.filter
def word(code: str, kind: str) -> str:
    """The plain word for a code: ``{{ centre.tier|word:"TIERS" }}``."""
    return words.word(getattr(words, kind), code)


@register.filter
def named(thing: Any) -> str:
    """A thing's name in the active language."""
    return "—" if thing is None else pick(thing.name, getattr(thing, "name_en", ""))


def decimals(value: Fraction, places: int = 2) -> str:
    """A quantity with grouped thousands; exact, then rounded half up for reading only."""
    scaled = (value * 10**places * 2 + 1) // 2
    whole, rest = divmod(int(scaled), 10**places)
    return f"{whole:,}.{rest:0{places}d}" if places else f"{whole:,}"


@register.filter
def quantity(amount: int, meter: str) -> str:
    """Base units as hours: 7,200 core-seconds are 2.00 core-hours."""
    hours = Fraction(amount, _HOUR_OF[meter])
    if 0 < hours < Fraction(1, 10_000):
        return "< 0.0001"
    return decimals(hours, 2 if hours >= 1 or hours == 0 else 4)


@register.filter
def unit_price(price: Any) -> str:
    """What one hour's worth of a meter costs, to a thousandth of a fen where it must."""
    fen = Fraction(price.price_fen * _HOUR_OF[price.meter], price.per_quantity)
    if fen.denominator == 1:
        return format_yuan(int(fen))
    return "¥" + decimals(fen / 100, 4)


@register.filter
def mib(amount: int) -> str:
    """Memory for reading: GiB from 1,024 MiB on."""
    if amount < 1024:
        return f"{amount} MiB"
    return f"{decimals(Fraction(amount, 1024), 1 if amount % 1024 else 0)} GiB"


@register.filter
def span(seconds: int | None) -> str:
    """A length of time: ``1 h 30 min``."""
    if seconds is None:
        return "—"
    parts = []
    for size, text in ((86400, _("%d d")), (3600, _("%d h")), (60, _("%d min")), (1, _("%d s"))):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(text % count)
    return " ".join(parts[:2]) or _("%d s") % 0


@register.filter
def size(count: int) -> str:
    """Bytes for reading."""
    for unit, power in (("MiB", 1024**2), ("KiB", 1024)):
        if count >= power:
            return f"{decimals(Fraction(count, power), 1)} {unit}"
    return f"{count} B"


@register.inclusion_tag("console/parts/field.html")
def field(bound: BoundField, help_text: str = "") -> dict[str, object]:
    """One field: label above, help below, its errors beside it and tied to it."""
    mark_optional = getattr(bound.form, "mark_optional", True)
    return {
        "field": bound,
        "help": help_text or bound.help_text,
        "mark_optional": mark_optional,
    }


@register.inclusion_tag("console/parts/errors.html")
def errors(form: Form) -> dict[str, object]:
    """What is wrong with a form, on top of it, each with a link to its field."""
    wrong = [(bound, error) for bound in form for error in bound.errors]
    return {"form": form, "wrong": wrong}


@register.inclusion_tag("console/parts/why.html")
def why(decision: Any, unfolded: bool = False) -> dict[str, object]:
    """Opens how an amount came about: steps, inputs, article, rule version, open defaults."""
    plain = decision.as_json() if hasattr(decision, "as_json") else decision
    return {"reasons": reasons(plain), "unfolded": unfolded}


@register.inclusion_tag("console/parts/choice.html")
def choice(comparison: Any) -> dict[str, object]:
    """Why this policy pays and not another: what each gives, and which line went to which."""
    plain = comparison.as_json() if hasattr(comparison, "as_json") else comparison
    return {"chosen": compared(plain)}


@register.inclusion_tag("console/parts/gauge.html")
def gauge(label: str, whole: int, *marks: int | str) -> dict[str, object]:
    """A bar of parts of a whole: ``{% gauge label whole "blue" 30 "amber" 10 %}``."""
    parts, at = [], Fraction(0)
    for tone, amount in zip(marks[::2], marks[1::2], strict=True):
        share = Fraction(100 * int(amount), whole) if whole > 0 else Fraction(0)
        share = min(max(share, Fraction(0)), 100 - at)
        parts.append({"tone": tone, "x": f"{float(at):.3f}", "width": f"{float(share):.3f}"})
        at += share
    return {"label": label, "parts": parts}


register.filter("localised", localised)


@register.simple_tag
def asset(path: str) -> str:
    """The address of a static file with its version, so that a browser may keep it for good."""
    return f"/static/{path}?v={version_of(path)}"


@register.filter
def thousands(count: int) -> str:
    """``12,345``."""
    return f"{count:,}"


@register.filter
def hours(amount: int, meter: str) -> str:
    """Base units as whole hours, for overviews."""
    return decimals(Fraction(amount, _HOUR_OF[meter]), 0)


@register.filter
def kilo(amount: int) -> str:
    """Watt-hours as kilowatt-hours."""
    return decimals(Fraction(amount, 1000), 0)


@register.filter
def transfer(row: Any) -> str:
    """What an entry of a statement was for."""
    return words.transfer_word(row.code, row.kind)


@register.filter
def said(reason: dict[str, Any]) -> str:
    """A stored ``{code, facts}`` in the reader's language; empty where there is none."""
    if not reason.get("code"):
        return ""
    return explain(SuanwangError(str(reason["code"]), **(reason.get("facts") or {})), short())


@register.filter
def saids(reasons: Any) -> list[str]:
    """Several stored reasons in words, such as what would help a job that waits."""
    return [said(one) for one in reasons or ()]


@register.filter
def moment(text: Any) -> datetime | None:
    """A moment kept as text with a reason; None where there is none."""
    return datetime.fromisoformat(text) if text else None


@register.filter
def total(rows: Any, field_name: str) -> int:
    """The sum of a field over rows already read."""
    return sum(getattr(row, field_name) for row in rows)


@register.filter
def refusal(code: str) -> str:
    """The words of a refusal code that needs no facts."""
    return explain(SuanwangError(code), short())


@register.filter
def account_title(account: Any) -> str:
    """What an account of the ledger is called."""
    return localised(TITLES.get(account.code, {"zh": account.code, "en": account.code}))
