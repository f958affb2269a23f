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
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

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

Goal = Literal["cheapest", "fastest", "greenest", "balanced"]


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


class JobSpec(BaseModel):
    """A job as asked for. Amounts are totals over the whole job, in base units."""

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
    goal: Goal = "balanced"

    @model_validator(mode="after")
    def _fits_together(self) -> JobSpec:
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

    def quantities(self, elapsed_seconds: int) -> dict[str, int]:
        """What a run of so many whole seconds used, by meter: allocated times elapsed."""
        allocated = {
            "core_seconds": self.cores,
            "card_seconds": self.accelerators,
            "memory_mib_seconds": self.memory_mib,
        }
        return {meter: each * elapsed_seconds for meter, each in allocated.items() if each}


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
