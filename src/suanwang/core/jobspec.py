"""What a person asks to be run: one strict description shared by API, SDK, agent and engines.

Sizes are bounded here, at the door, so that nothing behind it has to doubt them. A refusal of
pydantic's carries one of our own codes as its ``type``; ``problems`` lists them with the words'
facts. Whether any node *has* so much is for ``jobs`` to say, not for this file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from suanwang.core.image import ImageName

SCRIPT_BYTES_MAX: Final = 256 * 1024
WALLTIME_SECONDS_MAX: Final = 30 * 24 * 3600
FILE_BYTES_MAX: Final = 32 * 1024 * 1024
FILES_MAX: Final = 100
ENVIRONMENT_NAMES_MAX: Final = 256
ENVIRONMENT_VALUE_BYTES_MAX: Final = 32 * 1024
ENVIRONMENT_BYTES_MAX: Final = 128 * 1024
RESERVED_ENVIRONMENT: Final = "SUANWANG_"
"""Names with this beginning are set by the engine and cannot be asked for."""

# C0 and C1 controls, and the marks that make text read otherwise than it runs.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_CONTROL_IN_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\ud800-\udfff]")
_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")

NODES_MAX: Final = 10_000
AFTER_MAX: Final = 32
PLACES_MAX: Final = 32
WHOLE_CARD: Final = 1000
"""Thousandths of a card."""

Goal = Literal["cheapest", "fastest", "greenest", "balanced"]
Spread = Literal["any", "centre", "rack", "node"]
Priority = Literal["low", "normal", "high"]
PRIORITIES: Final[Mapping[str, int]] = {"low": -1, "normal": 0, "high": 1}


def _no_control(text: str) -> str:
    if found := _CONTROL.search(text):
        raise PydanticCustomError(
            "job_control_character",
            "a control character (U+{point}) is not allowed here",
            {"point": f"{ord(found.group()):04X}"},
        )
    return text


def _unix_lines(text: object) -> object:
    """Windows line ends are a habit of editors, not a wish."""
    return text.replace("\r\n", "\n") if isinstance(text, str) else text


def _script(text: str) -> str:
    if found := _CONTROL_IN_TEXT.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise PydanticCustomError(
            "job_script_control_character",
            "line {line} of the script holds a control character (U+{point})",
            {"line": line, "point": f"{ord(found.group()):04X}"},
        )
    if not text.strip():
        raise PydanticCustomError("job_script_empty", "the script is empty")
    if (size := len(text.encode())) > SCRIPT_BYTES_MAX:
        raise PydanticCustomError(
            "job_script_too_long",
            "the script has {size} bytes; at most {limit} are taken",
            {"size": size, "limit": SCRIPT_BYTES_MAX},
        )
    return text


def _relative_path(name: str) -> str:
    """Refuse whatever could name a file outside the job's own folder."""
    parts = name.split("/")
    broken = (
        not name
        or "\\" in name
        or any(part in ("", ".", "..") or len(part.encode()) > 255 for part in parts)
        or len(parts) > 16
    )
    if broken:
        raise PydanticCustomError(
            "job_file_name",
            'the file name "{name}" must be relative, without "..", empty parts or backslashes',
            {"name": name[:80]},
        )
    return name


def _environment(environment: dict[str, str]) -> dict[str, str]:
    if len(environment) > ENVIRONMENT_NAMES_MAX:
        raise PydanticCustomError(
            "job_environment_too_large",
            "at most {names} variables and {limit} bytes of environment are taken",
            {"names": ENVIRONMENT_NAMES_MAX, "limit": ENVIRONMENT_BYTES_MAX},
        )
    total = 0
    for name, value in environment.items():
        if not _ENVIRONMENT_NAME.fullmatch(name) or name.startswith(RESERVED_ENVIRONMENT):
            raise PydanticCustomError(
                "job_environment_name",
                '"{name}" cannot be the name of a variable; SUANWANG_… are set by the platform',
                {"name": name[:80]},
            )
        # Newlines and quotes are data here: no shell ever reads the environment.
        if _CONTROL_IN_TEXT.search(value.replace("\r", "")):
            raise PydanticCustomError(
                "job_environment_value",
                'the value of "{name}" holds a control character',
                {"name": name},
            )
        size = len(value.encode())
        total += size + len(name) + 2
        if size > ENVIRONMENT_VALUE_BYTES_MAX or total > ENVIRONMENT_BYTES_MAX:
            raise PydanticCustomError(
                "job_environment_too_large",
                "at most {names} variables and {limit} bytes of environment are taken",
                {"names": ENVIRONMENT_NAMES_MAX, "limit": ENVIRONMENT_BYTES_MAX},
            )
    return environment


JobName = Annotated[StrictStr, Field(min_length=1, max_length=100), AfterValidator(_no_control)]
FileName = Annotated[
    StrictStr,
    Field(max_length=255),
    AfterValidator(_no_control),
    AfterValidator(_relative_path),
]
"""A path below the job's folder, ``/`` between its parts."""


class FileIn(BaseModel):
    """A file to be placed in the job's folder before it starts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: FileName
    sha256: Annotated[StrictStr, Field(pattern=r"^[0-9a-f]{64}$")]
    size: Annotated[StrictInt, Field(ge=0, le=FILE_BYTES_MAX)]
    """In bytes."""


Word = Annotated[StrictStr, Field(min_length=1, max_length=80), AfterValidator(_no_control)]


def _each_once(given: list[Any]) -> list[Any]:
    return sorted(set(given))


Words = Annotated[list[Word], Field(max_length=PLACES_MAX), AfterValidator(_each_once)]


class Capability(BaseModel):
    """Any card that can do so much, whoever makes it; dense arithmetic, by accepted evidence."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    precision: Literal["fp64", "fp32", "bf16", "fp16"] = "fp16"
    gflops_min: Annotated[StrictInt, Field(ge=0, le=10**9)] = 0
    """300 TFLOPS are 300,000."""
    memory_mib_min: Annotated[StrictInt, Field(ge=0, le=10**8)] = 0


class Where(BaseModel):
    """Which places will do; what is left out means any."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tiers: Annotated[
        list[Literal["center", "park", "edge"]], Field(max_length=3), AfterValidator(_each_once)
    ] = Field(default_factory=list)
    kinds: Annotated[
        list[Literal["general", "intelligent", "super"]],
        Field(max_length=3),
        AfterValidator(_each_once),
    ] = Field(default_factory=list)
    divisions: Words = Field(default_factory=list)
    datasets: Words = Field(default_factory=list)
    """All of them must be kept at the centre."""
    near: Word | None = None
    """A place of the link table: a centre's or a division's code."""
    latency_us_max: Annotated[StrictInt, Field(ge=1, le=10**9)] | None = None
    """To ``near``, in microseconds; a pair nobody measured will not do."""
    trust_min: Annotated[StrictInt, Field(ge=0, le=1)] = 0
    """1: only centres the operator has verified."""
    voucher_eligible: StrictBool = False
    domestic: Literal["indifferent", "preferred", "required"] = "indifferent"

    @model_validator(mode="after")
    def _near_something(self) -> Where:
        if self.latency_us_max is not None and self.near is None:
            raise PydanticCustomError(
                "job_latency_to_nowhere", "a latency is asked for, but not to which place"
            )
        return self


class JobSpec(BaseModel):
    """A job as asked for. Amounts are totals over the whole job, in base units; a job of several
    nodes has the same part of them on each (``per_node``).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: JobName = "job"
    script: Annotated[StrictStr, BeforeValidator(_unix_lines), AfterValidator(_script)]
    """Its text; run by bash unless the first line begins with ``#!``."""
    cores: Annotated[StrictInt, Field(ge=1, le=1_000_000)] = 1
    memory_mib: Annotated[StrictInt, Field(ge=16, le=1_000_000_000)] = 1024
    accelerators: Annotated[StrictInt, Field(ge=0, le=100_000)] = 0
    accelerator_model: (
        Annotated[StrictStr, Field(min_length=1, max_length=80), AfterValidator(_no_control)] | None
    ) = None
    walltime_seconds: Annotated[StrictInt, Field(ge=1, le=WALLTIME_SECONDS_MAX)] = 3600
    environment: Annotated[dict[StrictStr, StrictStr], AfterValidator(_environment)] = Field(
        default_factory=dict
    )
    files_in: Annotated[list[FileIn], Field(max_length=FILES_MAX)] = Field(default_factory=list)
    files_out: Annotated[list[FileName], Field(max_length=FILES_MAX)] = Field(default_factory=list)
    """Names or shell patterns (``*``, ``?``, ``[…]``, ``**``) below the job's folder."""
    centre: (
        Annotated[StrictStr, Field(min_length=1, max_length=80), AfterValidator(_no_control)] | None
    ) = None
    """The centre asked for by its code; None lets the city choose."""
    image: ImageName | None = None
    """The container image to run in (``core.image``); None: what the centre runs jobs in."""
    goal: Goal = "balanced"
    nodes: Annotated[StrictInt, Field(ge=1, le=NODES_MAX)] = 1
    """All of them at once or none; cores, memory and cards are divided evenly among them."""
    spread: Spread = "centre"
    """How close the nodes must be to each other."""
    card_milli: Annotated[StrictInt, Field(ge=1, le=WHOLE_CARD)] = WHOLE_CARD
    """Thousandths of each card asked for."""
    capability: Capability | None = None
    """What each card must be able to do, instead of a model."""
    where: Where = Field(default_factory=Where)
    price_max_fen: Annotated[StrictInt, Field(ge=0, le=10**15)] | None = None
    """What the full walltime may cost at most; dearer places will not do."""
    priority: Priority = "normal"
    not_before: AwareDatetime | None = None
    deadline: AwareDatetime | None = None
    """When it must have ended."""
    deferrable: StrictBool = False
    """May wait for a green hour of a centre."""
    preemptible: StrictBool = False
    """May be told to give way, and queues again."""
    after: Annotated[list[UUID], Field(max_length=AFTER_MAX), AfterValidator(_each_once)] = Field(
        default_factory=list
    )
    """Jobs of the same organisation that must have ended well before."""

    @model_validator(mode="before")
    @classmethod
    def _usual_per_node(cls, given: Any) -> Any:
        """What is left open is the usual on each node."""
        nodes = given.get("nodes") if isinstance(given, dict) else None
        if not isinstance(nodes, int) or not 1 < nodes <= NODES_MAX:
            return given
        return {"cores": nodes, "memory_mib": 1024 * nodes} | given

    @model_validator(mode="after")
    def _fits_together(self) -> JobSpec:
        self._wishes_fit_together()
        if self.accelerator_model is not None and self.accelerators == 0:
            raise PydanticCustomError(
                "job_model_without_accelerators",
                "a model of accelerator is named but none is asked for",
            )
        taken: set[PurePosixPath] = set()
        for file in self.files_in:
            path = PurePosixPath(file.name)
            if path in taken or taken & set(path.parents) or any(path in p.parents for p in taken):
                raise PydanticCustomError(
                    "job_file_twice",
                    'the file "{name}" is given twice, or is also a folder',
                    {"name": file.name[:80]},
                )
            taken.add(path)
        return self

    def _wishes_fit_together(self) -> None:
        amounts = (self.cores, self.memory_mib, self.accelerators)
        if any(amount % self.nodes for amount in amounts):
            raise PydanticCustomError(
                "job_nodes_uneven",
                "cores, memory and cards must divide evenly among {nodes} nodes",
                {"nodes": self.nodes},
            )
        if self.accelerators == 0 and (self.capability or self.card_milli != WHOLE_CARD):
            raise PydanticCustomError(
                "job_card_without_accelerators",
                "something is said of the cards but none is asked for",
            )
        if self.capability is not None and self.accelerator_model is not None:
            raise PydanticCustomError(
                "job_model_and_capability", "name a model of card or what it must do, not both"
            )
        starts, ends = self.not_before, self.deadline
        if starts is not None and ends is not None and starts >= ends:
            raise PydanticCustomError(
                "job_deadline_before_start", "the deadline is before the earliest start"
            )

    @property
    def per_node(self) -> tuple[int, int, int]:
        """Cores, MiB and cards on each node."""
        return (
            self.cores // self.nodes,
            self.memory_mib // self.nodes,
            self.accelerators // self.nodes,
        )

    def quantities(self, elapsed_seconds: int) -> dict[str, int]:
        """What a run of so many whole seconds used, by meter: allocated times elapsed, over all
        nodes. A share of a card is rounded up to whole card-seconds, once for the whole run.
        """
        used = {
            "core_seconds": self.cores * elapsed_seconds,
            "card_seconds": card_seconds(self.accelerators, self.card_milli, elapsed_seconds),
            "memory_mib_seconds": self.memory_mib * elapsed_seconds,
        }
        return {meter: quantity for meter, quantity in used.items() if quantity}

    def as_stored(self) -> dict[str, Any]:
        """As JSON, without the wishes that were not made: most jobs make none."""
        whole = self.model_dump(mode="json")
        for name in WISHES:
            if getattr(self, name) == type(self).model_fields[name].get_default(
                call_default_factory=True
            ):
                del whole[name]
        return whole


WISHES: Final = (
    "nodes", "spread", "card_milli", "capability", "where", "price_max_fen", "priority",
    "not_before", "deadline", "deferrable", "preemptible", "after", "image",
)  # fmt: skip


def card_seconds(cards: int, card_milli: int, elapsed_seconds: int) -> int:
    """What so much of so many cards is over a time, rounded up to whole card-seconds."""
    return -(-cards * card_milli * elapsed_seconds // WHOLE_CARD)


@dataclass(frozen=True)
class Problem:
    """One wrong field: where, the stable code (words in ``refusals.yaml``) and its facts."""

    field: str
    code: str
    facts: Mapping[str, object]


_BY_TYPE: Final[Mapping[str, str]] = {
    "missing": "job_field_missing",
    "extra_forbidden": "job_field_unknown",
    "greater_than_equal": "job_field_too_small",
    "less_than_equal": "job_field_too_large",
    "string_too_short": "job_field_empty",
    "string_too_long": "job_field_too_long",
    "too_long": "job_list_too_long",
}


def problems(error: ValidationError) -> list[Problem]:
    """Every wrong field of a refused specification, with a code of ours for each."""
    found = []
    for entry in error.errors(include_url=False, include_input=False):
        kind = entry["type"]
        code = kind if kind.startswith("job_") else _BY_TYPE.get(kind, "job_field_wrong")
        field = ".".join(str(part) for part in entry["loc"]) or "job"
        limits = {
            "limit" if name in ("ge", "le", "max_length") else name: value
            for name, value in entry.get("ctx", {}).items()
        }
        found.append(Problem(field, code, {"field": field} | limits))
    return found
