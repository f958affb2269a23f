"""Which groups will do for a job if they were empty; and if none will, what binds, in numbers.

Each condition is looked at in a fixed order, over the groups that met the ones before it. The
first that none meets is the one that binds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from suanwang.placement.city import City
from suanwang.placement.gangs import nodes_together
from suanwang.placement.groups import Group, on_one_node
from suanwang.placement.terms import Ask, Capability, Card, Reason, Room

Facts = dict[str, str | int]
Condition = tuple[str, Callable[[Group], bool], Callable[[Sequence[Group]], Facts]]


def room_of(ask: Ask) -> Room:
    """What the job asks of one machine."""
    return on_one_node(ask.room, ask.nodes) if ask.spread == "node" else ask.room


def count_of(ask: Ask) -> int:
    """On how many machines it runs."""
    return 1 if ask.spread == "node" else ask.nodes


def will_do(city: City, ask: Ask) -> tuple[list[Group], Reason | None]:
    """The groups that will do, whatever they cost; or none and the reason."""
    left = list(city.groups)
    for code, meets, facts in conditions(city, ask):
        remaining = [group for group in left if meets(group)]
        if not remaining:
            return [], Reason(code, facts(left))
        left = remaining
    together = nodes_together(city, ask, left)
    if together < count_of(ask):
        return [], Reason(
            "wait_not_so_many_together",
            asked(ask) | {"nodes": count_of(ask), "together": together, "spread": ask.spread},
        )
    return left, None


def conditions(city: City, ask: Ask) -> list[Condition]:
    """What is asked of a group, in order: its code, the test, the facts if none meets it."""
    return [*_of_place(city, ask), *_of_cards(city, ask), *_of_service(ask)]


def _of_place(city: City, ask: Ask) -> list[Condition]:
    where = ask.where
    found: list[Condition] = []

    def need(code: str, meets: Callable[[Group], bool], **facts: str | int) -> None:
        found.append((code, meets, lambda left: facts | {"machines": _machines(left)}))

    def named(names: frozenset[str]) -> str:
        return ", ".join(sorted(names))

    if where.centres:
        need(
            "wait_centre_takes_nothing",
            lambda g: g.site.code in where.centres,
            centre=named(where.centres),
        )
    else:
        need("wait_no_machine", lambda g: True)
    if where.refused_by:
        need("wait_site_refused", lambda g: g.cluster_id not in where.refused_by)
    if ask.image:
        need("wait_no_images", lambda g: g.images)
    if where.tiers:
        need("wait_tier", lambda g: g.site.tier in where.tiers, tier=named(where.tiers))
    if where.kinds:
        need("wait_kind", lambda g: g.site.kind in where.kinds, kind=named(where.kinds))
    if where.divisions:
        need(
            "wait_division",
            lambda g: g.site.division in where.divisions,
            division=named(where.divisions),
        )
    if where.datasets:
        need(
            "wait_data_elsewhere",
            lambda g: where.datasets <= g.site.datasets,
            datasets=named(where.datasets),
        )
    if where.near is not None and where.latency_us_max is not None:
        found.append(_near(city, where.near, where.latency_us_max))
    if where.trust_min:
        found.append(
            (
                "wait_trust",
                lambda g: g.site.trust >= where.trust_min,
                lambda left: {
                    "trust": where.trust_min,
                    "best": max((g.site.trust for g in left), default=0),
                },
            )
        )
    if where.voucher_eligible:
        need("wait_voucher_not_eligible", lambda g: g.site.voucher_eligible)
    return found


def _near(city: City, near: str, latency_us_max: int) -> Condition:
    def latency(group: Group) -> int | None:
        code = group.site.code
        if code == near:
            return 0
        link = city.links.get((near, code)) or city.links.get((code, near))
        return link.latency_us if link else None

    def meets(group: Group) -> bool:
        measured = latency(group)
        return measured is not None and measured <= latency_us_max

    def facts(left: Sequence[Group]) -> Facts:
        known = [us for g in left if (us := latency(g)) is not None]
        said: Facts = {"near": near, "latency_ms": _milli(latency_us_max)}
        return said | {"best_ms": _milli(min(known)) if known else "?"}

    return "wait_latency", meets, facts


def _of_cards(city: City, ask: Ask) -> list[Condition]:
    room, model, capability = room_of(ask), ask.model, ask.capability
    found: list[Condition] = []
    if room.cards and model is not None:
        if model not in city.models:
            found.append(("wait_model_unknown", lambda g: False, lambda left: {"model": model}))
        found.append(
            (
                "wait_model_elsewhere",
                lambda g: g.card is not None and g.card.model == model,
                lambda left: {"model": model, "machines": _machines(left)},
            )
        )
    if room.cards and capability is not None:
        found.append(
            (
                "wait_capability",
                lambda g: g.card is not None and can(g.card, capability),
                lambda left: {
                    "precision": capability.precision,
                    "tflops": f"{capability.gflops_min / 1000:g}",
                    "memory_mib": capability.memory_mib_min,
                    "models": len({g.card.model for g in left if g.card}),
                },
            )
        )
    if room.cards and ask.where.domestic == "required":
        found.append(
            (
                "wait_domestic",
                lambda g: g.card is not None and g.card.domestic,
                lambda left: {"machines": _machines(left)},
            )
        )
    found.append(
        (
            "wait_no_machine_large_enough",
            lambda g: g.holds(room) > 0,
            lambda left: asked(ask) | largest(left, room),
        )
    )
    return found


def _of_service(ask: Ask) -> list[Condition]:
    def machines(left: Sequence[Group]) -> Facts:
        return asked(ask) | {"machines": _machines(left)}

    return [
        ("wait_centre_offline", lambda g: g.online, machines),
        ("wait_price_unknown", lambda g: g.rates.cost_fen(ask.room, 1) is not None, machines),
    ]


def can(card: Card, wanted: Capability) -> bool:
    """Whether a card has the capability; without evidence it has not."""
    return (
        card.gflops.get(wanted.precision, 0) >= wanted.gflops_min
        and card.memory_mib >= wanted.memory_mib_min
    )


def asked(ask: Ask) -> Facts:
    """What one node of the job asks for, for the sentence of a reason."""
    room = room_of(ask)
    return {
        "cores": _whole(room.core_milli),
        "memory_mib": room.memory_mib,
        "accelerators": _whole(room.cards * room.card_milli),
        "model": ask.model or "",
        "centre": ", ".join(sorted(ask.where.centres)),
    }


def largest(groups: Sequence[Group], room: Room) -> Facts:
    """The most any one machine has of each part; of those with the cards asked for, if any."""
    sizes = [whole for group in groups for whole, _ in group.shapes]
    sizes = [whole for whole in sizes if whole.cards >= room.cards] or sizes
    return {
        "most_cores": _whole(max((whole.core_milli for whole in sizes), default=0)),
        "most_memory_mib": max((whole.memory_mib for whole in sizes), default=0),
        "most_cards": max((whole.cards for whole in sizes), default=0),
    }


def _machines(groups: Sequence[Group]) -> int:
    return sum(len(group.members) for group in groups)


def _whole(milli: int) -> str | int:
    return milli // 1000 if milli % 1000 == 0 else f"{milli / 1000:g}"


def _milli(micro: int) -> str:
    return f"{micro / 1000:g}"
