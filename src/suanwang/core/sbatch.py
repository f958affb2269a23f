"""Reads the ``#SBATCH`` lines of an existing script, so that it can be brought as it is.

What a line means to Slurm is turned into fields of a job; what has no meaning here is listed with
the reason, never dropped in silence. A value that cannot be read is a refusal, not a guess.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from suanwang.core.clock import CITY_ZONE
from suanwang.core.errors import Refused
from suanwang.core.jobspec import PRIORITIES

_SHORT: Final = {
    "A": "account", "a": "array", "c": "cpus-per-task", "C": "constraint", "d": "dependency",
    "D": "chdir", "e": "error", "G": "gpus", "H": "hold", "i": "input", "J": "job-name",
    "L": "licenses", "M": "clusters", "N": "nodes", "n": "ntasks", "o": "output",
    "p": "partition", "q": "qos", "s": "oversubscribe", "t": "time", "w": "nodelist",
    "x": "exclude", "W": "wait", "Q": "quiet", "v": "verbose", "k": "no-kill", "O": "overcommit",
    "b": "begin",
}  # fmt: skip
_WITHOUT_VALUE: Final = frozenset(
    ("hold", "wait", "quiet", "verbose", "no-kill", "overcommit", "oversubscribe", "exclusive",
     "requeue", "no-requeue", "contiguous", "parsable", "spread-job", "use-min-nodes")
)  # fmt: skip
_IGNORED: Final = {
    "array": "sbatch_no_arrays",
    "partition": "sbatch_no_partitions",
    "clusters": "sbatch_no_partitions",
    "nodelist": "sbatch_no_partitions",
    "exclude": "sbatch_no_partitions",
    "priority": "sbatch_priority_is_granted",
    "requeue": "sbatch_requeued_anyway",
    "account": "sbatch_payer_is_the_organisation",
    "output": "sbatch_output_is_kept",
    "error": "sbatch_output_is_kept",
    "chdir": "sbatch_own_folder",
}
_TIME: Final = re.compile(
    r"(?:(?P<days>\d{1,4})-(?P<dh>\d{1,5})(?::(?P<dm>\d{1,5})(?::(?P<ds>\d{1,5}))?)?"
    r"|(?P<h>\d{1,6}):(?P<hm>\d{1,5}):(?P<hs>\d{1,5})"
    r"|(?P<m>\d{1,7})(?::(?P<s>\d{1,5}))?)"
)
_UNIT_KIB: Final = {"K": 1, "M": 1024, "G": 1024**2, "T": 1024**3, "": 1024}


@dataclass(frozen=True)
class Directive:
    """One option as written, and what became of it: a field, or the code of why not."""

    option: str
    value: str
    became: str


@dataclass(frozen=True)
class Reading:
    """What the lines of a script ask: fields for a ``JobSpec``, and the account of each option."""

    fields: dict[str, object] = field(default_factory=dict)
    understood: list[Directive] = field(default_factory=list)
    ignored: list[Directive] = field(default_factory=list)


def read(script: str) -> Reading:
    """The ``#SBATCH`` lines of a script, which end where its first command begins.

    Refuses ``sbatch_value_unreadable``, ``sbatch_line_unreadable``.
    """
    asked: dict[str, str] = {}
    for option, value in _options(script):
        asked.pop(option, None)
        asked[option] = value  # as with Slurm, the last one holds
    reading = Reading()
    nodes = _nodes(asked)
    tasks = _tasks(asked, nodes)
    for option, value in asked.items():
        became = _take(option, value, nodes, tasks, asked, reading.fields)
        (reading.ignored if became.startswith("sbatch_") else reading.understood).append(
            Directive(option, value, became)
        )
    return reading


def _options(script: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(script.split("\n"), 1):
        if line.strip() and not line.startswith("#"):
            return
        if not re.match(r"#SBATCH\s", line):
            continue
        try:
            words = shlex.split(line.removeprefix("#SBATCH"), comments=True)
        except ValueError:
            raise Refused("sbatch_line_unreadable", line=number) from None
        yield from _pairs(words, number)


def _pairs(words: list[str], number: int) -> Iterator[tuple[str, str]]:
    """``--name=value``, ``--name value``, ``-n value`` and ``-nvalue``."""
    rest = iter(words)
    for word in rest:
        if word.startswith("--") and len(word) > 2:
            name, given, value = word[2:].partition("=")
        elif word.startswith("-") and len(word) > 1:
            name, value = _SHORT.get(word[1], word[1]), word[2:].removeprefix("=")
            given = value
        else:
            raise Refused("sbatch_line_unreadable", line=number)
        if not given and name not in _WITHOUT_VALUE:
            value = next(rest, "")
        yield name, value


def _take(
    option: str,
    value: str,
    nodes: int,
    tasks: int,
    asked: dict[str, str],
    fields: dict[str, object],
) -> str:
    """Put one option into the fields; the name of the field, or the code of why not."""
    match option:
        case "job-name":
            fields["name"] = value
            return "name"
        case "cpus-per-task" | "ntasks" | "nodes" | "ntasks-per-node":
            cores = tasks * _count("cpus-per-task", asked.get("cpus-per-task", "1"))
            fields["cores"] = _even(cores, nodes)
            if nodes > 1:
                fields["nodes"] = nodes
            return "nodes" if option == "nodes" and nodes > 1 else "cores"
        case "time":
            return _take_time(value, fields)
        case "mem" | "mem-per-cpu" | "mem-per-gpu":
            return _take_memory(option, value, nodes, tasks, asked, fields)
        case "gres" | "gpus" | "gpus-per-node" | "gpus-per-task":
            return _take_cards(option, value, nodes, tasks, fields)
        case "export":
            return _take_export(value, fields)
        case "begin" | "deadline":
            return _take_moment(option, value, fields)
        case "dependency":
            return _take_dependency(value, fields)
        case "nice" | "qos":
            return _take_priority(option, value, fields)
        case "constraint":
            return _take_constraint(value, fields)
    return _IGNORED.get(option, "sbatch_option_without_meaning")


def _unreadable(option: str, value: str) -> Refused:
    return Refused("sbatch_value_unreadable", option=option, value=value[:80])


def _count(option: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text) or int(text) == 0:
        raise _unreadable(option, text)
    return int(text)


def _nodes(asked: dict[str, str]) -> int:
    """``2`` or ``2-4``; of a range the least is asked for."""
    return _count("nodes", asked.get("nodes", "1").partition("-")[0])


def _tasks(asked: dict[str, str], nodes: int) -> int:
    if "ntasks" in asked:
        return _count("ntasks", asked["ntasks"])
    if "ntasks-per-node" in asked:
        return nodes * _count("ntasks-per-node", asked["ntasks-per-node"])
    return nodes


def seconds(text: str) -> int | None:
    """A time of Slurm's in seconds: ``m``, ``m:s``, ``h:m:s``, ``d-h``, ``d-h:m``, ``d-h:m:s``.

    None means without a limit. Refuses ``sbatch_value_unreadable``.
    """
    if text.upper() in ("UNLIMITED", "INFINITE", "-1"):
        return None
    match = _TIME.fullmatch(text)
    if match is None:
        raise _unreadable("time", text)
    part = {name: int(digits or 0) for name, digits in match.groupdict().items()}
    total = (
        part["days"] * 86400
        + (part["dh"] + part["h"]) * 3600
        + (part["dm"] + part["hm"] + part["m"]) * 60
        + (part["ds"] + part["hs"] + part["s"])
    )
    return total or None


def _take_time(value: str, fields: dict[str, object]) -> str:
    limit = seconds(value)
    if limit is None:
        return "sbatch_walltime_needed"
    fields["walltime_seconds"] = limit
    return "walltime_seconds"


def _kib(option: str, text: str) -> int:
    match = re.fullmatch(r"([0-9]{1,12})([KMGT]?)B?", text.upper())
    if match is None:
        raise _unreadable(option, text)
    return int(match[1]) * _UNIT_KIB[match[2]]


def _take_memory(
    option: str,
    value: str,
    nodes: int,
    tasks: int,
    asked: dict[str, str],
    fields: dict[str, object],
) -> str:
    kib = _kib(option, value)
    if kib == 0:
        return "sbatch_memory_needed"
    times = nodes
    if option == "mem-per-cpu":
        times = tasks * _count("cpus-per-task", asked.get("cpus-per-task", "1"))
    elif option == "mem-per-gpu":
        cards: dict[str, object] = {}
        for name in ("gres", "gpus", "gpus-per-node", "gpus-per-task"):
            if name in asked:
                _take_cards(name, asked[name], nodes, tasks, cards)
        times = int(str(cards.get("accelerators", 1)))
    fields["memory_mib"] = _even(max(-(-kib * times // 1024), 16 * nodes), nodes)
    return "memory_mib"


def _take_cards(option: str, value: str, nodes: int, tasks: int, fields: dict[str, object]) -> str:
    """``gpu:2``, ``gpu:a100:2``; without ``gres`` the same without ``gpu:``."""
    text = value
    if option == "gres":
        if share := re.search(r"(?:^|,)mps:([0-9]{1,2}|100)(?:,|$)", value):
            # A percentage of one card.
            fields["accelerators"] = nodes
            fields["card_milli"] = max(int(share[1]), 1) * 10
            return "card_milli"
        wanted = [one for one in value.split(",") if re.match(r"gpu(:|$)", one)]
        if not wanted:
            return "sbatch_option_without_meaning"
        text = wanted[0].removeprefix("gpu").removeprefix(":") or "1"
    model, _, count = text.rpartition(":")
    if not re.fullmatch(r"[0-9]{1,6}", count):
        model, count = count, "1"  # a bare model means one of it
    times = {"gpus": 1, "gpus-per-task": tasks}.get(option, nodes)
    cards = _even(int(count) * times, nodes)
    fields["accelerators"] = cards
    if model and cards:
        fields["accelerator_model"] = model
    return "accelerators"


def _even(amount: int, nodes: int) -> int:
    """At least so much in all, the same on each node."""
    return -(-amount // nodes) * nodes


def _take_moment(option: str, value: str, fields: dict[str, object]) -> str:
    """``2026-12-01T08:00``, in the city's zone."""
    if not re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        return "sbatch_time_relative"
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise _unreadable(option, value) from None
    field = "not_before" if option == "begin" else "deadline"
    fields[field] = (moment if moment.tzinfo else moment.replace(tzinfo=CITY_ZONE)).isoformat()
    return field


def _take_dependency(value: str, fields: dict[str, object]) -> str:
    kind, _, ids = value.partition(":")
    try:
        after = [str(UUID(one)) for one in ids.split(":")]
    except ValueError:
        return "sbatch_dependency_kind"
    if kind != "afterok":
        return "sbatch_dependency_kind"
    fields["after"] = after
    return "after"


def _take_priority(option: str, value: str, fields: dict[str, object]) -> str:
    if option == "qos":
        if value not in PRIORITIES:
            return "sbatch_no_partitions"
        fields["priority"] = value
        return "priority"
    nice = value or "100"
    if not re.fullmatch(r"-?[0-9]{1,10}", nice):
        raise _unreadable(option, value)
    if int(nice) <= 0:
        return "sbatch_priority_is_granted"
    fields["priority"] = "low"
    return "priority"


_PLACES: Final = {
    **dict.fromkeys(("center", "park", "edge"), "tiers"),
    **dict.fromkeys(("general", "intelligent", "super"), "kinds"),
}


def _take_constraint(value: str, fields: dict[str, object]) -> str:
    """Words joined by ``&`` that name a tier, a kind, or ``domestic``."""
    where: dict[str, object] = {}
    for word in value.split("&"):
        if word == "domestic":
            where["domestic"] = "required"
        elif word in _PLACES:
            where[_PLACES[word]] = [word]
        else:
            return "sbatch_no_partitions"
    fields["where"] = where
    return "where"


def _take_export(value: str, fields: dict[str, object]) -> str:
    """Only ``NAME=value`` carries anything over: a job never inherits where it was sent from."""
    carried: dict[str, str] = {}
    for one in value.split(","):
        name, given, text = one.partition("=")
        if given:
            carried[name] = text
    if carried:
        fields["environment"] = carried
        return "environment"
    return "environment" if value.upper() in ("NONE", "NIL") else "sbatch_nothing_inherited"
