"""What the city has, used and spent, for the first page; kept for half a minute, stamped."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

from django.db.models import Count, F, Q, Sum

from suanwang.jobs.models import Job
from suanwang.metering.models import Charge, Payment
from suanwang.people.models import Organisation
from suanwang.people.roles import CONSUMER_KINDS
from suanwang.programmes.models import PaymentShare
from suanwang.registry.models import DataCentre, Node
from suanwang.vouchers.models import Voucher

KEPT_FOR: Final = timedelta(seconds=30)


@dataclass(frozen=True)
class CityFigures:
    """Sums over the whole city. They name nobody, so the public may see them."""

    centres: int
    cores: int
    memory_mib: int
    cards: int
    organisations: int
    jobs: int
    jobs_running: int
    jobs_queued: int
    core_seconds: int
    card_seconds: int
    fees_fen: int
    paid_fen: int
    vouchers: int
    granted_fen: int
    support_paid_fen: int
    as_of: datetime


_lock = Lock()
_kept: CityFigures | None = None


def city_figures(at: datetime) -> CityFigures:
    """The figures, at most half a minute old by the city's clock."""
    global _kept  # noqa: PLW0603
    with _lock:
        if _kept is None or not timedelta(0) <= at - _kept.as_of < KEPT_FOR:
            _kept = _count(at)
        return _kept


def forget() -> None:
    """Count afresh next time."""
    global _kept  # noqa: PLW0603
    _kept = None


def _count(at: datetime) -> CityFigures:
    nodes = Node.objects.filter(up=True).exclude(cluster__centre__status="closed")
    capacity = nodes.aggregate(
        cores=Sum("cores"), memory=Sum("memory_mib"), cards=Sum("accelerators")
    )
    jobs = Job.objects.aggregate(
        all=Count("pk"),
        running=Count("pk", filter=Q(state__in=["starting", "running"])),
        queued=Count("pk", filter=Q(state__in=["queued", "placed"])),
    )
    used = Charge.objects.values(meter=F("usage__meter")).annotate(total=Sum("billed_quantity"))
    by_meter = {row["meter"]: int(row["total"]) for row in used.order_by()}
    vouchers = Voucher.objects.aggregate(count=Count("pk"), face=Sum("face_fen"))
    supported = PaymentShare.objects.exclude(receipt="").aggregate(total=Sum("amount_fen"))
    return CityFigures(
        centres=DataCentre.objects.exclude(status="closed").count(),
        cores=capacity["cores"] or 0,
        memory_mib=capacity["memory"] or 0,
        cards=capacity["cards"] or 0,
        organisations=Organisation.objects.filter(
            status="active", kind__in=[kind.value for kind in CONSUMER_KINDS]
        ).count(),
        jobs=jobs["all"],
        jobs_running=jobs["running"],
        jobs_queued=jobs["queued"],
        core_seconds=by_meter.get("core_seconds", 0),
        card_seconds=by_meter.get("card_seconds", 0),
        fees_fen=int(Charge.objects.aggregate(total=Sum("amount_fen"))["total"] or 0),
        paid_fen=int(Payment.objects.aggregate(total=Sum("amount_fen"))["total"] or 0),
        vouchers=vouchers["count"],
        granted_fen=int(vouchers["face"] or 0),
        support_paid_fen=int(supported["total"] or 0),
        as_of=at,
    )
