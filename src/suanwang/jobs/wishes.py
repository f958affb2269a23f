"""Whether a place will do for what a job wishes; asked at the door, before anything is held.

Placement asks again when it decides: prices, links and verifications may have changed by then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from suanwang.core.errors import Refused
from suanwang.core.jobspec import JobSpec, Where
from suanwang.jobs.models import Job, OrganisationShare
from suanwang.people.models import Organisation
from suanwang.placement import Card, Link, Site
from suanwang.registry.models import DataCentre, Division

Links = Mapping[tuple[str, str], Link]


def excluded_by(spec: JobSpec, site: Site, card: Card | None, links: Links) -> str | None:
    """The wish (a field of the specification) that keeps the job from a place; None: it will do."""
    return next(_against(spec, site, card, links), None)


def _against(spec: JobSpec, site: Site, card: Card | None, links: Links) -> Iterator[str]:
    where, able = spec.where, spec.capability
    if where.tiers and site.tier not in where.tiers:
        yield "where.tiers"
    if where.kinds and site.kind not in where.kinds:
        yield "where.kinds"
    if where.divisions and site.division not in where.divisions:
        yield "where.divisions"
    if not site.datasets.issuperset(where.datasets):
        yield "where.datasets"
    if where.latency_us_max is not None and not _near(where, site, links):
        yield "where.latency_us_max"
    if site.trust < where.trust_min:
        yield "where.trust_min"
    if where.voucher_eligible and not site.voucher_eligible:
        yield "where.voucher_eligible"
    if card is not None and where.domestic == "required" and not card.domestic:
        yield "where.domestic"
    if card is not None and able is not None:
        enough = card.gflops.get(able.precision, 0) >= able.gflops_min
        if not enough or card.memory_mib < able.memory_mib_min:
            yield "capability"


def _near(where: Where, site: Site, links: Links) -> bool:
    near = where.near or ""
    if near in (site.code, site.division):
        return True
    measured = [
        link
        for place in (site.code, site.division)
        for pair in ((place, near), (near, place))
        if (link := links.get(pair)) is not None
    ]
    limit = where.latency_us_max or 0
    return any(link.latency_us <= limit for link in measured)


def check_wishes(spec: JobSpec, organisation: Organisation, *, at: datetime) -> None:
    """What only the books can tell of a job's wishes.

    Refuses ``job_deadline_past``, ``job_to_follow_unknown`` (also another organisation's),
    ``job_after_failed``, ``job_priority_not_granted``, ``job_place_unknown``,
    ``job_dataset_unknown``. A job comes only after jobs that are there already, so no circle of
    them can be made.
    """
    if spec.deadline is not None and spec.deadline <= at:
        raise Refused("job_deadline_past", deadline=spec.deadline.isoformat())
    if spec.after:
        _check_after(spec, organisation)
    granted = OrganisationShare.objects.filter(organisation=organisation, high_priority=True)
    if spec.priority == "high" and not granted.exists():
        raise Refused("job_priority_not_granted")
    _check_places(spec.where)


def _check_after(spec: JobSpec, organisation: Organisation) -> None:
    known = dict(
        Job.objects.filter(pk__in=spec.after, organisation=organisation).values_list("pk", "state")
    )
    for before in spec.after:
        if before not in known:
            raise Refused("job_to_follow_unknown", job=str(before))
        if known[before] in Job.ENDED - {Job.State.SUCCEEDED}:
            raise Refused("job_after_failed", job=str(before), state=known[before])


def _check_places(where: Where) -> None:
    divisions = set(where.divisions)
    unknown = divisions - set(
        Division.objects.filter(code__in=divisions).values_list("code", flat=True)
    )
    if where.near and not (
        DataCentre.objects.filter(code=where.near).exists()
        or Division.objects.filter(code=where.near).exists()
    ):
        unknown.add(where.near)
    if unknown:
        raise Refused("job_place_unknown", place=min(unknown))
    for name in where.datasets:
        if not DataCentre.objects.filter(datasets__contains=[name]).exists():
            raise Refused("job_dataset_unknown", dataset=name)
