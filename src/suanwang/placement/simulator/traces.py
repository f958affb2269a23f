"""Batch and pod traces in the general form, so that any policy can be run over them.

The published protocols over the same files are ``suanwang simulate openb`` and ``… hpc``; here the
jobs come and go as the trace says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from fractions import Fraction
from uuid import uuid5

from suanwang.core.errors import Refused
from suanwang.core.money import FEN_MAX
from suanwang.placement.simulator.checks import sound
from suanwang.placement.simulator.problems import Problems
from suanwang.placement.simulator.scenario import NAMESPACE, Scenario, Work, job_id, watts_of
from suanwang.placement.simulator.swf import LARGEST, SwfJob, read_swf
from suanwang.placement.simulator.tables import EPOCH, rows, whole_of
from suanwang.placement.terms import WHOLE_CARD, Ask, Card, Machine, Rates, Room, Site

_FREE = Rates(Fraction(0), Fraction(0), Fraction(0))
CARDS_MAX = 1024
SPAN_MAX = 1 << 32
"""Seconds between the first submission and the last, and of a run: 136 years."""


def read_swf_scenario(
    lines: Iterable[str], problems: Problems, *, processors: int | None = None
) -> Scenario:
    """A machine of so many processors (those of the header), and its jobs; users as organisations.

    Refuses ``trace_empty``. Notes ``trace_job_wrong``.
    """
    trace = read_swf(lines, processors=processors)
    for bad in trace.skipped:
        problems.note(bad.line, "trace_job_wrong", reason=bad.reason, text=bad.text)
    whole = Room(min(trace.processors, LARGEST) * 1000, 0)
    site = Site("pool", tier="center", kind="super")
    machine = Machine(0, "pool", uuid5(NAMESPACE, "swf"), site, whole, None, _FREE)
    first = trace.jobs[0].submitted
    works = [
        Work(
            Ask(
                job_id=job_id(f"swf-{position}"),
                room=Room(job.processors * 1000, 0),
                walltime_seconds=job.asked,
                submitted_at=EPOCH + timedelta(seconds=job.submitted - first),
                goal="fastest",
                cost_max_fen=FEN_MAX,
                organisation=f"user-{job.user}",
            ),
            job.ran,
            f"swf-{job.number}",
        )
        for position, job in enumerate(trace.jobs)
        if _in_time(job, first, problems)
    ]
    return Scenario(
        name=trace.header.get("Computer", "swf"),
        starts_at=EPOCH,
        machines=[machine],
        works=sound(works, [machine], problems),
        watts={0: watts_of(whole, 0, 0)},
    )


def _in_time(job: SwfJob, first: int, problems: Problems) -> bool:
    """Whether its moments lie in the time we can count."""
    good = job.submitted - first <= SPAN_MAX and job.asked <= SPAN_MAX and job.ran <= SPAN_MAX
    if not good:
        problems.note(0, "trace_job_wrong", reason="time", text=f"job {job.number}")
    return good


def read_openb_scenario(
    lines: Iterable[str], node_lines: Iterable[str], problems: Problems
) -> Scenario:
    """Alibaba's openb pods on its nodes; a pod lives from its creation to its deletion.

    Notes ``trace_value_wrong``, ``trace_models_several`` (a pod that takes one of several models
    cannot be said in placement's words) and what ``checks.sound`` finds. Refuses ``trace_empty``.
    """
    machines = list(_nodes(node_lines, problems))
    needed = ("name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli", "creation_time",
              "deletion_time")  # fmt: skip
    works = []
    for line, row in rows(lines, needed, problems):
        if (work := _pod(line, row, problems)) is not None:
            works.append(work)
    if not works or not machines:
        raise Refused("trace_empty", skipped=len(problems.found))
    return Scenario(
        name="openb",
        starts_at=min(work.ask.submitted_at for work in works),
        machines=machines,
        works=sound(works, machines, problems),
        watts={machine.id: watts_of(machine.whole, 0, 0) for machine in machines},
    )


def _nodes(lines: Iterable[str], problems: Problems) -> Iterable[Machine]:
    site, cards = Site("openb", tier="center", kind="intelligent"), dict[str, Card]()
    for line, row in rows(lines, ("sn", "cpu_milli", "memory_mib", "gpu", "model"), problems):
        found = _wholes(line, row, ("cpu_milli", "memory_mib", "gpu"), problems)
        if found is None:
            continue
        if found[2] > CARDS_MAX:
            problems.note(line, "trace_value_wrong", column="gpu", value=row["gpu"])
            continue
        model = row["model"]
        card = cards.setdefault(model, Card(model)) if found[2] else None
        cluster = uuid5(NAMESPACE, "openb")
        yield Machine(line, row["sn"], cluster, site, Room(*found), card, _FREE)


def _pod(line: int, row: Mapping[str, str], problems: Problems) -> Work | None:
    names = ("cpu_milli", "memory_mib", "num_gpu", "gpu_milli", "creation_time", "deletion_time")
    found = _wholes(line, row, names, problems)
    if found is None:
        return None
    cores, memory, cards, milli, created, deleted = found
    if deleted <= created or cards > CARDS_MAX or (cards and not 0 < milli <= WHOLE_CARD):
        column = "deletion_time" if deleted <= created else "gpu_milli"
        problems.note(line, "trace_value_wrong", column=column, value=row[column])
        return None
    models = [model for model in row.get("gpu_spec", "").split("|") if model]
    if len(models) > 1:
        problems.note(line, "trace_models_several", models=row["gpu_spec"])
        return None
    ask = Ask(
        job_id=job_id(f"openb-{row['name']}"),
        room=Room(cores, memory, cards, milli if cards else WHOLE_CARD),
        walltime_seconds=deleted - created,
        submitted_at=EPOCH + timedelta(seconds=created),
        goal="fastest",
        cost_max_fen=FEN_MAX,
        model=models[0] if models else None,
        organisation=row.get("qos", ""),
    )
    return Work(ask, deleted - created, row["name"], None, line)


def _wholes(
    line: int, row: Mapping[str, str], names: Iterable[str], problems: Problems
) -> list[int] | None:
    found = []
    for name in names:
        value = whole_of(row[name])
        if value is None or not 0 <= value <= 1 << 32:
            problems.note(line, "trace_value_wrong", column=name, value=row[name])
            return None
        found.append(value)
    return found
