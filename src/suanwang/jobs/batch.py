"""Many jobs over HTTP: what was sent, read job by job, and what became of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from suanwang.core.errors import Refused
from suanwang.core.jobspec import JobSpec, problems
from suanwang.core.refusals import Language, sentence
from suanwang.jobs.models import Job


def read(
    sent: Sequence[Mapping[str, Any]], language: Language
) -> tuple[dict[int, JobSpec], list[dict[str, Any]]]:
    """The specifications by index, and those that cannot be read with every wrong field."""
    specs, refused = {}, []
    for index, one in enumerate(sent):
        try:
            specs[index] = JobSpec.model_validate(one)
        except ValidationError as error:
            wrong = [
                {
                    "field": each.field,
                    "code": each.code,
                    "message": sentence(each.code, each.facts, language) or each.code,
                }
                for each in problems(error)[:20]
            ]
            refused.append(_refusal(index, "job_unreadable", language, wrong))
    return specs, refused


def _refusal(
    index: int, code: str, language: Language, wrong: list[dict[str, str]], **facts: object
) -> dict[str, Any]:
    detail = "; ".join(one["message"] for one in wrong)
    return {
        "index": index,
        "code": code,
        "message": sentence(code, facts or {"detail": detail}, language) or code,
        "facts": facts,
        "problems": wrong,
    }


def answer(
    answers: Mapping[int, Job | Refused], unreadable: Sequence[dict[str, Any]], language: Language
) -> dict[str, Any]:
    """Both lists, each in the order of the index."""
    queued = [
        {"index": index, "id": job.pk, "estimate_fen": job.estimate_fen}
        for index, job in sorted(answers.items())
        if isinstance(job, Job)
    ]
    refused = [
        _refusal(index, refusal.code, language, [], **refusal.facts)
        for index, refusal in answers.items()
        if isinstance(refusal, Refused)
    ]
    return {
        "queued": queued,
        "refused": sorted([*refused, *unreadable], key=lambda one: one["index"]),
    }
