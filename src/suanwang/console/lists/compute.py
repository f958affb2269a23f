"""Tables of jobs and usage that could not be rated."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from suanwang.console import words
from suanwang.console.language import pick
from suanwang.console.tables import Cell, Column, Filter, Table, amount, chip, link, moment, number
from suanwang.console.tables import text as plain
from suanwang.console.templatetags.console import mib, quantity, said
from suanwang.jobs.models import Job
from suanwang.metering.models import RatingProblem

States = list[tuple[str, str | Promise]]
JOB_STATES: States = [(code, name) for code, (name, _tone) in words.JOB.items()]


def _where(job: Job) -> Cell:
    if job.cluster is None:
        return plain("", muted=True)
    centre = job.cluster.centre
    return plain(pick(centre.name, centre.name_en))


def _asked(job: Job) -> Cell:
    cards = f" · {job.accelerators} × {job.accelerator_model or _('cards')}"
    return plain(f"{job.cores} × CPU · {mib(job.memory_mib)}{cards if job.accelerators else ''}")


def _who(job: Job) -> Cell:
    return plain(pick(job.organisation.name, job.organisation.name_en))


_NAME = Column[Job](_("Job"), lambda job: link(f"/jobs/{job.pk}", job.name), "name")
_STATE = Column[Job](_("State"), lambda job: chip("job", job.state), "state")
_COMMON = (
    Column[Job](_("Asks for"), _asked),
    Column[Job](_("Centre"), _where),
    Column[Job](_("Submitted"), lambda job: moment(job.submitted_at), "submitted_at"),
    Column[Job](_("Held at most"), lambda job: amount(job.estimate_fen), "estimate_fen", True),
)
_STATE_FILTER = Filter("state", _("State"), JOB_STATES, "state")

JOBS = Table[Job](
    title=_("Jobs"),
    key="jobs",
    columns=(_NAME, _STATE, *_COMMON),
    filters=(_STATE_FILTER,),
    search=("name",),
    order="-submitted_at",
    empty_title=_("No jobs yet"),
    empty_text=_("Submit a script; you see its price before anything is held."),
    empty_link=("/jobs/new", _("Submit a job")),
)
JOBS_OF_ALL = Table[Job](
    title=_("Jobs"),
    key="jobs",
    columns=(
        _NAME,
        _STATE,
        Column(_("Organisation"), _who, "organisation__name"),
        Column(_("Why"), lambda job: plain(said(job.reason), muted=True)),
        *_COMMON,
    ),
    filters=(_STATE_FILTER,),
    search=("name", "organisation__name"),
    order="-submitted_at",
    empty_title=_("No jobs here"),
    empty_text=_("Nothing was submitted yet, or nothing that you may see."),
)


def _problem(problem: RatingProblem) -> Cell:
    return plain(said({"code": problem.code, "facts": problem.facts}))


PROBLEMS = Table[RatingProblem](
    title=_("Rating problems"),
    key="rating-problems",
    columns=(
        Column(
            _("Job"),
            lambda one: link(f"/rating-problems/{one.pk}", one.usage.attempt.job.name),
        ),
        Column(_("What is wrong"), _problem),
        Column(_("Meter"), lambda one: plain(words.word(words.METERS, one.usage.meter))),
        Column(
            _("Quantity"),
            lambda one: number(quantity(one.usage.quantity, one.usage.meter)),
            number=True,
        ),
        Column(_("Found"), lambda one: moment(one.found_at), "found_at"),
    ),
    order="found_at",
    empty_title=_("Every record could be rated"),
    empty_text=_("Usage with an unknown price would wait here, never counted as zero."),
)
