"""slurmrestd's JSON, distrusted: what is not as it should be is an engine that did not answer.

The list of all jobs of a cluster can be hundreds of megabytes, and slurmrestd cannot be asked for
less. So it is read piece by piece and only what is kept is ever in memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from suanwang.engines.port import EngineUnavailable
from suanwang.engines.slurm.rows import (
    HOLDING,
    Holds,
    JobRow,
    NodeRow,
    PartitionLimits,
    from_wait_status,
    hosts,
    told,
)

_ENTRY_CHARACTERS_MAX = 8 << 20
_LIST_CHARACTERS_MAX = 2 << 30
_OPEN = ("idle", "mixed", "allocated")
_CLOSED_FLAGS = frozenset(
    {"DRAIN", "FAIL", "NOT_RESPONDING", "INVALID_REG", "MAINTENANCE", "REBOOT"}
)
_DECODER = json.JSONDecoder()


def document(text: str) -> dict[str, Any]:
    """A whole answer."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise EngineUnavailable(f"slurmrestd answered no JSON object: {text[:100]!r}")
    return found


def errors(found: Mapping[str, Any]) -> str:
    """What the body says against what was asked; empty if nothing. The status alone lies."""
    said = found.get("errors")
    if not said:
        return ""
    if not isinstance(said, list):
        return str(said)[:300]
    words = []
    for one in said:
        facts = one if isinstance(one, dict) else {"error": one}
        words += [str(facts[name]) for name in ("error", "description") if facts.get(name)]
        words += [str(facts[name]) for name in ("error_code", "error_number") if name in facts]
    return " ".join(words)[:300] or "an error without words"


def entries(chunks: Iterable[str], name: str) -> Iterator[dict[str, Any]]:
    """The objects of one list of an answer, one after the other, then its errors raised."""
    source = iter(chunks)
    start = re.compile(rf'"{name}"\s*:\s*\[')
    text, read = "", 0
    while (found := start.search(text)) is None:
        piece = next(source, None)
        if piece is None:
            break
        text += piece
        _bounded(len(text), _ENTRY_CHARACTERS_MAX)
    if found is None:
        answer = document(text)
        raise EngineUnavailable(errors(answer) or f"slurmrestd answered without {name}")
    head, text = text[: found.end()], text[found.end() :]
    while not (text := text.lstrip(" \t\r\n,")).startswith("]"):
        try:
            entry, end = _DECODER.raw_decode(text)
        except (ValueError, RecursionError):
            _bounded(len(text), _ENTRY_CHARACTERS_MAX)
            piece = next(source, None)
            if piece is None:
                raise EngineUnavailable("slurmrestd broke off its answer") from None
            read += len(piece)
            _bounded(read, _LIST_CHARACTERS_MAX)
            text += piece
            continue
        if not isinstance(entry, dict):
            raise EngineUnavailable(f"slurmrestd answered {name} that are none")
        yield entry
        text = text[end:]
    for piece in source:
        text += piece
        _bounded(len(text), _ENTRY_CHARACTERS_MAX)
    if said := errors(document(head + text)):
        raise EngineUnavailable(said)


def _bounded(size: int, most: int) -> None:
    if size > most:
        raise EngineUnavailable("slurmrestd answers without end")


def number(value: object) -> int | None:
    """A whole number; Slurm's zero for a time that is not known is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def text(value: object) -> str:
    return value if isinstance(value, str) else ""


def live_row(entry: Mapping[str, Any]) -> JobRow | None:
    job_id, native = number(entry.get("job_id")), text(entry.get("job_state"))
    if job_id is None or not native:
        return None
    status = number(entry.get("exit_code"))
    code, signal = from_wait_status(status) if status is not None else (None, None)
    start, end = number(entry.get("start_time")) or None, number(entry.get("end_time")) or None
    elapsed = None
    if start is not None and end is not None:
        since = number(entry.get("suspend_time")) or start
        elapsed = max(end - since + (number(entry.get("pre_sus_time")) or 0), 0)
    reason = text(entry.get("state_reason"))
    return JobRow(
        job_id, text(entry.get("name")), native.upper(), "" if reason == "None" else reason,
        code, signal, number(entry.get("submit_time")), start, end, elapsed,
        bool(entry.get("nodes")), holds=_holds(entry),
    )  # fmt: skip


def _holds(entry: Mapping[str, Any]) -> Holds | None:
    """What a job holds; Slurm tells cores of all its nodes together, the rest by node."""
    if text(entry.get("job_state")).upper() not in HOLDING or not text(entry.get("nodes")):
        return None
    try:
        nodes = hosts(text(entry.get("nodes")))
    except ValueError:
        raise EngineUnavailable("slurmrestd answered nodes that are none") from None
    return Holds(
        nodes,
        -(-(number(entry.get("cpus")) or 0) // max(len(nodes), 1)),
        number(entry.get("memory_per_node")) or 0,
        text(entry.get("tres_per_node")),
    )


def past_row(entry: Mapping[str, Any]) -> JobRow | None:
    state, time = entry.get("state"), entry.get("time")
    job_id = number(entry.get("job_id"))
    if job_id is None or not isinstance(state, dict) or not isinstance(time, dict):
        return None
    native = text(state.get("current")).upper()
    code, signal = _past_code(entry.get("exit_code"), native)
    steps = [one for one in entry.get("steps") or () if isinstance(one, dict)]
    return JobRow(
        job_id, text(entry.get("name")), native, "", code, signal,
        number(time.get("submission")), number(time.get("start")) or None,
        number(time.get("end")) or None, number(time.get("elapsed")),
        text(entry.get("nodes")) not in ("", "None assigned"), "accounting",
        sum(_spent(one) for one in steps) if steps else None,
        max((_peak(one) for one in steps), default=0) or None,
        _allocated(entry),
    )  # fmt: skip


def _past_code(told_code: object, native: str) -> tuple[int | None, int | None]:
    """22.05 says SUCCESS and 0 here of jobs that failed: then it is not known."""
    facts = told_code if isinstance(told_code, dict) else {}
    signalled = facts.get("signal")
    signal = number(signalled.get("signal_id")) if isinstance(signalled, dict) else None
    code = number(facts.get("return_code"))
    if not signal and not code and native != "COMPLETED":
        return None, None
    return told(code or 0, signal or 0)


def _tres(value: object) -> Iterator[tuple[str, int]]:
    for one in value if isinstance(value, list) else ():
        if isinstance(one, dict) and (count := number(one.get("count"))) is not None:
            name = "/".join(part for part in (one.get("type"), one.get("name")) if part)
            yield name, count


def _allocated(entry: Mapping[str, Any]) -> dict[str, int]:
    tres = entry.get("tres")
    return dict(_tres(tres.get("allocated"))) if isinstance(tres, dict) else {}


def _spent(step: Mapping[str, Any]) -> int:
    time = step.get("time")
    total = time.get("total") if isinstance(time, dict) else None
    facts = total if isinstance(total, dict) else {}
    return (number(facts.get("seconds")) or 0) * 1000 + (
        number(facts.get("microseconds")) or 0
    ) // 1000


def _peak(step: Mapping[str, Any]) -> int:
    tres = step.get("tres")
    requested = tres.get("requested") if isinstance(tres, dict) else None
    most = requested.get("max") if isinstance(requested, dict) else None
    return -(-dict(_tres(most)).get("mem", 0) // (1 << 20))


def node_row(entry: Mapping[str, Any]) -> NodeRow:
    flags = {text(one).upper() for one in entry.get("state_flags") or ()}
    name, cores, memory = (entry.get(field) for field in ("name", "cpus", "real_memory"))
    if not text(name) or number(cores) is None or number(memory) is None:
        raise EngineUnavailable("slurmrestd answered nodes that are none")
    return NodeRow(
        text(name),
        number(cores) or 0,
        number(entry.get("alloc_cpus")) or 0,
        number(memory) or 0,
        number(entry.get("alloc_memory")) or 0,
        text(entry.get("gres")),
        text(entry.get("gres_used")),
        text(entry.get("state")).lower() in _OPEN and not flags & _CLOSED_FLAGS,
        "RESERVED" in flags,
    )


def limits(entry: Mapping[str, Any]) -> PartitionLimits:
    """Of a partition; what has no limit is told as null or as -1."""
    most, minutes = number(entry.get("maximum_nodes_per_job")), number(entry.get("max_time_limit"))
    return PartitionLimits(
        minutes * 60 if minutes is not None and minutes > 0 else None,
        most if most is not None and most >= 0 else None,
    )
