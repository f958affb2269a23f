"""Each condition of where a job may run binds by itself, and says so with its numbers."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest

from suanwang.placement import (
    Ask,
    Capability,
    Card,
    Link,
    Machine,
    Policy,
    Rates,
    Reservation,
    Room,
    Site,
    Snapshot,
    Where,
    decide,
)
from suanwang.placement.terms import Decisions

from .placement_city import (
    H20,
    HOUR,
    IN_LINE,
    NOW,
    ask,
    cluster,
    job_id,
    machine,
    run,
    summary,
    wait_of,
    where,
    why,
)

NEAR = Site(
    "near",
    tier="edge",
    kind="intelligent",
    division="130606",
    trust=1,
    voucher_eligible=True,
    datasets=frozenset({"maps"}),
)
FAR = Site("far", tier="center", kind="super", division="110000")


def city() -> list[Machine]:
    domestic = Card("910b", memory_mib=65536, domestic=True, gflops={"fp16": 320_000})
    return [
        machine(1, cards=8, site=FAR, card=H20, cluster_id=cluster(1)),
        machine(2, cards=8, site=NEAR, card=domestic, cluster_id=cluster(2), images=True),
    ]


def only(**facts: Any) -> dict[str, Any]:
    return {"where": Where(**facts)}


@pytest.mark.parametrize(
    "wanted",
    [
        only(centres=frozenset({"near"})),
        only(tiers=frozenset({"edge"})),
        only(kinds=frozenset({"intelligent"})),
        only(divisions=frozenset({"130606"})),
        only(datasets=frozenset({"maps"})),
        only(near="130600", latency_us_max=3000),
        only(trust_min=1),
        only(voucher_eligible=True),
        only(domestic="required"),
        only(domestic="preferred"),
        {"model": "910b"},
        {"image": True},
        {"capability": Capability("fp16", 300_000, 65536)},
    ],
    ids=lambda wanted: str(next(iter(wanted))),
)
def test_a_wish_leads_to_the_only_centre_that_meets_it(wanted: dict[str, Any]) -> None:
    links = {("near", "130600"): Link(2000), ("130600", "far"): Link(9000)}
    decisions = decide(Snapshot(city(), links=links), [ask(1, cards=1, **wanted)], NOW)
    assert where(decisions) == {1: 2}


@pytest.mark.parametrize(
    ("wanted", "code", "facts"),
    [
        (only(centres=frozenset({"x"})), "wait_centre_takes_nothing", {"centre": "x"}),
        (only(tiers=frozenset({"park"})), "wait_tier", {"tier": "park", "machines": 2}),
        (only(kinds=frozenset({"general"})), "wait_kind", {"machines": 2}),
        (only(divisions=frozenset({"1"})), "wait_division", {"division": "1"}),
        (only(datasets=frozenset({"maps", "x"})), "wait_data_elsewhere", {"datasets": "maps, x"}),
        (
            only(near="130600", latency_us_max=1000),
            "wait_latency",
            {"latency_ms": "1", "best_ms": "2"},
        ),
        (only(trust_min=2), "wait_trust", {"trust": 2, "best": 1}),
        (only(voucher_eligible=True, trust_min=0, tiers=frozenset({"center"})),
         "wait_voucher_not_eligible", {"machines": 1}),
        (only(domestic="required", tiers=frozenset({"center"})), "wait_domestic", {"machines": 1}),
        ({"image": True, **only(centres=frozenset({"far"}))}, "wait_no_images", {"machines": 1}),
        ({"model": "t4"}, "wait_model_unknown", {"model": "t4"}),
        ({"model": "h20", **only(tiers=frozenset({"edge"}))}, "wait_model_elsewhere",
         {"machines": 1}),
        ({"capability": Capability("fp16", 900_000)}, "wait_capability",
         {"tflops": "900", "models": 2}),
        ({"cards": 9}, "wait_no_machine_large_enough", {"accelerators": 9, "most_cards": 8}),
        ({"nodes": 2}, "wait_not_so_many_together", {"nodes": 2, "together": 1}),
        ({"cost_max_fen": 3599}, "wait_price_above_hold", {"least_fen": 3601, "held_fen": 3599}),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)  # fmt: skip
def test_what_no_place_meets_is_told_with_its_numbers(
    wanted: dict[str, Any], code: str, facts: dict[str, Any]
) -> None:
    links = {("130600", "near"): Link(2000)}
    decisions = decide(Snapshot(city(), links=links), [ask(1, **({"cards": 1} | wanted))], NOW)
    wait = wait_of(decisions, 1)
    assert wait.reason.code == code
    assert wait.reason.facts.items() >= facts.items()
    assert wait.starts_at is None


def test_one_code_for_offline_and_one_for_no_price() -> None:
    off = decide(Snapshot([machine(1, online=False)]), [ask(1)], NOW)
    unpriced = machine(1, rates=Rates(None, Fraction(0), None))
    assert why(off) == {1: "wait_centre_offline"}
    assert why(decide(Snapshot([unpriced]), [ask(1)], NOW)) == {1: "wait_price_unknown"}
    assert why(decide(Snapshot([]), [ask(1)], NOW)) == {1: "wait_no_machine"}


def helps(decisions: Decisions, number: int = 1) -> dict[str, dict[str, Any]]:
    return {each.code: dict(each.facts) for each in wait_of(decisions, number).helps}


def test_what_would_help_is_told_with_what_it_would_be() -> None:
    def asked(**wanted: Any) -> dict[str, dict[str, Any]]:
        return helps(decide(Snapshot(city()), [ask(1, **({"cards": 1} | wanted))], NOW))

    assert asked(cards=9)["help_fewer_cards_now"]["cards"] == 8
    assert asked(model="t4")["help_other_model_now"]["model"] == "h20"
    far = only(centres=frozenset({"far"}))
    assert asked(image=True, **far)["help_no_image_now"]["centre"] == "far"
    assert asked(nodes=2)["help_fewer_nodes_now"]["nodes"] == 1
    assert "help_spread_now" in asked(nodes=2)
    assert asked(cost_max_fen=3599)["help_price_ceiling_now"]["cost_fen"] == 3601
    assert asked(cost_max_fen=3599)["help_shorter_now"]["minutes"] == 30
    assert asked(**only(tiers=frozenset({"park"})))["help_anywhere_now"]["centre"] == "far"
    abroad = only(domestic="required", tiers=frozenset({"center"}))
    assert asked(**abroad)["help_not_domestic_now"]["model"] == "h20"


def test_nothing_that_would_not_help_is_told() -> None:
    full = [run(9, 1, 16, hours=2)]
    decisions = decide(Snapshot([machine(1)], full), [ask(1, cores=4)], NOW)
    assert wait_of(decisions, 1).helps == ()
    quiet = decide(Snapshot(city()), [ask(1, cards=9)], NOW, Policy(helps=False))
    assert wait_of(quiet, 1).helps == ()


def test_a_shorter_job_that_fits_before_a_kept_start_is_told_so() -> None:
    """The first waits for all 16 cores in two hours; the second asks for eight."""
    held = [run(9, 1, 8, hours=2)]
    queue = [ask(1, cores=16), ask(2, cores=8, hours=8)]
    policy = Policy(order="fcfs", fair=False)
    decisions = decide(Snapshot([machine(1)], held), queue, NOW, policy)
    assert helps(decisions, 2)["help_shorter_now"]["minutes"] == 120


def test_machines_in_maintenance_take_what_ends_before_it() -> None:
    kept = [Reservation(frozenset({1}), NOW + HOUR, NOW + 3 * HOUR)]
    queue = [ask(1, hours=1), ask(2, hours=2)]
    decisions = decide(Snapshot([machine(1)], reservations=kept), queue, NOW, IN_LINE)
    assert where(decisions) == {1: 1}
    assert why(decisions) == {2: "wait_reserved"}


def test_machines_reserved_for_an_organisation_are_open_to_it_alone() -> None:
    kept = [Reservation(frozenset({1}), NOW - HOUR, NOW + HOUR, frozenset({"a"}))]
    queue = [ask(1, organisation="b"), ask(2, organisation="a")]
    decisions = decide(Snapshot([machine(1)], reservations=kept), queue, NOW)
    assert where(decisions) == {2: 1}
    assert why(decisions) == {1: "wait_reserved"}


def test_a_cluster_that_refused_is_asked_again_only_after_it_said_something_new() -> None:
    def told(at: Any) -> Decisions:
        wanted: Ask = ask(1, refused_at={cluster(1): NOW})
        return decide(Snapshot([summary(1, 64, at)]), [wanted], NOW + HOUR)

    assert why(told(NOW)) == {1: "wait_newer_summary"}
    assert where(told(NOW + timedelta(seconds=1))) == {1: 1}


def test_what_a_summary_says_is_free_is_not_given_out_twice() -> None:
    free = Room(8000, 1000)
    city = [summary(1, 64, NOW - HOUR, free=free, largest=Room(6000, 500))]
    known = run(8, 1, 50, started_at=NOW - 2 * HOUR)
    sent = run(9, 1, 3, started_at=NOW - HOUR / 2)
    queue = [ask(1, cores=7), ask(2, cores=6), ask(3, cores=3), ask(4, cores=2)]
    decisions = decide(Snapshot(city, [known, sent]), queue, NOW, IN_LINE)
    assert where(decisions) == {3: 1, 4: 1}
    assert why(decisions) == {1: "wait_no_machine_large_enough", 2: "wait_no_room"}
    assert wait_of(decisions, 2).job_id == job_id(2)
