"""A recorded stretch of production: what the core was asked and what it answered.

JSON lines. The first names the form; what seldom changes between steps (machines, rules, a job that
waits or runs) is written once and named by its hash from then on. ``Recorder.lines`` makes them,
for whoever keeps them; ``read`` and ``replay`` ask the core again. No file is opened here.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from suanwang.core.errors import Refused
from suanwang.placement import terms
from suanwang.placement.terms import Ask, Decisions, Machine, Policy, Running, Snapshot

FORM = 1
LINE_CHARACTERS_MAX = 256 << 20
_HEADER = {"suanwang_recording": FORM}
_KINDS: Mapping[str, Any] = {
    "machines": tuple[Machine, ...], "policy": Policy, "ask": Ask, "running": Running,
}  # fmt: skip


class Step(NamedTuple):
    """One question to the core, and its answer."""

    line: int
    snapshot: Snapshot
    queue: Sequence[Ask]
    now: datetime
    policy: Policy
    decisions: Decisions


@dataclass(frozen=True, slots=True)
class Difference:
    """A step at which the core now answers otherwise."""

    line: int
    now: datetime
    job_id: UUID
    recorded: str
    decided: str


class Recorder:
    """Turns steps into lines. Hand it what ``decide`` was given, and what it gave."""

    def __init__(self) -> None:
        self._written: set[str] = set()
        self._last: dict[object, tuple[Any, str]] = {}
        self._begun = False

    def lines(
        self,
        snapshot: Snapshot,
        queue: Sequence[Ask],
        now: datetime,
        policy: Policy,
        decisions: Decisions,
    ) -> Iterator[str]:
        """The lines of one step, without line ends; the first time with a header."""
        if not self._begun:
            self._begun = True
            yield json.dumps(_HEADER)
        named: dict[str, list[str]] = {"ask": [], "running": [], "machines": [], "policy": []}
        last: dict[object, tuple[Any, str]] = {}
        parts: list[tuple[str, object, Any]] = [
            *(("ask", ask.job_id, ask) for ask in queue),
            *(("running", (one.job_id, 0), one) for one in snapshot.running),
            ("machines", "machines", tuple(snapshot.machines)),
            ("policy", "policy", policy),
        ]
        for kind, key, value in parts:
            before = self._last.get(key)
            if before is not None and before[0] == value:
                last[key] = before
            else:
                told = plain(value)
                last[key] = value, (name := _hash(told))
                if name not in self._written:
                    self._written.add(name)
                    yield _json({kind: name, "is": told})
            named[kind].append(last[key][1])
        self._last = last
        rest = plain(dataclasses.replace(snapshot, machines=(), running=()))
        yield _json({
            "at": plain(now), "machines": named["machines"][0], "policy": named["policy"][0],
            "running": named["running"], "queue": named["ask"], "snapshot": rest,
            "decisions": _answer(decisions),
        })  # fmt: skip


def is_header(line: str) -> bool:
    """Whether a line is the first of a recording."""
    return line.strip() == json.dumps(_HEADER)


def read(lines: Iterable[str]) -> Iterator[Step]:
    """The steps. Refuses ``recording_unreadable`` with the line: a gap would prove nothing."""
    known: dict[tuple[str, str], Any] = {}
    number = 0
    for number, line in enumerate(lines, 1):
        try:
            if len(line) > LINE_CHARACTERS_MAX:
                raise ValueError("line too long")
            told = json.loads(line)
            if number == 1:
                if told != _HEADER:
                    raise ValueError("not a recording of this form")
            elif "is" in told:
                [kind] = (kind for kind in told if kind != "is")
                known[kind, told[kind]] = value_of(_KINDS[kind], told["is"])
            else:
                yield _step(number, told, known)
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError,
                RecursionError) as wrong:  # fmt: skip
            problem = f"{type(wrong).__name__}: {wrong}"[:200]
            raise Refused("recording_unreadable", line=number, problem=problem) from wrong
    if number == 0:
        raise Refused("recording_unreadable", line=0, problem="empty")


def _step(number: int, told: Mapping[str, Any], known: Mapping[tuple[str, str], Any]) -> Step:
    machines: Sequence[Machine] = known["machines", told["machines"]]
    rest = value_of(Snapshot, {**told["snapshot"], "machines": []})
    running = [known["running", name] for name in told["running"]]
    answer = told["decisions"]
    by_id = {machine.id: machine for machine in machines}
    decisions = Decisions(
        placements=[
            terms.Placement(
                UUID(one["job_id"]),
                tuple(by_id[machine] for machine in one["machines"]),
                tuple(tuple(cards) for cards in one["cards"]),
                value_of(terms.Reason, one["reason"]),
            )
            for one in answer["placements"]
        ],
        waits=value_of(list[terms.Wait], answer["waits"]),
        preemptions=value_of(list[terms.Preemption], answer["preemptions"]),
    )
    return Step(
        number,
        dataclasses.replace(rest, machines=machines, running=running),
        [known["ask", name] for name in told["queue"]],
        datetime.fromisoformat(told["at"]),
        known["policy", told["policy"]],
        decisions,
    )


def replay(
    steps: Iterable[Step],
    core: Callable[[Snapshot, Sequence[Ask], datetime, Policy], Decisions],
) -> Iterator[tuple[Step, list[Difference]]]:
    """Ask the core again, step by step; what it answers otherwise."""
    for step in steps:
        decided = core(step.snapshot, step.queue, step.now, step.policy)
        if decided == step.decisions:
            yield step, []
            continue
        recorded, again = _by_job(step.decisions), _by_job(decided)
        yield (
            step,
            [
                Difference(step.line, step.now, job, recorded.get(job, "—"), again.get(job, "—"))
                for job in sorted(recorded.keys() | again.keys(), key=str)
                if recorded.get(job) != again.get(job)
            ],
        )


def _by_job(decisions: Decisions) -> dict[UUID, str]:
    """What was decided of each job, as text that can be compared."""
    answers: dict[UUID, list[str]] = {}
    told = _answer(decisions)
    for kind, of in told.items():
        for one in of:
            rest = {name: value for name, value in one.items() if name != "job_id"}
            answers.setdefault(UUID(one["job_id"]), []).append(f"{kind}: {_json(rest)}")
    return {job: "; ".join(sorted(texts)) for job, texts in answers.items()}


def _answer(decisions: Decisions) -> dict[str, list[dict[str, Any]]]:
    """Decisions with machines by their number; the machines themselves are in the snapshot."""
    placements = [
        {
            "job_id": str(one.job_id),
            "machines": [machine.id for machine in one.machines],
            "cards": plain(one.cards),
            "reason": plain(one.reason),
        }
        for one in decisions.placements
    ]
    waits, preemptions = plain(decisions.waits), plain(decisions.preemptions)
    return {"placements": placements, "waits": waits, "preemptions": preemptions}


def _hash(value: Any) -> str:
    return hashlib.sha256(_json(value).encode()).hexdigest()[:16]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def plain(value: Any) -> Any:
    """Any value of ``terms`` as JSON knows it; ``value_of`` is the way back."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            part.name: plain(told)
            for part in dataclasses.fields(value)
            if (told := getattr(value, part.name)) != _default(part)
        }
    if isinstance(value, Mapping):
        return sorted(([plain(key), plain(one)] for key, one in value.items()), key=_json)
    if isinstance(value, frozenset | set):
        return sorted((plain(one) for one in value), key=_json)
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value) if isinstance(value, UUID | Fraction) else value


def _default(part: dataclasses.Field[Any]) -> Any:
    """What a field is where it is left out; its own marker if it may not be."""
    made = part.default_factory
    return part.default if made is dataclasses.MISSING else made()


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def value_of(kind: Any, told: Any) -> Any:
    """A value of ``terms`` of the kind that is told, from what ``plain`` made of it.

    Raises ValueError, TypeError or KeyError where it is none.
    """
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _one_of([one for one in inner if one is not type(None)], told)
    if origin is typing.Literal:
        if told not in inner:
            raise ValueError(f"one of {inner} is meant")
        return told
    if origin in (list, Sequence) or origin is tuple:
        return _several(origin, inner, told)
    if origin is frozenset:
        return frozenset(value_of(inner[0], one) for one in told)
    if origin in (dict, Mapping):
        return {value_of(inner[0], key): value_of(inner[1], one) for key, one in told}
    return _single(kind, told)


def _one_of(kinds: Sequence[Any], told: Any) -> Any:
    if told is None:
        return None
    plain_kinds = [kind for kind in kinds if kind in (str, int)]
    if len(plain_kinds) > 1:
        return value_of(type(told) if type(told) in plain_kinds else str, told)
    return value_of(kinds[0], told)


def _several(origin: Any, inner: tuple[Any, ...], told: Any) -> Any:
    if not isinstance(told, list):
        raise TypeError("a list is meant")
    if origin is tuple and not (len(inner) == 2 and inner[1] is Ellipsis):
        return tuple(value_of(k, one) for k, one in zip(inner, told, strict=True))
    values = [value_of(inner[0], one) for one in told]
    return values if origin is list else tuple(values)


def _single(kind: Any, told: Any) -> Any:
    if isinstance(kind, type) and issubclass(kind, tuple):  # Room, Rates, Link: in their order
        in_order = _hints(kind).values()
        return kind(*(value_of(k, one) for k, one in zip(in_order, told, strict=True)))
    if dataclasses.is_dataclass(kind):
        hints = _hints(typing.cast(type, kind))
        unknown = told.keys() - hints.keys()
        if unknown:
            raise ValueError(f"unknown {sorted(unknown)}")
        return typing.cast(Any, kind)(**{n: value_of(hints[n], one) for n, one in told.items()})
    readers: dict[Any, Callable[[Any], Any]] = {
        datetime: datetime.fromisoformat,
        timedelta: lambda seconds: timedelta(seconds=seconds),
        UUID: UUID,
        Fraction: Fraction,
    }
    if kind in readers:
        return readers[kind](told)
    if kind is float and isinstance(told, int):
        return float(told)
    if not isinstance(told, kind):
        raise TypeError(f"{kind.__name__} is meant")
    return told
