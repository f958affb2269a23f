"""Reads of jobs: lists, one job with its story, output, the queue, the pool."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Count, Q, QuerySet, Sum

from suanwang.core.errors import NotFound
from suanwang.jobs.models import (
    Attempt,
    Job,
    JobEvent,
    JobFile,
    JobLog,
    NodeReservation,
    OrganisationShare,
)
from suanwang.people.scope import CITY_ROLES, Viewer, visible
from suanwang.registry import queries as registry
from suanwang.registry.models import DataCentre
from suanwang.registry.queries import EMPTY, Holding

LOG_READ_BYTES_MAX = 1024 * 1024


def jobs(
    viewer: Viewer,
    *,
    state: str | None = None,
    live: bool | None = None,
    centre: str | None = None,
    search: str | None = None,
    since: datetime | None = None,
) -> QuerySet[Job]:
    """The jobs a viewer may see, to be ordered by ``-submitted_at``."""
    found = visible(Job, viewer).select_related("organisation", "submitted_by", "cluster__centre")
    if state is not None:
        found = found.filter(state=state)
    if live is not None:
        found = found.exclude(state__in=Job.ENDED) if live else found.filter(state__in=Job.ENDED)
    if centre is not None:
        found = found.filter(cluster__centre__code=centre)
    if search:
        found = found.filter(Q(name__icontains=search) | Q(organisation__name__icontains=search))
    if since is not None:
        found = found.filter(submitted_at__gte=since)
    return found


def job(job_id: UUID, viewer: Viewer) -> Job:
    """One job. Refuses ``job_not_found``, also for another organisation's."""
    found = jobs(viewer).filter(pk=job_id).first()
    if found is None:
        raise NotFound("job_not_found")
    return found


def shares(viewer: Viewer) -> QuerySet[OrganisationShare]:
    """What organisations a viewer may see have of the pool, where the operator set anything."""
    return visible(OrganisationShare, viewer).select_related("organisation")


def reservations(viewer: Viewer) -> QuerySet[NodeReservation]:
    """The nodes that are kept, of centres that are a viewer's business."""
    found = visible(NodeReservation, viewer).select_related("cluster__centre__provider")
    return found.prefetch_related("organisations")


def reservation(reservation_id: UUID, viewer: Viewer) -> NodeReservation:
    """One of them. Refuses ``reservation_not_found``, also for another provider's."""
    found = reservations(viewer).filter(pk=reservation_id).first()
    if found is None:
        raise NotFound("reservation_not_found")
    return found


def may_see_people(job: Job, viewer: Viewer) -> bool:
    """Whether who submitted and who cancelled is this viewer's business: not its provider's."""
    return viewer.organisation_id == job.organisation_id or viewer.role in CITY_ROLES


def events(job: Job) -> QuerySet[JobEvent]:
    """The story of a job that may be seen, from its beginning."""
    return JobEvent.objects.filter(job=job).select_related("person").order_by("at", "id")


def attempts(job: Job, viewer: Viewer) -> QuerySet[Attempt]:
    """The attempts of a job a viewer may see, first to last: a provider sees those at its own."""
    found = visible(Attempt, viewer).filter(job=job).select_related("node", "cluster__centre")
    return found.order_by("number")


def may_see_content(job: Job, viewer: Viewer) -> bool:
    """Whether script, environment, output and files are this viewer's business."""
    return viewer.organisation_id == job.organisation_id


def files(job: Job, viewer: Viewer) -> QuerySet[JobFile]:
    """The files of a job, without their content; its own organisation's business alone."""
    found = visible(JobFile, viewer).filter(job=job)
    return found.defer("content").order_by("direction", "name")


def file(job: Job, name: str, viewer: Viewer, *, direction: str = "out") -> JobFile:
    """One file with its content. Refuses ``file_not_found``."""
    found = visible(JobFile, viewer).filter(job=job, name=name, direction=direction).first()
    if found is None:
        raise NotFound("file_not_found", name=name[:80])
    return found


@dataclass(frozen=True)
class Output:
    """Some bytes of a stream, where to go on, and whether more can come."""

    content: bytes
    next_offset: int
    complete: bool


def output(job: Job, stream: str, offset: int, viewer: Viewer) -> Output:
    """What the newest attempt wrote from an offset on, at most a mebibyte at a time."""
    newest = Attempt.objects.filter(job=job).order_by("-number").first()
    ended = job.state in Job.ENDED
    if newest is None or not may_see_content(job, viewer):
        return Output(b"", offset, ended)
    pieces = visible(JobLog, viewer).filter(attempt=newest, stream=stream)
    before = pieces.filter(offset__lte=offset).order_by("-offset").values_list("offset").first()
    start = before[0] if before else 0
    content, at = b"", start
    for piece in pieces.filter(offset__gte=start).order_by("offset").iterator(chunk_size=8):
        content += bytes(piece.content)
        at = piece.offset + len(piece.content)
        if at - max(offset, start) >= LOG_READ_BYTES_MAX:
            break
    fresh = content[max(0, offset - start) :][:LOG_READ_BYTES_MAX]
    following = offset + len(fresh)
    return Output(fresh, following, ended and following >= at)


def queue(viewer: Viewer) -> QuerySet[Job]:
    """The jobs that wait and may be seen, in the order they are considered."""
    return jobs(viewer, state=Job.State.QUEUED).order_by("submitted_at", "id")


def place_in_queue(job: Job) -> int:
    """How many jobs of the whole city are considered before this one."""
    earlier = Q(submitted_at__lt=job.submitted_at) | Q(submitted_at=job.submitted_at, id__lt=job.pk)
    return Job.objects.filter(earlier, state=Job.State.QUEUED).count()


@dataclass(frozen=True)
class Allocated:
    """What live attempts hold of a centre."""

    jobs: int = 0
    running: int = 0
    cores: int = 0
    memory_mib: int = 0
    cards: int = 0


@dataclass(frozen=True)
class CentrePool:
    """One centre of the pool: what is up, what is held of it, who waits for it by name."""

    centre: DataCentre
    holding: Holding
    allocated: Allocated
    online: bool
    waiting: int


def allocated() -> dict[UUID, Allocated]:
    """What live attempts hold, by centre."""
    rows = (
        Attempt.objects.filter(state__in=Attempt.LIVE)
        .values("cluster__centre_id")
        .annotate(
            all_jobs=Count("id"),
            all_running=Count("id", filter=Q(state=Attempt.State.RUNNING)),
            all_cores=Sum("job__cores"),
            all_memory=Sum("job__memory_mib"),
            all_cards=Sum("job__accelerators"),
        )
    )
    return {
        row["cluster__centre_id"]: Allocated(
            row["all_jobs"],
            row["all_running"],
            row["all_cores"],
            row["all_memory"],
            row["all_cards"],
        )
        for row in rows
    }


def held_by_cluster(clusters: Iterable[UUID]) -> QuerySet[Attempt, tuple[UUID, int, int]]:
    """Cores and cards that live attempts hold, of the clusters that have some."""
    return (
        Attempt.objects.filter(cluster_id__in=list(clusters), state__in=Attempt.LIVE)
        .order_by()
        .values_list("cluster_id")
        .annotate(Sum("job__cores"), Sum("job__accelerators"))
    )


def pool(at: datetime) -> list[CentrePool]:
    """The whole pool, centre by centre, in a fixed number of queries. Sums show no single job."""
    held, used = registry.holdings(), allocated()
    online = registry.online_centres(at)
    waiting: dict[str, int] = defaultdict(int)
    queued = Job.objects.filter(state=Job.State.QUEUED)
    for code, count in queued.values_list("spec__centre").annotate(Count("id")):
        waiting[code or ""] = count
    return [
        CentrePool(
            centre,
            held.get(centre.pk, EMPTY),
            used.get(centre.pk, Allocated()),
            centre.pk in online,
            waiting[centre.code],
        )
        for centre in registry.centres()
    ]


@dataclass(frozen=True)
class Numbers:
    """How many jobs are where, for the first screens."""

    queued: int
    live: int
    ended_last_day: int
    failed_last_day: int


def numbers(viewer: Viewer, at: datetime) -> Numbers:
    """Counts over the jobs a viewer may see."""
    day = Q(ended_at__gte=at - timedelta(days=1))
    counts = visible(Job, viewer).aggregate(
        queued=Count("id", filter=Q(state=Job.State.QUEUED)),
        live=Count("id", filter=~Q(state__in=Job.ENDED) & ~Q(state=Job.State.QUEUED)),
        ended=Count("id", filter=Q(state__in=Job.ENDED) & day),
        failed=Count(
            "id",
            filter=Q(state__in=(Job.State.FAILED, Job.State.LOST, Job.State.OUT_OF_MEMORY)) & day,
        ),
    )
    return Numbers(counts["queued"], counts["live"], counts["ended"], counts["failed"])
