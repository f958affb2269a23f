"""What other people's work holds of each node: what is taken of it, less what ours hold.

An engine is asked for the one and then for the other, and jobs start and end between. So ours are
asked for before and after: what was there both times is surely in what is taken, what was there
once perhaps. That leaves a range, and what was said last time is said again as far as it lies in
it: a report changes when others' use does, not when a job of ours begins or ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from suanwang.engines.port import Accelerators, NodeUse


class Amount(NamedTuple):
    """So much of a node, in the units the engine counts in; cards of whatever model it has."""

    cores: int = 0
    memory_mib: int = 0
    cards: int = 0


@dataclass(frozen=True)
class Holding:
    """What one job of ours holds on each of some nodes."""

    nodes: tuple[str, ...]
    amount: Amount


class Others:
    """Of one engine, as last said. Not for use by several threads at once."""

    def __init__(self) -> None:
        self._said: dict[str, Amount] = {}

    def hold(
        self,
        taken: Mapping[str, Amount],
        before: Mapping[str, Holding],
        after: Mapping[str, Holding],
    ) -> Mapping[str, Amount]:
        """By node, given what is taken of each and what ours held, by job, before and after that
        was asked."""
        both = [job for key, job in before.items() if after.get(key) == job]
        once = [job for key, job in before.items() if after.get(key) != job]
        once += [job for key, job in after.items() if before.get(key) != job]
        sure, perhaps = by_node(both), by_node(once)
        self._said = {
            node: _between(
                amount,
                sure.get(node, Amount()),
                perhaps.get(node, Amount()),
                self._said.get(node),
            )
            for node, amount in taken.items()
        }
        return self._said


def by_node(jobs: Iterable[Holding]) -> dict[str, Amount]:
    """What some jobs hold of each node."""
    found: dict[str, Amount] = {}
    for job in jobs:
        for node in job.nodes:
            found[node] = Amount(*map(sum, zip(found.get(node, Amount()), job.amount, strict=True)))
    return found


def as_use(amount: Amount, whole: Sequence[Accelerators]) -> NodeUse:
    """As the port tells it, in cores, MiB and cards, of a node with these cards."""
    left, cards = amount.cards, []
    for one in whole:
        cards.append(Accelerators(one.model, min(one.count, left)))
        left -= cards[-1].count
    return NodeUse(amount.cores, amount.memory_mib, tuple(cards))


def all_but(left: Amount, whole: Amount) -> Amount:
    """What is used where so much is left: what is less than one is not."""
    return Amount(*(max(there - rest, 0) for there, rest in zip(whole, left, strict=True)))


def _between(taken: Amount, sure: Amount, perhaps: Amount, said: Amount | None) -> Amount:
    """What others hold at most, or what was said before where that may still be so."""
    found = []
    for part in range(len(taken)):
        most = max(taken[part] - sure[part], 0)
        least = max(most - perhaps[part], 0)
        before = most if said is None else said[part]
        found.append(min(max(before, least), most))
    return Amount(*found)
