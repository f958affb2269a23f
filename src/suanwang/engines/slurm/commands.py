"""Slurm through its own commands: sbatch, squeue, scancel, sacct, sinfo, scontrol.

What is asked for is columns of fixed width or parts between bars, as every version of Slurm in use
prints them; times come as Unix seconds.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from suanwang.engines.port import EngineUnavailable
from suanwang.engines.slurm.account import Account, clean_environment
from suanwang.engines.slurm.rejections import GONE, refusal
from suanwang.engines.slurm.rows import (
    HOLDING,
    Holds,
    JobRow,
    NodeRow,
    PartitionLimits,
    from_wait_status,
    hosts,
    ours,
    quantities,
    told,
)
from suanwang.engines.slurm.settings import SlurmSettings
from suanwang.engines.slurm.transport import Batch, NotTaken

_LIVE: Final = (
    ("JobID", 20), ("State", 20), ("exit_code", 14), ("StartTime", 20), ("EndTime", 20),
    ("SubmitTime", 20), ("TimeUsed", 20), ("NodeList", 120), ("Reason", 60), ("Name", 80),
    ("NumCPUs", 12), ("MinMemory", 16), ("tres-per-node", 80),
)  # fmt: skip
_PAST: Final = (
    "JobIDRaw", "State", "ExitCode", "Submit", "Start", "End", "ElapsedRaw", "AllocTRES",
    "TotalCPU", "MaxRSS", "NodeList", "JobName",
)  # fmt: skip
_NODES: Final = (
    ("NodeList", 80), ("CPUsState", 40), ("Memory", 16), ("AllocMem", 16), ("StateLong", 24),
    ("Gres", 400), ("GresUsed", 400),
)  # fmt: skip
_OPEN: Final = ("idle", "mixed", "allocated", "completing", "planned", "reserved")
_QUERY: Final = {"TZ": "UTC", "SLURM_TIME_FORMAT": "%s"}
_NODES_WIDE: Final = dict(_LIVE)["NodeList"]
_MANY = 1000


class Commands:
    """The transport over the commands of this host."""

    def __init__(self, settings: SlurmSettings, account: Account) -> None:
        self._settings = settings
        self._account = account
        self._environment = clean_environment(settings)
        self._partition = settings.partition

    def version(self) -> str:
        found = re.search(r"\d+\.\d+\S*", self._ask("sinfo", "--version"))
        return f"{found[0] if found else 'unknown'} (commands)"

    def isolation(self) -> str:
        config = self._ask("scontrol", "show", "config")
        found = re.search(r"^ProctrackType\s*=\s*proctrack/(\w+)", config, re.MULTILINE)
        return f"slurm+{found[1] if found else 'unknown'}"

    def submit(self, batch: Batch) -> int:
        words = [
            "sbatch", "--parsable", f"--job-name={self._settings.prefix}{batch.name}",
            f"--comment=suanwang {batch.name}", f"--chdir={batch.folder}",
            f"--output={batch.log}", "--open-mode=append", f"--nodes={batch.nodes}",
            f"--ntasks={batch.nodes}", "--ntasks-per-node=1",
            f"--cpus-per-task={batch.cores_per_node}", f"--mem={batch.memory_mib_per_node}M",
            f"--time={batch.minutes}", "--requeue" if batch.requeue else "--no-requeue",
        ]  # fmt: skip
        for name in ("gres", "partition", "account", "qos"):
            if (value := getattr(batch, name)) is not None:
                words.append(f"--{name}={value}")
        # What sbatch is started with is what the batch script gets.
        environment = self._environment | dict(batch.environment)
        done = self._account.run(
            words, environment, seconds=self._settings.timeout_seconds, text_in=batch.script
        )
        said = done.stdout.decode(errors="replace").strip()
        if done.returncode != 0:
            raise refusal(done.stderr.decode(errors="replace") or said)
        job_id = said.partition(";")[0]
        if not job_id.isdecimal():
            raise EngineUnavailable(f"sbatch said no job id: {said[:200]!r}")
        return int(job_id)

    def live(self) -> list[JobRow]:
        said = self._ask(
            "squeue", "--states=all", "--noheader", f"--user={self._account.name}",
            "-O", _columns(_LIVE), **_QUERY,
        )  # fmt: skip
        rows = [row for line in said.splitlines() if (row := _live_row(line)) is not None]
        return self._with_nodes(ours(rows, self._settings.prefix))

    def _with_nodes(self, rows: list[JobRow]) -> list[JobRow]:
        """With the nodes of those whose list was longer than its column."""
        cut = [str(row.job_id) for row in rows if row.holds is not None and not row.holds.nodes]
        listed: dict[str, str] = {}
        for begin in range(0, len(cut), _MANY):
            some = ",".join(cut[begin : begin + _MANY])
            said = self._ask("squeue", "--noheader", f"--jobs={some}", "--format=%i|%N")
            listed |= dict(line.strip().split("|", 1) for line in said.splitlines() if "|" in line)
        return [
            row
            if row.holds is None or row.holds.nodes
            else _holding(row, listed.get(str(row.job_id), ""), row.holds)
            for row in rows
        ]

    def accounting(
        self, *, ids: Sequence[int] = (), names: Sequence[str] = (), since: int
    ) -> list[JobRow]:
        start = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        found: list[JobRow] = []
        for option, wanted in (
            ("jobs", [str(one) for one in ids]),
            ("name", [self._settings.prefix + name for name in names]),
        ):
            for begin in range(0, len(wanted), _MANY):
                some = ",".join(wanted[begin : begin + _MANY])
                said = self._ask(
                    "sacct", "--noheader", "--parsable2", f"--user={self._account.name}",
                    f"--starttime={start}", f"--{option}={some}", f"--format={','.join(_PAST)}",
                    **_QUERY,
                )  # fmt: skip
                found += _past_rows(said)
        return ours(found, self._settings.prefix)

    def signal(self, ids: Sequence[int]) -> None:
        self._cancel(ids, "--signal=TERM", "--batch")

    def cancel(self, ids: Sequence[int]) -> None:
        self._cancel(ids)

    def _cancel(self, ids: Sequence[int], *how: str) -> None:
        for begin in range(0, len(ids), _MANY):
            some = [str(one) for one in ids[begin : begin + _MANY]]
            done = self._run("scancel", "--quiet", *how, *some)
            # Of jobs that were over first it says nothing but a status; what did not end after
            # all is cancelled again when it is overdue.
            told = done.stderr.decode(errors="replace").splitlines()
            if done.returncode != 0 and any(
                not any(gone in line for gone in GONE) for line in told if line.strip()
            ):
                raise _not_answered("scancel", done)

    def nodes(self) -> list[NodeRow]:
        said = self._ask("sinfo", "--noheader", "-N", *self._where(), "-O", _columns(_NODES))
        rows = {}
        for line in said.splitlines():
            name, cpus, memory, used, state, gres, gres_used = _cut(line, _NODES)
            allocated, _, _, total = cpus.split("/")
            state = state.lower().rstrip("-")  # a bar: planned for a job that waits
            rows[name] = NodeRow(
                name, int(total), int(allocated), int(memory), int(used), gres, gres_used,
                state in _OPEN, state == "reserved",
            )  # fmt: skip
        return [*rows.values()]

    def limits(self) -> PartitionLimits:
        said = self._ask("sinfo", "--noheader", "--format=%P|%l|%s", *self._where())
        for line in said.splitlines():
            _, time, size = line.split("|")
            most = size.rpartition("-")[2]
            return PartitionLimits(seconds(time), int(most) if most.isdecimal() else None)
        raise NotTaken(True, "engine_no_partition", f"no partition {self._partition} here")

    def close(self) -> None:
        """Nothing is kept open."""

    def _where(self) -> tuple[str, ...]:
        """The partition jobs go to: the one that is set, or else the cluster's default."""
        if self._partition is None:
            names = self._ask("sinfo", "--noheader", "--format=%P").split()
            default = [name[:-1] for name in names if name.endswith("*")]
            if not default:
                return ()
            self._partition = default[0]
        return (f"--partition={self._partition}",)

    def _ask(self, *words: str, **environment: str) -> str:
        done = self._run(*words, **environment)
        if done.returncode != 0:
            raise _not_answered(words[0], done)
        return done.stdout.decode(errors="replace")

    def _run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
        return self._account.run(
            words, self._environment | environment, seconds=self._settings.timeout_seconds
        )


def _not_answered(program: str, done: subprocess.CompletedProcess[bytes]) -> EngineUnavailable:
    said = " ".join(done.stderr.decode(errors="replace").split())
    return EngineUnavailable(f"{program}: {said[:300] or done.returncode}")


def _columns(columns: Sequence[tuple[str, int]]) -> str:
    return ",".join(f"{name}:{width}" for name, width in columns)


def _cut(line: str, columns: Sequence[tuple[str, int]]) -> Iterator[str]:
    begin = 0
    for _, width in columns:
        yield line[begin : begin + width].strip()
        begin += width


def _live_row(line: str) -> JobRow | None:
    (job_id, state, code, start, end, submit, used, nodes, reason, name, cpus, memory, gres) = _cut(
        line, _LIVE
    )
    if not job_id.isdecimal():
        return None  # a task of an array, or words of a plug-in: none of ours
    exit_code, signal = _code(code)
    row = JobRow(
        int(job_id), name, state.upper(), "" if reason == "None" else reason, exit_code, signal,
        _number(submit), _number(start), _number(end), seconds(used), bool(nodes),
    )  # fmt: skip
    if not nodes or row.native not in HOLDING:
        return row
    holds = Holds((), _number(cpus) or 0, _mib(memory), gres)
    return _holding(row, nodes, holds) if len(nodes) < _NODES_WIDE else replace(row, holds=holds)


def _holding(row: JobRow, nodes: str, holds: Holds) -> JobRow:
    """A job with its nodes, and the cores of all of them as cores of each."""
    try:
        names = hosts(nodes)
    except ValueError as error:
        raise EngineUnavailable(f"squeue: {error}") from None
    each = replace(holds, nodes=names, cores=-(-holds.cores // max(len(names), 1)))
    return replace(row, holds=each)


def _past_rows(said: str) -> Iterator[JobRow]:
    """One row for each job; what its steps measured is added up into it."""
    jobs: dict[str, list[list[str]]] = {}
    for line in said.splitlines():
        parts = line.split("|", len(_PAST) - 1)
        if len(parts) == len(_PAST):
            jobs.setdefault(parts[0].partition(".")[0], []).append(parts)
    for job_id, (first, *steps) in jobs.items():
        if not job_id.isdecimal() or first[0] != job_id:
            continue
        _, state, code, submit, start, end, elapsed, tres, cpu, _, nodes, name = first
        exit_code, signal = _code(code)
        peak = max((_mib(step[9]) for step in steps), default=0)
        yield JobRow(
            int(job_id), name, state.partition(" ")[0].rstrip("+").upper(), "", exit_code, signal,
            _number(submit), _number(start), _number(end), _number(elapsed),
            nodes not in ("", "None assigned"), "accounting", _milliseconds(cpu), peak or None,
            quantities(tres),
        )  # fmt: skip


def _code(text: str) -> tuple[int | None, int | None]:
    """An exit code: ``7:0`` in accounting and in newer versions, a wait status elsewhere."""
    code, colon, signal = text.partition(":")
    if not code.isdecimal() or (colon and not signal.isdecimal()):
        return None, None
    return told(int(code), int(signal)) if colon else from_wait_status(int(code))


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


def seconds(text: str) -> int | None:
    """``1-02:03:04``, ``02:03:04`` or ``3:04``; None for what is no time, such as infinite."""
    found = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", text)
    if found is None:
        return None
    days, hours, minutes, rest = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def _milliseconds(text: str) -> int | None:
    whole, _, part = text.partition(".")
    found = seconds(whole)
    return None if found is None else found * 1000 + int((part or "0")[:3].ljust(3, "0"))


def _mib(text: str) -> int:
    """A size such as ``3324K``; bytes where no unit is given."""
    found = re.fullmatch(r"([\d.]+)([KMGT]?)", text)
    if found is None:
        return 0
    scale = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}[found[2]]
    return -(-int(float(found[1]) * scale) // (1 << 20))
