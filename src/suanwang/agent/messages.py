"""What the platform answers, read strictly: garbage becomes an error here and goes no further."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class _Answer(BaseModel):
    """Fields that are not known yet may come: the platform may be newer than the agent."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Enrolled(_Answer):
    """The name the agent goes by from now on."""

    agent_id: UUID
    cluster_id: str | int
    platform_key: Annotated[str, Field(max_length=100)] = ""
    """The key the platform signs its answers with; empty: an older one that does not."""


class Known(_Answer):
    """What the platform knows of this agent."""

    centre: str
    cluster: str
    engine: str
    drain: bool = False
    server_time: AwareDatetime


class Reported(_Answer):
    """``revision`` is what the platform has of the nodes now; empty: it knows of none."""

    server_time: AwareDatetime
    revision: Annotated[str, Field(max_length=64)] = ""
    full_wanted: bool = False
    unknown_models: Annotated[list[str], Field(max_length=20_000)] | None = None
    """Models of cards that are not offered, for the catalogue does not have them; None: as it was
    said before.
    """


class Lease(_Answer):
    """One job to run, under its attempt's id. The specification is read later, by itself."""

    attempt_id: UUID
    job_id: UUID
    spec: dict[str, Any]
    expires_at: AwareDatetime
    organisation: Annotated[str, Field(max_length=100)] = ""
    organisation_name: Annotated[str, Field(max_length=300)] = ""


class GiveWay(_Answer):
    """An attempt that must stop for another job, after the time it has to save its work."""

    attempt_id: UUID
    grace_seconds: Annotated[int, Field(ge=1, le=7 * 86_400)]


class Measure(_Answer):
    """A measurement of the way between two agents, and this one's part in it."""

    id: UUID
    role: Literal["ask", "listen"]
    secret: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Known to the two agents and the platform; proves who they are to each other."""
    address: Annotated[str, Field(max_length=120)] = ""
    """Of the one that listens, as host:port."""
    seconds: Annotated[int, Field(ge=1, le=600)]
    """How long it is announced for."""


class Orders(_Answer):
    """What to start and what to stop. One unreadable lease does not hide the others."""

    leases: Annotated[list[dict[str, Any]], Field(max_length=10_000)] = []
    cancel: Annotated[list[UUID], Field(max_length=10_000)] = []
    give_way: Annotated[list[GiveWay], Field(max_length=10_000)] = []
    measure: Annotated[list[Measure], Field(max_length=100)] = []
    drain: bool = False
    """Whether the platform wants this agent to take no new work."""
    server_time: AwareDatetime


class Refusal(_Answer):
    """One thing the platform would not take, and why."""

    code: str = ""
    attempt_id: UUID | None = None
    sequence: int | None = None
    record_id: UUID | None = None
    expected: int | None = None
    facts: dict[str, Any] = {}


class Taken(_Answer):
    """What became of a batch. What is named in neither list was not taken: it stays owed."""

    accepted: list[Any]
    refused: list[Refusal]

    def states(self) -> set[tuple[str, int]]:
        """The events that need not be sent again, by attempt and sequence."""
        taken = {(str(one.attempt_id), one.sequence or 0) for one in self.refused}
        for one in self.accepted:
            if isinstance(one, dict) and isinstance(one.get("sequence"), int):
                taken.add((str(one.get("attempt_id")), one["sequence"]))
        return taken


class Noted(_Answer):
    """It was taken."""


class LogTaken(_Answer):
    next_offset: Annotated[int, Field(ge=0)]


class Problem(_Answer):
    """A problem+json body, or as much of it as came."""

    code: str = ""
    title: str = ""
    detail: str = ""
    facts: dict[str, Any] = {}
