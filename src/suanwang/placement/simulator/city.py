"""A city as a document: what there is, what is asked of it, what befalls it.

The one form for a city made up by hand, for the live city as production exports it, and for a
what-if; YAML or JSON, described in docs/reference/city-format.md. Amounts are whole numbers in base
units, prices and ratios exact (write them as text: ``"1.19"``). Times are seconds after
``starts_at`` (``5400``, ``90m``, ``1d``) or moments with a zone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

FORMAT = 1
SECONDS_MAX = 10 * 366 * 86_400
CORES_MAX = 1_000_000
MIB_MAX = 1 << 40
YEARS = 1970, 2200
"""In which a moment may lie."""
NODES_MAX = 200_000
"""Of a whole city."""
JOBS_MAX = 1_000_000
"""Explicit ones, and as many again from streams."""

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_SECONDS = re.compile(r"(-?\d{1,10})([smhd]?)")
_MEMORY = re.compile(r"(\d{1,13}) ?(MiB|GiB|TiB)?")
_EXACT = re.compile(r"-?\d{1,24}(\.\d{1,24}|/[1-9]\d{0,23})?")


def _seconds(told: Any) -> Any:
    if isinstance(told, str) and (match := _SECONDS.fullmatch(told.strip())):
        return int(match[1]) * _UNITS[match[2]]
    return told


def _mib(told: Any) -> Any:
    if isinstance(told, str) and (match := _MEMORY.fullmatch(told.strip())):
        return int(match[1]) * {None: 1, "MiB": 1, "GiB": 1 << 10, "TiB": 1 << 20}[match[2]]
    return told


def _zoned(told: int | datetime) -> int | datetime:
    if isinstance(told, datetime):
        if told.tzinfo is None:
            raise ValueError("a moment needs a zone, such as +08:00")
        if not YEARS[0] <= told.year <= YEARS[1]:
            raise ValueError(f"a year between {YEARS[0]} and {YEARS[1]} is meant")
    return told


class _Exact:
    """An exact number: written as a decimal or a quotient, never worked with as a float."""

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.read, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @staticmethod
    def read(told: Any) -> Fraction:
        if isinstance(told, Fraction):
            return told
        if isinstance(told, bool) or not isinstance(told, int | float | str):
            raise ValueError("an exact number is meant")  # noqa: TRY004 - pydantic reads it
        text = str(told).strip()
        if not _EXACT.fullmatch(text):
            raise ValueError("an exact number is meant, such as 1.19 or 7/3600")
        return Fraction(text)


Exact = Annotated[Fraction, _Exact]
Code = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\s/=@]+$")]
Name = Annotated[str, Field(max_length=200)]
Seconds = Annotated[int, BeforeValidator(_seconds), Field(ge=0, le=SECONDS_MAX)]
Length = Annotated[int, BeforeValidator(_seconds), Field(ge=1, le=SECONDS_MAX)]
Mib = Annotated[int, BeforeValidator(_mib), Field(ge=0, le=MIB_MAX)]
Offset = Annotated[int, Field(strict=True, ge=-SECONDS_MAX, le=SECONDS_MAX)]
At = Annotated[Offset | datetime, BeforeValidator(_seconds), AfterValidator(_zoned)]
Hour = Annotated[int, Field(ge=0, le=23)]


class Part(BaseModel):
    """A part of the document; an entry it does not know is a mistake, not a silent nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CardModel(Part):
    """A model of accelerator card; ``watts`` under load and idle, by its data sheet."""

    vendor: Name = ""
    memory: Mib = 0
    domestic: bool = False
    gflops: dict[str, Annotated[int, Field(ge=0, le=10**9)]] = {}
    watts: Annotated[int, Field(ge=0, le=10_000)] = 0
    idle_watts: Annotated[int, Field(ge=0, le=10_000)] = 0


class Prices(Part):
    """Fen per hour of a core, a GiB of memory and a card of a model; absent: no price, no work."""

    core_hour_fen: Exact | None = None
    gib_hour_fen: Exact | None = None
    card_hour_fen: dict[str, Exact] = {}

    @model_validator(mode="after")
    def _not_negative(self) -> Prices:
        told = (self.core_hour_fen, self.gib_hour_fen, *self.card_hour_fen.values())
        if any(price is not None and price < 0 for price in told):
            raise ValueError("a price is not negative")
        return self


class Nodes(Part):
    """Alike nodes of a centre, spread over its racks in turn."""

    count: Annotated[int, Field(ge=1, le=NODES_MAX)] = 1
    name: Name = ""
    """Of a single one; several are this and a number. Default: the centre's code."""
    cores: Annotated[int, Field(ge=0, le=CORES_MAX)]
    memory: Mib
    card: Code | None = None
    cards: Annotated[int, Field(ge=0, le=1024)] = 0
    racks: Annotated[int, Field(ge=1, le=NODES_MAX)] = 1
    rack: Name = ""
    """Its name, where all stand in one."""


class Failures(Part):
    """Nodes that break by chance: mean time between failures of one node, and time to repair."""

    mean_time: Length
    repair: Length


class Centre(Part):
    """A data centre. Without a PUE its energy counts as placement counts silence."""

    name: Name = ""
    name_en: Name = ""
    tier: Literal["", "center", "park", "edge"] = ""
    kind: Literal["", "general", "intelligent", "super"] = ""
    division: Name = ""
    trust: Annotated[int, Field(ge=0, le=100)] = 0
    voucher_eligible: bool = False
    datasets: list[Name] = []
    pue: Exact | None = None
    green_share: Exact = Fraction(0)
    green_hours: list[Hour] = []
    prices: Prices = Prices()
    nodes: list[Nodes] = []
    online: bool = True
    """Whether its agent is heard."""
    images: bool = False
    """Whether it runs jobs in a container image they name."""
    summary_every: Length | None = None
    """Set: only a summary of it is known, so often; a start there may be refused by it."""
    failures: Failures | None = None

    @model_validator(mode="after")
    def _possible(self) -> Centre:
        if self.pue is not None and not 1 <= self.pue <= 10:
            raise ValueError("a PUE is between 1 and 10")
        if not 0 <= self.green_share <= 1:
            raise ValueError("a green share is between 0 and 1")
        return self


class Link(Part):
    """A measured way between two centres, or a centre and a division; both directions."""

    one: Code
    other: Code
    latency_us: Annotated[int, Field(ge=0, le=10**9)]
    bandwidth_mbps: Annotated[int, Field(ge=0, le=10**9)] = 0


class Quota(Part):
    """What an organisation is sure of; within a cohort idle quota is lent."""

    cohort: Name = ""
    cores: Annotated[int, Field(ge=0, le=10**9)] = 0
    cards: Annotated[int, Field(ge=0, le=10**9)] = 0
    borrow: bool = True
    lend: bool = True


class Organisation(Part):
    """Somebody who asks for compute; ``usage`` as placement's snapshot counts past use."""

    name: Name = ""
    name_en: Name = ""
    weight: Exact = Fraction(1)
    usage: Annotated[float, Field(ge=0, le=1e18, allow_inf_nan=False)] = 0.0
    quota: Quota | None = None

    @model_validator(mode="after")
    def _positive(self) -> Organisation:
        if self.weight <= 0:
            raise ValueError("a weight is above 0")
        return self


class Capability(Part):
    precision: Literal["fp64", "fp32", "tf32", "bf16", "fp16", "fp8", "int8"] = "fp16"
    gflops_min: Annotated[int, Field(ge=0, le=10**9)] = 0
    memory_min: Mib = 0


class Where(Part):
    """Which places will do; an empty list means any. As ``placement.Where``."""

    centres: list[Code] = []
    tiers: list[Name] = []
    kinds: list[Name] = []
    divisions: list[Name] = []
    datasets: list[Name] = []
    near: Name | None = None
    latency_us_max: Annotated[int, Field(ge=0, le=10**9)] | None = None
    trust_min: Annotated[int, Field(ge=0, le=100)] = 0
    voucher_eligible: bool = False
    domestic: Literal["indifferent", "preferred", "required"] = "indifferent"


class Wish(Part):
    """What a job asks on each of its nodes, and how it may be treated."""

    organisation: Name = ""
    nodes: Annotated[int, Field(ge=1, le=NODES_MAX)] = 1
    """All or nothing."""
    cores: Annotated[int, Field(ge=0, le=CORES_MAX)] = 1
    core_milli: Annotated[int, Field(ge=0, le=CORES_MAX * 1000)] | None = None
    """Instead of ``cores``, for parts of one."""
    memory: Mib = 1024
    cards: Annotated[int, Field(ge=0, le=1024)] = 0
    card_milli: Annotated[int, Field(ge=1, le=1000)] = 1000
    """Free on each of the cards; less than 1000 is a share of one."""
    model: Code | None = None
    capability: Capability | None = None
    image: bool = False
    """It runs in a container image it names."""
    spread: Literal["any", "centre", "rack", "node"] = "centre"
    where: Where = Where()
    goal: Literal["cheapest", "fastest", "greenest", "balanced"] = "balanced"
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    checkpoint_every: Length | None = None
    """It saves its work so often; what is lost when it is stopped is redone."""


class Job(Wish):
    """One job. ``seconds``: how long it really takes, if that is known (production does not)."""

    id: Annotated[str, Field(min_length=1, max_length=120)]
    at: At = 0
    """When it is submitted."""
    walltime: Length
    seconds: Length | None = None
    """Default: ``expected``, else the walltime."""
    expected: Length | None = None
    harmonic: Length | None = None
    """The harmonic mean of what jobs like it took, 10 seconds each at least."""
    cost_max_fen: Annotated[int, Field(ge=0, le=10**15)] | None = None
    not_before: At | None = None
    deadline: At | None = None
    deferrable: bool = False
    preemptible: bool = False
    after: Annotated[list[str], Field(max_length=1000)] = []
    attempt: Annotated[int, Field(ge=1, le=100)] = 1


class RunningJob(Job):
    """A job that runs at ``starts_at``; what is left of it then is what it takes yet."""

    on: Annotated[list[str], Field(min_length=1)]
    """``centre/node`` for each of its nodes."""
    card_numbers: list[list[Annotated[int, Field(ge=0, le=1023)]]] = []
    started_at: At = 0


class Stream(Wish):
    """Jobs made up by chance from the seed: arrivals by Poisson, sizes and times by ranges."""

    name: Name = "job"
    per_day: Annotated[float, Field(gt=0, le=10**6, allow_inf_nan=False)]
    by_hour: Annotated[list[Annotated[float, Field(ge=0, le=1e6)]], Field(max_length=24)] = []
    """24 weights, hour by hour of the day; empty: evenly."""
    nodes_choice: list[Annotated[int, Field(ge=1, le=NODES_MAX)]] = []
    """One of these, each as likely; instead of ``nodes``."""
    cards_choice: list[Annotated[int, Field(ge=0, le=1024)]] = []
    seconds: tuple[Length, Length]
    """Shortest and longest real run; its logarithm is even between them."""
    over_estimate: tuple[float, float] = (1.0, 1.0)
    """The walltime is between so many times the real run."""
    deferrable_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    preemptible_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    deadline_after: tuple[float, float] | None = None
    """Deadline: submission plus so many walltimes."""

    @model_validator(mode="after")
    def _ranges(self) -> Stream:
        if self.seconds[0] > self.seconds[1]:
            raise ValueError("the shortest run comes first")
        low, high = self.over_estimate
        if not 0 < low <= high <= 1000:
            raise ValueError("over_estimate is [least, most], above 0 and at most 1000")
        if self.by_hour and (len(self.by_hour) != 24 or not sum(self.by_hour)):
            raise ValueError("by_hour has 24 weights, not all 0")
        if self.deadline_after and not 0 < self.deadline_after[0] <= self.deadline_after[1] <= 1e4:
            raise ValueError("deadline_after is [least, most], above 0")
        return self


class Workload(Part):
    jobs: Annotated[list[Job], Field(max_length=JOBS_MAX)] = []
    running: Annotated[list[RunningJob], Field(max_length=JOBS_MAX)] = []
    streams: Annotated[list[Stream], Field(max_length=10_000)] = []
    stream_days: Annotated[float, Field(gt=0, le=3660, allow_inf_nan=False)] = 1.0
    """Streams flow for so long; the simulation goes on until all jobs have ended."""


class Event(Part):
    """Something that befalls the city.

    ``fail``: a centre, or one node of it, goes down and kills what runs there; ``unheard``: nothing
    is heard of the centre, what runs there runs on; ``price``: its prices change.
    """

    at: At
    what: Literal["fail", "unheard", "price"]
    centre: Code
    node: Name = ""
    lasts: Length | None = None
    """Default: for good."""
    prices: Prices | None = None

    @model_validator(mode="after")
    def _whole(self) -> Event:
        if (self.what == "price") != (self.prices is not None):
            raise ValueError("an event of price, and no other, has prices")
        return self


class City(Part):
    """The document."""

    suanwang_city: Literal[1]
    name: Name = ""
    name_en: Name = ""
    starts_at: datetime
    """With a zone; green hours are hours of this zone."""
    cards: dict[Code, CardModel] = {}
    centres: dict[Code, Centre]
    links: list[Link] = []
    organisations: dict[Code, Organisation] = {}
    workload: Workload = Workload()
    events: list[Event] = []

    @model_validator(mode="after")
    def _known(self) -> City:
        _zoned(self.starts_at)
        nodes = sum(part.count for centre in self.centres.values() for part in centre.nodes)
        if nodes > NODES_MAX:
            raise ValueError(f"{nodes} nodes; at most {NODES_MAX}")
        return self

    def as_document(self) -> Mapping[str, Any]:
        """Plain data as JSON and YAML know it, without what is as by default."""
        plain: Mapping[str, Any] = self.model_dump(mode="json", exclude_defaults=True)
        return plain
