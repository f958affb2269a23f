"""What people run: the form with its price, the review, the list, the page of one job."""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from suanwang.console.attempts import attempt, attempt_button
from suanwang.console.expected import expected_support
from suanwang.console.export import table_page
from suanwang.console.forms.jobs import Asked, JobForm, read_job
from suanwang.console.forms.wishes import as_typed, not_shown
from suanwang.console.job_story import job_story, output
from suanwang.console.lists.compute import JOBS, JOBS_OF_ALL
from suanwang.console.session import signed_in
from suanwang.console.wished import wishes_of
from suanwang.jobs import services
from suanwang.jobs.models import Job, JobFile
from suanwang.metering.models import Charge, UsageRecord
from suanwang.people.roles import Role
from suanwang.people.scope import Viewer, visible
from suanwang.site.clock import now

_CONSUMERS = (Role.OWNER, Role.MEMBER, Role.BILLING)


@require_safe
@signed_in("jobs.read")
def jobs(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """All jobs one may see, newest first."""
    own = viewer.role in _CONSUMERS
    rows = visible(Job, viewer).select_related("cluster__centre", "organisation")
    return table_page(
        request,
        "console/list.html",
        JOBS if own else JOBS_OF_ALL,
        rows,
        heading=_("Jobs"),
        lead=_("What was submitted, where it runs, and why it waits if it does."),
        action=("/jobs/new", _("Submit a job")) if viewer.may("jobs.submit") else None,
    )


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in("jobs.submit")
def new(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Say what to run; then see what it costs everywhere, before anything binds."""
    if request.method != "POST":
        again = _again(request, viewer)
        centre = request.GET.get("centre", "")
        form = JobForm(initial=again or {"centre": centre})
        facts = {"form": form, "again": bool(again), "lost": again and again["not_shown"]}
        return render(request, "console/compute/new.html", facts)
    form = JobForm(request.POST)
    asked = read_job(form) if form.is_valid() and "change" not in request.POST else None
    if asked is None:
        status = 422 if form.errors else 200
        return render(request, "console/compute/new.html", {"form": form}, status=status)
    return _review(request, viewer, form, asked)


def _review(
    request: HttpRequest, viewer: Viewer, form: JobForm, asked: Asked, status: int = 200
) -> HttpResponse:
    """Price, hold and expected support beside everything that was understood."""
    at = now()
    beside = {
        "centre_unknown": "centre",
        "accelerator_unknown": "accelerator_model",
        "job_needs_images": "image",
    }
    estimate = attempt(form, lambda: services.estimate(asked.spec, viewer=viewer, at=at), beside)
    if estimate is None:
        return render(request, "console/compute/new.html", {"form": form}, status=409)
    options = [
        {"option": one, "support": expected_support(one, viewer, at)} for one in estimate.acceptable
    ]
    facts = {
        "form": form,
        "asked": asked,
        "wishes": wishes_of(asked.spec.as_stored()),
        "estimate": estimate,
        "options": options,
        "best": options[0],
        "unfit": [one for one in estimate.options if not one.acceptable],
    }
    return render(request, "console/compute/review.html", facts, status=status)


def _again(request: HttpRequest, viewer: Viewer) -> dict[str, Any] | None:
    """The fields of an earlier job of one's own, to be submitted again."""
    try:
        earlier = visible(Job, viewer).filter(pk=UUID(request.GET.get("again", ""))).first()
    except ValueError:
        return None
    if earlier is None or earlier.organisation_id != viewer.organisation_id:
        return None
    spec = earlier.spec
    plain = ("name", "script", "cores", "memory_mib", "accelerators", "centre", "goal")
    return {name: spec.get(name) for name in plain} | {
        "accelerator_model": spec.get("accelerator_model") or "",
        "image": spec.get("image") or "",
        "walltime": f"00:00:{spec.get('walltime_seconds', 3600)}",
        "environment": "\n".join(f"{k}={v}" for k, v in spec.get("environment", {}).items()),
        "files_out": "\n".join(spec.get("files_out", [])),
        "not_shown": not_shown(spec),
        **as_typed(spec),
    }


@require_http_methods(["GET", "HEAD", "POST"])
def jobs_or_submit(request: HttpRequest) -> HttpResponse:
    """The list, or with POST one job more."""
    return submit(request) if request.method == "POST" else jobs(request)


@require_POST
@signed_in("jobs.submit")
def submit(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Take the reviewed job with its files; the hold is taken in the same step."""
    form = JobForm(request.POST)
    uploads = {str(one.name): one.read() for one in request.FILES.getlist("files")}
    described = [
        {"name": name, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        for name, content in uploads.items()
    ]
    asked = read_job(form, described) if form.is_valid() else None
    if asked is None:
        return render(request, "console/compute/new.html", {"form": form}, status=422)
    job = attempt(form, lambda: services.submit(asked.spec, uploads, actor=viewer, at=now()))
    if job is None:
        return _review(request, viewer, form, asked, status=409)
    return HttpResponseRedirect(f"/jobs/{job.pk}")


def _job(viewer: Viewer, job_id: UUID) -> Job:
    rows = visible(Job, viewer).select_related(
        "organisation", "submitted_by", "cluster__centre__provider"
    )
    found = rows.filter(pk=job_id).first()
    if found is None:
        raise Http404
    return found


def _live_facts(viewer: Viewer, shown: Job) -> dict[str, Any]:
    attempts = list(shown.attempts.select_related("node", "cluster__centre").order_by("number"))
    return {
        "job": shown,
        "steps": job_story(shown, viewer),
        "attempts": attempts,
        "ended": shown.state in Job.ENDED,
        "streams": output(shown, viewer),
        "files": visible(JobFile, viewer).filter(job=shown).defer("content").order_by("name"),
        "usage": visible(UsageRecord, viewer)
        .filter(attempt__job=shown)
        .select_related("attempt")
        .order_by("attempt__number", "meter"),
        "charges": visible(Charge, viewer)
        .filter(job=shown)
        .select_related("usage", "price", "invoice_line__invoice")
        .order_by("usage__meter"),
        "may_cancel": viewer.may("jobs.cancel")
        and shown.state not in Job.ENDED
        and (viewer.role is Role.OPERATOR or viewer.organisation_id == shown.organisation_id),
        "own": viewer.organisation_id == shown.organisation_id,
    }


@require_safe
@signed_in("jobs.read")
def job(request: HttpRequest, viewer: Viewer, job_id: UUID) -> HttpResponse:
    """One job: how far it is, what it says, what it used and what that cost."""
    shown = _job(viewer, job_id)
    facts = _live_facts(viewer, shown) | {"wishes": wishes_of(shown.spec)}
    return render(request, "console/compute/job.html", facts)


@require_safe
@signed_in("jobs.read")
def live(request: HttpRequest, viewer: Viewer, job_id: UUID) -> HttpResponse:
    """The part of the page that changes while the job runs."""
    facts = _live_facts(viewer, _job(viewer, job_id))
    response = render(request, "console/compute/live.html", facts)
    if facts["ended"] and facts["charges"]:
        # Done: the whole page is drawn once more, now without asking again.
        response.headers["HX-Refresh"] = "true"
    return response


@require_POST
@signed_in("jobs.cancel")
def cancel(request: HttpRequest, viewer: Viewer, job_id: UUID) -> HttpResponse:
    """Cancel a job at whatever stage it is."""
    shown = _job(viewer, job_id)
    attempt_button(
        request,
        lambda: services.cancel(shown, actor=viewer, at=now()),
        _("The job is being cancelled."),
    )
    return HttpResponseRedirect(f"/jobs/{job_id}")


@require_safe
@signed_in("jobs.read")
def file(request: HttpRequest, viewer: Viewer, job_id: UUID, file_id: int) -> HttpResponse:
    """One file that went in or came out, as a download."""
    found = visible(JobFile, viewer).filter(job_id=job_id, pk=file_id).first()
    if found is None:
        raise Http404
    name = found.name.rpartition("/")[2]
    response = HttpResponse(bytes(found.content), content_type="application/octet-stream")
    # What a job wrote is never shown as a page of ours.
    response.headers["Content-Disposition"] = _attachment(name)
    return response


def _attachment(name: str) -> str:
    from django.utils.http import content_disposition_header

    return content_disposition_header(True, name) or "attachment"
