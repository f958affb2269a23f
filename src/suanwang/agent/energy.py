"""The centre's meter readings: a CSV file that its own systems append to, told of in
``energy.yaml``; each finished period is handed to the platform once.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field, StrictStr, field_validator

from suanwang.agent.yaml_file import FileWrong, read, read_raw

COLUMNS = ("start", "end", "it_wh", "facility_wh", "green_wh")
_FILE_BYTES_MAX = 16 << 20
_AT_ONCE = 100
_WATT_HOURS_MAX = 2**62


class EnergyFile(BaseModel):
    """What ``energy.yaml`` says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    readings: Annotated[StrictStr, Field(min_length=1, max_length=4096)]
    """The CSV file, relative to the agent's home or absolute."""
    timezone: StrictStr = "UTC"
    """Of moments in it that do not name one."""

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in available_timezones():
            raise ValueError(f"no time zone is called {name[:40]!r}")
        return name


class Reading(NamedTuple):
    """Metered energy of one finished period, in watt-hours. PUE is facility over IT."""

    start: datetime
    end: datetime
    it_wh: int
    facility_wh: int
    green_wh: int

    def as_json(self) -> dict[str, Any]:
        return self._asdict() | {"start": self.start.isoformat(), "end": self.end.isoformat()}


def owed(settings: Path, home: Path, after: datetime | None, now: datetime) -> list[Reading]:
    """The next readings of finished periods that begin at or after ``after``, oldest first.

    None without a settings file. Raises ``FileWrong``, naming the line.
    """
    try:
        said = read(read_raw(settings), EnergyFile)
    except FileNotFoundError:
        return []
    path = home / said.readings
    found = [
        one
        for one in _readings(path, ZoneInfo(said.timezone))
        if one.end <= now and (after is None or one.start >= after)
    ]
    return sorted(found)[:_AT_ONCE]


def _readings(path: Path, zone: ZoneInfo) -> Iterator[Reading]:
    try:
        if path.stat().st_size > _FILE_BYTES_MAX:
            raise FileWrong(f"{path} has more than {_FILE_BYTES_MAX} bytes; begin a new one")
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if rows.fieldnames is None or set(COLUMNS) - set(rows.fieldnames):
                raise FileWrong(f"{path}: the first line must name {', '.join(COLUMNS)}")
            for row in rows:
                try:
                    yield _reading(row, zone)
                except (TypeError, ValueError) as error:
                    raise FileWrong(f"{path} line {rows.line_num}: {error!s:.100}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileWrong(f"{path}: {error!s:.200}") from None


def _reading(row: dict[str, str], zone: ZoneInfo) -> Reading:
    start, end = (_moment(row[name], zone) for name in ("start", "end"))
    amounts = [int(row[name]) for name in ("it_wh", "facility_wh", "green_wh")]
    if not start < end or min(amounts) < 0 or max(amounts) > _WATT_HOURS_MAX:
        raise ValueError("it ends before it begins, or no meter shows such a number")
    return Reading(start, end, *amounts)


def _moment(text: str, zone: ZoneInfo) -> datetime:
    moment = datetime.fromisoformat(text.strip())
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
