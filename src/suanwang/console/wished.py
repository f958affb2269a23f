"""What a job wishes beside amounts and time, in words: for its review and its page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from django.utils.translation import gettext as _

from suanwang.console import words
from suanwang.core.clock import CITY_ZONE
from suanwang.core.jobspec import WHOLE_CARD
from suanwang.core.money import format_yuan


class Wish(NamedTuple):
    """One wish and what was wished."""

    label: str
    value: str


def wishes_of(spec: Mapping[str, Any]) -> list[Wish]:
    """The wishes of a stored specification; the usual is no wish."""
    return [Wish(label, value) for label, value in _all(spec) if value]


def _all(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    where, able = spec.get("where") or {}, spec.get("capability") or {}
    if goal := spec.get("goal"):
        yield _("Choose for"), words.word(words.GOALS, goal)
    yield _("Container image"), spec.get("image") or ""
    if spec.get("nodes", 1) > 1:
        spread = words.word(words.SPREADS, spec.get("spread", "centre"))
        yield _("Nodes"), f"{spec['nodes']} · {spread}"
    if "card_milli" in spec:
        yield _("Of each card (%)"), f"{spec['card_milli'] * 100 / WHOLE_CARD:g}%"
    if able:
        tflops, gib = able.get("gflops_min", 0) / 1000, able.get("memory_mib_min", 0) / 1024
        parts = [f"{tflops:g} TFLOPS {able.get('precision', 'fp16').upper()}"] if tflops else []
        yield _("Each card at least"), " · ".join(parts + ([f"{gib:g} GiB"] if gib else []))
    yield _("Tiers that will do"), _several(where.get("tiers"), words.TIERS)
    yield _("Kinds of compute that will do"), _several(where.get("kinds"), words.COMPUTE)
    yield _("Divisions that will do"), ", ".join(where.get("divisions") or [])
    yield _("Data that must be there"), ", ".join(where.get("datasets") or [])
    if latency := where.get("latency_us_max"):
        yield _("Near"), f"{where.get('near')} · ≤ {latency / 1000:g} ms"
    if (domestic := where.get("domestic", "indifferent")) != "indifferent":
        yield _("Domestic cards"), words.word(words.DOMESTIC, domestic)
    if where.get("trust_min"):
        yield _("Centres"), _("only those the operator verified")
    if where.get("voucher_eligible"):
        yield _("Vouchers"), _("only where one counts")
    if (price := spec.get("price_max_fen")) is not None:
        yield _("Price at most"), format_yuan(price)
    if (priority := spec.get("priority", "normal")) != "normal":
        yield _("Priority"), words.word(words.PRIORITIES, priority)
    yield _("Not before"), _when(spec.get("not_before"))
    yield _("Must have ended by"), _when(spec.get("deadline"))
    if spec.get("deferrable"):
        yield _("Green power"), _("may wait for it")
    if spec.get("preemptible"):
        yield _("Others"), _("may stop it; it queues again")
    yield _("After"), ", ".join(spec.get("after") or [])


def _several(codes: list[str] | None, names: Any) -> str:
    return ", ".join(words.word(names, code) for code in codes or [])


def _when(moment: str | None) -> str:
    if moment is None:
        return ""
    return datetime.fromisoformat(moment).astimezone(CITY_ZONE).strftime("%Y-%m-%d %H:%M")
