"""What a job used, by Slurm's accounting or, until that has it, by the controller's own times."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from suanwang.engines.port import Usage
from suanwang.engines.slurm.rows import JobRow
from suanwang.engines.slurm.spool import SpoolRow


def usage_by_accounting(row: SpoolRow, job: JobRow) -> Usage | None:
    """None if accounting does not say when it started and ended."""
    if job.started_at is None or job.ended_at is None:
        return None
    return Usage(
        row.key,
        _billable(row, job.elapsed_seconds or 0),
        datetime.fromtimestamp(job.started_at, UTC),
        datetime.fromtimestamp(max(job.ended_at, job.started_at), UTC),
        job.cpu_milliseconds,
        job.memory_peak_mib,
        _allocated(job.allocated),
    )


def usage_by_controller(row: SpoolRow) -> Usage | None:
    """None for a job without a start and an end, or whose end nobody saw."""
    seen = row.final
    if seen is None or seen.started_at is None or seen.ended_at is None:
        return None
    if row.elapsed_seconds is None:
        return None
    ended = max(seen.ended_at, seen.started_at)
    return Usage(row.key, _billable(row, row.elapsed_seconds), seen.started_at, ended)


def _billable(row: SpoolRow, elapsed_seconds: int) -> int:
    """Slurm cuts seconds off, the port rounds up: what has run at all has run for one."""
    return min(max(elapsed_seconds, 1), row.spec.walltime_seconds)


def _allocated(tres: Mapping[str, int]) -> dict[str, int]:
    ours = {"cpu": "cores", "mem": "memory_mib", "gres/gpu": "accelerators", "node": "nodes"}
    return {ours[name]: count for name, count in tres.items() if name in ours}
