"""Which jobs of an input can be simulated at all; the others are noted, never silently dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from uuid import UUID

from suanwang.placement.simulator.city import SECONDS_MAX, YEARS
from suanwang.placement.simulator.problems import Problems
from suanwang.placement.simulator.scenario import Begun, Work
from suanwang.placement.terms import Ask, Machine, Room


def sound(
    works: Sequence[Work],
    machines: Sequence[Machine],
    problems: Problems,
    running: Collection[UUID] = (),
) -> list[Work]:
    """The jobs that may run some day, in order of submission.

    Notes ``job_out_of_time``, ``job_twice``, ``job_model_unknown``, ``job_impossible``,
    ``job_after_unknown`` and ``job_in_circle``; whoever comes after a job that is left out is left
    out too. ``running``: jobs others may come after, and none may be again.
    """
    models = {machine.card.model for machine in machines if machine.card}
    shapes = Counter((m.whole, m.card.model if m.card else None, m.site.code) for m in machines)
    possible: dict[object, bool] = {}
    kept: dict[UUID, Work] = {}
    for work in works:
        ask = work.ask
        kind = ask.room, ask.model, ask.nodes, ask.spread, ask.where.centres
        if not _in_time(work):
            problems.note(work.line, "job_out_of_time", job=work.label)
        elif ask.job_id in kept or ask.job_id in running:
            problems.note(work.line, "job_twice", job=work.label)
        elif ask.model is not None and ask.room.cards and ask.model not in models:
            problems.note(work.line, "job_model_unknown", job=work.label, model=ask.model)
        elif not possible.setdefault(kind, _possible(ask, shapes)):
            problems.note(work.line, "job_impossible", job=work.label, nodes=ask.nodes,
                          cores=f"{ask.room.core_milli / 1000:g}", memory_mib=ask.room.memory_mib,
                          cards=ask.room.cards)  # fmt: skip
        else:
            kept[ask.job_id] = work
    _leave_out_unreachable(kept, set(running), problems)
    return sorted(kept.values(), key=lambda work: (work.ask.submitted_at, work.ask.job_id))


def begun_soundly(begun: Iterable[Begun], starts_at: datetime, problems: Problems) -> list[Begun]:
    """Those that can have been running when the simulation begins.

    Notes ``job_out_of_time``, ``job_twice`` and ``job_runs_wrongly``.
    """
    kept: dict[UUID, Begun] = {}
    for one in begun:
        ask, work = one.work.ask, one.work
        distinct = 1 if ask.spread == "node" else ask.nodes
        if not _in_time(work) or one.started_at > starts_at:
            problems.note(work.line, "job_out_of_time", job=work.label)
        elif ask.job_id in kept:
            problems.note(work.line, "job_twice", job=work.label)
        elif len(one.machine_ids) != ask.nodes or len(set(one.machine_ids)) != distinct:
            problems.note(work.line, "job_runs_wrongly", job=work.label, nodes=ask.nodes,
                          on=len(set(one.machine_ids)))  # fmt: skip
        else:
            kept[ask.job_id] = one
    return list(kept.values())


def _in_time(work: Work) -> bool:
    """Whether its moments and lengths are such that calendars can hold what comes of them."""
    ask = work.ask
    moments = [at for at in (ask.submitted_at, ask.not_before, ask.deadline) if at is not None]
    lengths = (ask.walltime_seconds, work.seconds, ask.expected_seconds or 1)
    return all(YEARS[0] <= at.year <= YEARS[1] for at in moments) and all(
        0 < seconds <= SECONDS_MAX for seconds in lengths
    )


def _possible(ask: Ask, shapes: Counter[tuple[Room, str | None, str]]) -> bool:
    """Whether so many empty nodes of the city could hold the job, whatever else it wishes."""
    room, nodes = ask.room, 0
    for (whole, model, centre), count in shapes.items():
        if ask.where.centres and centre not in ask.where.centres:
            continue
        if room.cards and ask.model not in (None, model):
            continue
        times = ask.nodes if ask.spread == "node" else 1
        asked = (room.core_milli, room.memory_mib, room.cards)
        held = (whole.core_milli, whole.memory_mib, whole.cards)
        if all(times * one <= there for one, there in zip(asked, held, strict=True)):
            nodes += count
    return nodes >= (1 if ask.spread == "node" else ask.nodes)


def _leave_out_unreachable(kept: dict[UUID, Work], known: set[UUID], problems: Problems) -> None:
    waits_for = {job: {a for a in work.ask.after if a not in known} for job, work in kept.items()}
    comes_before: dict[UUID, list[UUID]] = {}
    for job, before in waits_for.items():
        for one in before:
            comes_before.setdefault(one, []).append(job)
    free = [job for job, before in waits_for.items() if not before]
    while free:
        for job in comes_before.get(free.pop(), ()):
            waits_for[job] -= {one for one in waits_for[job] if not waits_for.get(one, {one})}
            if not waits_for[job]:
                free.append(job)
    for job, before in waits_for.items():
        if not before:
            continue
        work = kept.pop(job)
        missing = _missing(job, waits_for)
        code = "job_after_unknown" if missing else "job_in_circle"
        problems.note(work.line, code, job=work.label, after=str(missing or min(before, key=str)))


def _missing(job: UUID, waits_for: dict[UUID, set[UUID]]) -> UUID | None:
    """A job that is not there and that this one comes after, near or far; None: a circle."""
    seen, stack = {job}, [job]
    while stack:
        for one in sorted(waits_for[stack.pop()], key=str):
            if one not in waits_for:
                return one
            if one not in seen and waits_for[one]:
                seen.add(one)
                stack.append(one)
    return None
