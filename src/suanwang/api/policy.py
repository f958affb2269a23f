"""The policy over HTTP: read it as data and in words, decide a case, find what applies.

Anyone may ask. Nothing is stored: the facts given here are the caller's own word.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from suanwang import policy
from suanwang.api.http import In, language_of
from suanwang.core.clock import CITY_ZONE
from suanwang.core.errors import NotFound
from suanwang.policy.finder import Finding, find, questions
from suanwang.policy.printing import print_measure
from suanwang.policy.publish import facts_schema, publish
from suanwang.site import clock
from suanwang.site.settings import settings

router = Router(tags=["policy"])


class WordsOut(Schema):
    zh: str
    en: str


class PackageOut(Schema):
    """A policy the city has as data; ``hash`` is that of its content."""

    name: str
    title: WordsOut
    issuer: WordsOut
    valid_from: date
    valid_to: date
    claims_until: date
    hash: str
    measures: list[str]


class CaseIn(In):
    """A case of one measure. Amounts are whole fen; other decimals are text, such as "1.2499"."""

    measure: str = Field(max_length=40)
    facts: dict[str, Any] = Field(max_length=100)
    on: date | None = None


class KnownIn(In):
    """What is known of an applicant so far."""

    facts: dict[str, Any] = Field(max_length=100)
    on: date | None = None


class GapOut(Schema):
    """One comparison that fails: what there is, what is needed, how far apart they are."""

    has: str
    has_value: Any
    sign: str
    needs: Any
    by: Any
    unit: str


class UnmetOut(Schema):
    """A condition that fails whatever else is true, and what would turn the no into a yes."""

    name: str
    label: WordsOut
    article: WordsOut
    gaps: list[GapOut]


class FindingOut(Schema):
    """Where a measure stands: it ``applies``, is ``open`` (and asks more), or is ``out``.

    ``decision`` has the reasons once every fact is known; the amount may be settled before that.
    """

    measure: str
    title: WordsOut
    article: WordsOut
    state: str
    amount_fen: int | None
    asks: list[str]
    failed: list[WordsOut]
    unmet: list[UnmetOut]
    papers: list[WordsOut]
    refers_to: WordsOut | None
    decision: dict[str, Any] | None


class FoundOut(Schema):
    """Every measure, and the facts still worth asking, those that matter most first."""

    measures: list[FindingOut]
    questions: list[str]


class RowOut(Schema):
    asked: str
    holds: str
    article: str


class PrintOut(Schema):
    """A measure as people read it, in the language of the request."""

    title: str
    article: str
    sentence: str
    formula: list[str]
    table: list[RowOut]
    outcome: str


@router.get("", response=list[PackageOut])
def packages(request: HttpRequest) -> Any:
    """The policies there are."""
    return [_package_out(policy.load(folder)) for folder in policy.packages(settings().policies)]


@router.get("/{package}", response=dict[str, Any])
def package(request: HttpRequest, package: str) -> Any:
    """A policy as open data: content, content hash, and the schema of its facts."""
    return publish(package_of(package))


@router.get("/{package}/measures/{measure}/facts", response=dict[str, Any])
def facts(request: HttpRequest, package: str, measure: str) -> Any:
    """The facts a measure asks for, as JSON Schema with an example."""
    return facts_schema(package_of(package), measure)


@router.get("/{package}/measures/{measure}", response=PrintOut)
def measure(request: HttpRequest, package: str, measure: str) -> Any:
    """A measure as a sentence, a formula and a decision table."""
    wanted = package_of(package)
    return asdict(print_measure(wanted, measure, language_of(request), day_of(wanted, None)))


@router.post("/{package}/decision", response=dict[str, Any])
def decide(request: HttpRequest, package: str, payload: CaseIn) -> Any:
    """Decide a case: the amount, every step, condition, cap and unconfirmed default."""
    wanted = package_of(package)
    return wanted.decide(payload.measure, payload.facts, day_of(wanted, payload.on)).as_json()


@router.post("/{package}/finding", response=FoundOut)
def finding(request: HttpRequest, package: str, payload: KnownIn) -> Any:
    """Which measures apply by what is known, and what is still worth asking."""
    wanted = package_of(package)
    found = find(wanted, payload.facts, day_of(wanted, payload.on))
    return {
        "measures": [_finding_out(wanted, one) for one in found],
        "questions": questions(found),
    }


def folder_of(name: str) -> Path:
    """The folder of a package by its name; a path is no name."""
    folder = settings().policies / name
    if Path(name).name != name or name.startswith(".") or not (folder / "policy.yaml").is_file():
        raise NotFound("policy_package_unknown", folder=name[:60])
    return folder


def package_of(name: str) -> policy.Package:
    """A package by its name."""
    return policy.load(folder_of(name))


def day_of(package: policy.Package, on: date | None) -> date:
    """The day asked for; else today, or the nearest day on which the policy is in force."""
    today = clock.now().astimezone(CITY_ZONE).date()
    return on or min(max(today, package.valid_from), package.tail_until)


def _package_out(package: policy.Package) -> dict[str, Any]:
    return {
        "name": package.name,
        "title": package.title,
        "issuer": package.issuer,
        "valid_from": package.valid_from,
        "valid_to": package.valid_to,
        "claims_until": package.tail_until,
        "hash": package.content_hash,
        "measures": list(package.measures),
    }


def _finding_out(package: policy.Package, found: Finding) -> dict[str, Any]:
    return {
        "measure": found.measure.name,
        "title": found.measure.title,
        "article": package.articles[found.measure.article],
        "state": found.state,
        "amount_fen": found.amount_fen,
        "asks": list(found.asks),
        "failed": [condition.label for condition in found.failed],
        "unmet": [
            {
                "name": condition.name,
                "label": condition.label,
                "article": package.articles[condition.article],
                "gaps": [asdict(gap) for gap in condition.gaps],
            }
            for condition in found.failed
        ],
        "papers": list(found.measure.evidence),
        "refers_to": found.measure.refers_to or None,
        "decision": found.decision.as_json() if found.decision else None,
    }
