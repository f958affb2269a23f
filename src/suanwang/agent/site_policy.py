"""The centre's last word on what runs there: ``site.yaml`` in the agent's home.

Asked before the engine sees a lease. What it refuses it refuses by a stable code; the words are
the platform's (``jobs/refusals.yaml``), which decides the job again elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    model_validator,
)

from suanwang.core.image import full_name

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)|24:00")


def _minutes(given: object) -> object:
    """Minutes after midnight. YAML 1.1 reads ``20:00`` without quotes as 20 times 60."""
    if isinstance(given, str):
        if not _CLOCK.fullmatch(given):
            raise ValueError('a time of day such as "20:00" is wanted')
        hour, minute = given.split(":")
        return int(hour) * 60 + int(minute)
    return given


_Strict = ConfigDict(extra="forbid", frozen=True)
_Minutes = Annotated[StrictInt, Field(ge=0, le=24 * 60), BeforeValidator(_minutes)]
_Pattern = Annotated[StrictStr, Field(min_length=1, max_length=300)]
_Amount = Annotated[StrictInt, Field(ge=0, le=10**12)]


class Names(BaseModel):
    """Who or what is let in: by shell patterns, ``deny`` before ``allow``."""

    model_config = _Strict

    allow: Annotated[list[_Pattern], Field(max_length=1000)] | None = None
    """Only these; left out: all that are not denied."""
    deny: Annotated[list[_Pattern], Field(max_length=1000)] = []

    def admit(self, *names: str) -> bool:
        """Whether something that goes by these names is let in."""
        if any(fnmatchcase(name, each) for name in names for each in self.deny):
            return False
        return self.allow is None or any(
            fnmatchcase(name, each) for name in names for each in self.allow
        )


class Resources(BaseModel):
    """The largest job that is let in; amounts are of the whole job."""

    model_config = _Strict

    cores_max: _Amount | None = None
    memory_mib_max: _Amount | None = None
    accelerators_max: _Amount | None = None
    nodes_max: _Amount | None = None
    walltime_seconds_max: _Amount | None = None


class Hours(BaseModel):
    """A stretch of the week in which jobs may start. One past midnight belongs to the day it
    begins on; ``from`` equal to ``to`` is a whole day.
    """

    model_config = _Strict

    days: Annotated[list[Literal[DAYS]], Field(min_length=1, max_length=7)] = list(DAYS)  # type: ignore[valid-type]
    begins: _Minutes = Field(alias="from")
    ends: _Minutes = Field(alias="to")

    def stretch(self, day: datetime) -> tuple[datetime, datetime] | None:
        """From when to when it is on the day that begins at this midnight."""
        if DAYS[day.weekday()] not in self.days:
            return None
        ends = self.ends if self.ends > self.begins else self.ends + 24 * 60
        # On the wall clock, so that a change of summer time moves no opening hour.
        return day + timedelta(minutes=self.begins), day + timedelta(minutes=ends)


class SitePolicy(BaseModel):
    """What ``site.yaml`` says; nothing said, nothing refused."""

    model_config = _Strict

    organisations: Names = Names()
    """By the platform's id of the organisation, or its name."""
    images: Names = Names()
    """Container images, by their full name (``docker.io/library/python:3``) or as asked for; a job
    that names none is no matter of this.
    """
    resources: Resources = Resources()
    timezone: StrictStr | None = None
    """The zone of ``hours``, such as ``Asia/Shanghai``."""
    hours: Annotated[list[Hours], Field(min_length=1, max_length=100)] | None = None
    """When jobs may start; left out: always. What runs is not stopped when they end."""

    @model_validator(mode="after")
    def _zone_for_hours(self) -> SitePolicy:
        if self.hours is not None and self.timezone is None:
            raise ValueError("hours need a timezone")
        if self.timezone is not None and self.timezone not in available_timezones():
            raise ValueError(f"no time zone is called {self.timezone[:40]!r}")
        return self


@dataclass(frozen=True)
class Work:
    """What the policy is asked about. Amounts are of the whole job."""

    organisation: str
    """The platform's id of who pays; empty if an old platform did not say."""
    organisation_name: str
    image: str
    cores: int
    memory_mib: int
    accelerators: int
    nodes: int
    walltime_seconds: int


@dataclass(frozen=True)
class SiteRefusal:
    """Why a centre does not take a job: a stable code, its facts, and until when if it passes."""

    code: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    until: datetime | None = None


def decide(policy: SitePolicy, work: Work, now: datetime) -> SiteRefusal | None:
    """The first reason the centre has against a job, or None.

    ``site_organisation_refused``, ``site_image_refused``, ``site_cores_exceeded``,
    ``site_memory_exceeded``, ``site_accelerators_exceeded``, ``site_nodes_exceeded``,
    ``site_walltime_exceeded``, ``site_hours_closed`` (with when it opens, unless never).
    """
    names = [name for name in (work.organisation, work.organisation_name) if name]
    if not policy.organisations.admit(*(names or [""])):
        return SiteRefusal("site_organisation_refused")
    if work.image and not policy.images.admit(work.image, full_name(work.image)):
        return SiteRefusal("site_image_refused", {"image": work.image[:200]})
    for code, asked, limit in _amounts(policy.resources, work):
        if limit is not None and asked > limit:
            return SiteRefusal(code, {"asked": asked, "limit": limit})
    if policy.hours is not None and policy.timezone is not None:
        opens = opens_at(policy.hours, now.astimezone(ZoneInfo(policy.timezone)))
        if opens is None or opens > now:
            return SiteRefusal("site_hours_closed", {}, opens)
    return None


def _amounts(most: Resources, work: Work) -> Iterator[tuple[str, int, int | None]]:
    yield "site_cores_exceeded", work.cores, most.cores_max
    yield "site_memory_exceeded", work.memory_mib, most.memory_mib_max
    yield "site_accelerators_exceeded", work.accelerators, most.accelerators_max
    yield "site_nodes_exceeded", work.nodes, most.nodes_max
    yield "site_walltime_exceeded", work.walltime_seconds, most.walltime_seconds_max


def opens_at(hours: list[Hours], now: datetime) -> datetime | None:
    """``now`` if a stretch is open, else when the next begins; None: never. In now's zone."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    begins = []
    for ahead in range(-1, 8):
        for one in hours:
            stretch = one.stretch(midnight + timedelta(days=ahead))
            if stretch is None:
                continue
            if stretch[0] <= now < stretch[1]:
                return now
            if stretch[0] > now:
                begins.append(stretch[0])
    return min(begins, default=None)
