"""Microsoft's Philly trace in the form of the AdaptDL artifact, on a cluster whose shape is told.

Jobs: ``timestamp,duration,num_gpus,gpu_time,cluster``; the virtual clusters: ``vc,node num``. The
trace knows no request: the walltime is the run, rounded up. A job wider than a node is a gang of
equal parts. Each virtual cluster is an organisation, sure of its nodes, in one cohort. Jeon et al.,
ATC'19 (github.com/msr-fiddle/philly-traces).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from uuid import uuid5

from suanwang.core.errors import Refused
from suanwang.core.money import FEN_MAX
from suanwang.placement.simulator.checks import sound
from suanwang.placement.simulator.problems import Problems
from suanwang.placement.simulator.scenario import NAMESPACE, Scenario, Work, job_id, watts_of
from suanwang.placement.simulator.tables import number_of, rows, whole_of
from suanwang.placement.terms import WHOLE_CARD, Ask, Card, Machine, Quota, Rates, Room, Site

CARDS_PER_NODE = 8
CORES_PER_CARD = 4
MEMORY_MIB_PER_CARD = 32 << 10
NODES_MAX = 200_000
_FREE = Rates(Fraction(0), Fraction(0), Fraction(0))


def read_philly(
    lines: Iterable[str],
    vc_lines: Iterable[str] | None,
    problems: Problems,
    *,
    nodes: int | None = None,
    cards_per_node: int = CARDS_PER_NODE,
) -> Scenario:
    """The jobs on so many nodes; without a number on those of the virtual clusters together.

    Refuses ``trace_shape_unknown`` (neither told), ``trace_empty``, and as ``tables.rows``.
    Notes ``trace_value_wrong`` and what ``checks.sound`` finds.
    """
    shares = _shares(vc_lines, problems) if vc_lines is not None else {}
    count = nodes if nodes is not None else sum(shares.values())
    if not 0 < count <= NODES_MAX or not 0 < cards_per_node <= 1024:
        raise Refused("trace_shape_unknown", nodes=count, most=NODES_MAX)
    needed = ("timestamp", "duration", "num_gpus", "cluster")
    works = []
    for line, row in rows(lines, needed, problems):
        if (work := _work(line, row, cards_per_node, problems)) is not None:
            works.append(work)
    if not works:
        raise Refused("trace_empty", skipped=len(problems.found))
    site = Site("philly", tier="center", kind="intelligent")
    whole = Room(cards_per_node * CORES_PER_CARD * 1000, cards_per_node * MEMORY_MIB_PER_CARD,
                 cards_per_node)  # fmt: skip
    cluster, card = uuid5(NAMESPACE, "philly"), Card("gpu")
    machines = [
        Machine(number, f"node-{number:05d}", cluster, site, whole, card, _FREE)
        for number in range(count)
    ]
    return Scenario(
        name="philly",
        starts_at=min(work.ask.submitted_at for work in works),
        machines=machines,
        works=sound(works, machines, problems),
        weights={vc: Fraction(share) for vc, share in shares.items()},
        quotas=[
            Quota(vc, "philly", share * whole.core_milli, share * cards_per_node * WHOLE_CARD)
            for vc, share in shares.items()
        ],
        watts={machine.id: watts_of(whole, 0, 0) for machine in machines},
    )


def _shares(lines: Iterable[str], problems: Problems) -> dict[str, int]:
    shares: dict[str, int] = {}
    for line, row in rows(lines, ("vc", "node num"), problems):
        count = whole_of(row["node num"])
        if count is None or not 0 < count <= NODES_MAX:
            problems.note(line, "trace_value_wrong", column="node num", value=row["node num"])
        else:
            shares[row["vc"]] = shares.get(row["vc"], 0) + count
    return shares


def _work(
    line: int, row: Mapping[str, str], cards_per_node: int, problems: Problems
) -> Work | None:
    try:
        submitted = datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC)
    except ValueError:
        problems.note(line, "trace_value_wrong", column="timestamp", value=row["timestamp"])
        return None
    duration, cards = number_of(row["duration"]), whole_of(row["num_gpus"])
    if duration is None or duration <= 0:
        problems.note(line, "trace_value_wrong", column="duration", value=row["duration"])
        return None
    if cards is None or not 0 < cards <= 1 << 20:
        problems.note(line, "trace_value_wrong", column="num_gpus", value=row["num_gpus"])
        return None
    seconds = math.ceil(duration)
    nodes = parts(cards, cards_per_node)
    each = cards // nodes
    label = f"philly-{line}"
    ask = Ask(
        job_id=job_id(label),
        room=Room(each * CORES_PER_CARD * 1000, each * MEMORY_MIB_PER_CARD, each),
        walltime_seconds=max(60, seconds + -seconds % 60),
        submitted_at=submitted + timedelta(0),
        goal="fastest",
        cost_max_fen=FEN_MAX,
        nodes=nodes,
        organisation=row["cluster"][:80],
    )
    return Work(ask, seconds, label, None, line)


def parts(cards: int, cards_per_node: int) -> int:
    """The fewest nodes that hold so many cards in equal parts."""
    nodes = -(-cards // cards_per_node)
    while cards % nodes:
        nodes += 1
    return nodes
