"""The registry keeps its word: prices are final, inventories whole, capacity never guessed."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, transaction

from suanwang.core.errors import NotAllowed, Refused
from suanwang.people.models import AuditEvent
from suanwang.registry import queries, services
from suanwang.registry.inventory import NodeReport
from suanwang.registry.models import AcceleratorModel, EnergyReading, Node, Price

DAY = timedelta(days=1)


def set_core_price(city: Any, fen: int, **more: Any) -> Price:
    return services.set_price(
        city.general.centre,
        "core_seconds",
        **{
            "price_fen": fen,
            "per_quantity": 3600,
            "starts": city.now + DAY,
            "actor": city.provider,
            "at": city.now,
        }
        | more,
    )


def test_a_new_price_ends_the_open_one_where_it_begins(city: Any) -> None:
    new = set_core_price(city, 20)

    old, current = Price.objects.filter(centre=city.general.centre, meter="core_seconds").order_by(
        "validity"
    )
    assert (old.validity.lower, old.validity.upper) == (city.now, city.now + DAY)
    assert (current, current.validity.upper) == (new, None)
    assert queries.prices_valid(city.now + DAY).get(centre=new.centre, meter=new.meter) == new


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"starts": -DAY}, "price_in_the_past"),
        ({"ends": timedelta(0)}, "price_period_wrong"),
        ({"price_fen": -1}, "price_impossible"),
        ({"per_quantity": 0}, "price_impossible"),
        ({"accelerator_model": "h20"}, "price_needs_a_model"),
    ],
)
def test_a_price_that_cannot_be_is_refused(city: Any, change: dict[str, Any], code: str) -> None:
    moments = {
        name: city.now + (value if name == "starts" else DAY + value)
        for name, value in change.items()
        if isinstance(value, timedelta)
    }
    with pytest.raises(Refused) as refusal:
        set_core_price(city, 20, **change | moments) if "price_fen" not in change else (
            services.set_price(
                city.general.centre,
                "core_seconds",
                price_fen=-1,
                per_quantity=1,
                starts=city.now,
                actor=city.provider,
                at=city.now,
            )
        )
    assert refusal.value.code == code
    assert Price.objects.filter(centre=city.general.centre).count() == 3


def test_two_prices_of_one_thing_never_overlap(city: Any) -> None:
    set_core_price(city, 20, ends=city.now + 3 * DAY)
    with pytest.raises(Refused, match="price_overlaps"):
        set_core_price(city, 30, starts=city.now + 2 * DAY)
    with pytest.raises(Refused, match="price_overlaps"):
        set_core_price(city, 30, starts=city.now, ends=city.now + 2 * DAY)
    assert set_core_price(city, 30, starts=city.now + 3 * DAY).price_fen == 30


def test_a_price_that_stands_cannot_be_rewritten_even_by_hand(city: Any) -> None:
    price = set_core_price(city, 20)
    for change in ({"price_fen": 1}, {"per_quantity": 1}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Price.objects.filter(pk=price.pk).update(**change)
    with pytest.raises(IntegrityError), transaction.atomic():
        price.delete()


def test_only_its_own_provider_changes_a_centre(city: Any) -> None:
    with pytest.raises(NotAllowed, match="centre_of_another"):
        set_core_price(city, 1, actor=city.other_provider)
    with pytest.raises(NotAllowed, match="permission_missing"):
        set_core_price(city, 1, actor=city.company)


def test_pue_is_the_exact_ratio_over_all_readings(city: Any) -> None:
    def report(days: int, it_wh: int, facility_wh: int, green_wh: int = 0) -> EnergyReading:
        end = city.now - days * DAY
        return services.report_energy(
            city.general.centre,
            start=end - DAY,
            end=end,
            it_wh=it_wh,
            facility_wh=facility_wh,
            green_wh=green_wh,
            actor=city.provider,
            at=city.now,
        )

    report(1, 1000, 1250, 500)
    report(2, 2000, 2300)
    energy = queries.energy()[city.general.centre_id]
    assert (energy.pue, energy.green_share) == (Fraction(71, 60), Fraction(10, 71))

    for wrong, code in (
        ((1, 1000, 1250), "energy_overlaps"),
        ((5, 1000, 999), "energy_impossible"),
        ((5, 0, 999), "energy_impossible"),
        ((5, 10, 20, 21), "energy_impossible"),
        ((-1, 1, 2), "energy_period_wrong"),
    ):
        with pytest.raises(Refused, match=code):
            report(*wrong)


def test_a_report_replaces_the_inventory_and_downs_what_is_gone(city: Any) -> None:
    def report(*nodes: NodeReport) -> None:
        services.report_nodes(
            city.agent(city.general),
            nodes,
            engine="memory",
            version="2",
            isolation="bubblewrap",
            at=city.later(minutes=1),
        )

    report(NodeReport("n2", 8, 4096), NodeReport("n3", 4, 2048, (("t4", 2),)))
    rows = {node.name: node for node in Node.objects.filter(cluster=city.general)}
    assert {name: node.up for name, node in rows.items()} == {"n1": False, "n2": True, "n3": True}
    assert (rows["n2"].cores, rows["n3"].accelerator_model_id) == (8, "t4")

    for nodes, code in (
        ((NodeReport("a", 1, 1), NodeReport("a", 1, 1)), "node_named_twice"),
        ((NodeReport("a", 0, 1),), "node_impossible"),
        ((NodeReport("a\n", 1, 1),), "node_impossible"),
        ((NodeReport("a", 1, 1, (("t4", 1), ("h20", 1))),), "node_mixes_cards"),
        ((NodeReport("a", 1, 1, (("aba\ncus", 1),)),), "node_impossible"),
    ):
        with pytest.raises(Refused, match=code):
            report(*nodes)
    assert Node.objects.filter(cluster=city.general, up=True).count() == 2


def test_a_card_nobody_knows_keeps_neither_its_node_nor_its_centre_from_being_used(
    city: Any,
) -> None:
    agent = city.agent(city.intelligent)

    def report(*nodes: NodeReport, **more: Any) -> services.Reported:
        facts: dict[str, Any] = {"engine": "memory", "version": "2", "isolation": "none"}
        asking = queries.agent_known(agent.pk)  # as each request finds it
        assert asking is not None
        return services.report_nodes(asking, nodes, **facts, at=city.later(minutes=1), **more)

    new = NodeReport("g2", 64, 4096, (("abacus-9", 8),), others=(0, 96, 8))
    told = report(NodeReport("g1", 32, 131072, (("h20", 8),)), new, revision="r1")
    assert told.unknown_models == ("abacus-9",)
    rows = {node.name: node for node in Node.objects.filter(cluster=city.intelligent, up=True)}
    assert (rows["g1"].accelerator_model_id, rows["g1"].accelerators) == ("h20", 8)
    assert (rows["g2"].accelerators, rows["g2"].unknown_model) == (0, "abacus-9")
    assert (rows["g2"].others_memory_mib, rows["g2"].others_accelerators) == (96, 0)
    assert city.placed(cores=64, memory_mib=1024).node.name == "g2"

    assert report(after="r1", revision="r1").unknown_models is None  # as it was told before
    AcceleratorModel.objects.filter(pk="h100-sxm5-80g").delete()
    newer = NodeReport("g3", 8, 4096, (("h100-sxm5-80g", 2),))
    told = report(newer, gone=["g2"], after="r1", revision="r2")
    assert told.unknown_models == ("h100-sxm5-80g",)

    services.load_accelerators()  # the catalogue of a newer version: it has it
    assert report(after="r2", revision="r2").full_wanted
    assert report(newer, revision="r3").unknown_models == ()
    assert Node.objects.get(name="g3").accelerator_model_id == "h100-sxm5-80g"

    with pytest.raises(Refused, match="accelerator_unknown"):  # by hand it is put right at once
        services.declare_nodes(city.intelligent, [new], actor=city.other_provider, at=city.now)


def test_changes_never_add_up_to_more_nodes_than_one_report_may_name(
    city: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("suanwang.registry.services.centres.NODES_MAX", 3)
    agent = city.agent(city.general)

    def report(names: str, after: str, revision: str, gone: str = "") -> services.Reported:
        return services.report_nodes(
            agent,
            [NodeReport(name, 8, 4096) for name in names],
            engine="memory",
            version="2",
            isolation="bubblewrap",
            gone=list(gone),
            after=after,
            revision=revision,
            at=city.later(minutes=1),
        )

    def up() -> str:
        rows = Node.objects.filter(cluster=city.general, up=True)
        return "".join(sorted(rows.values_list("name", flat=True)))

    report("ab", "", "r1")
    assert report("c", "r1", "r2")[:3] == ("r2", False, True)
    assert report("ad", "r2", "r3", gone="b")[:3] == ("r3", False, True)
    for more in ("e", "b"):  # a new one, and one that was there before
        with pytest.raises(Refused, match="inventory_too_large"):
            report(more, "r3", "r4")
    assert up() == "acd"
    assert report("e", "r9", "r4")[:3] == ("r3", True, False)
    assert report("acd", "r3", "r4")[:3] == ("r4", False, True)


def test_the_catalogue_keeps_every_figure_and_counts_only_good_ones(city: Any) -> None:
    a100 = AcceleratorModel.objects.get(pk="a100-sxm4-80g")
    assert {(f.precision, f.basis, f.gflops) for f in a100.figures.all()} >= {
        ("fp16", "nominal", 312_000),
        ("fp16", "measured", 251_500),
    }
    services.load_accelerators()
    h100 = AcceleratorModel.objects.get(pk="h100-sxm5-80g")
    assert h100.figures.filter(sparsity="sparse", gflops=1_979_000).count() == 1

    services.report_nodes(
        city.agent(city.intelligent),
        [
            NodeReport("a", 8, 4096, (("a100-sxm4-80g", 8),)),
            NodeReport("h", 8, 4096, (("h100-sxm5-80g", 8),)),
        ],
        engine="memory",
        version="",
        isolation="",
        at=city.now,
    )
    facts = queries.centre_facts("cards", city.now)
    [fp16] = [c for c in facts.capacities if c.precision == "fp16"]
    assert (fp16.gflops, fp16.cards_counted, fp16.cards_without_evidence) == (8 * 312_000, 8, 8)
    assert fp16.pflops == Fraction(2496, 1000)


def test_every_write_leaves_a_trail_and_no_token_is_kept(city: Any) -> None:
    agent, token = services.create_enrolment(city.general, actor=city.provider, at=city.now)
    set_core_price(city, 20)

    verbs = set(AuditEvent.objects.values_list("verb", flat=True))
    assert {"centres.manage", "prices.set", "agents.enrol"} <= verbs
    assert token not in str(list(AuditEvent.objects.values_list("facts", flat=True)))
    assert agent.token_hash != token


def test_a_centre_is_held_to_its_own_facts(city: Any, bare: Any) -> None:
    from .conftest import centre

    for change, code in (
        ({"code": "Has Spaces"}, "centre_code_unusable"),
        ({"code": "plain"}, "centre_code_taken"),
        ({"tier": "moon"}, "centre_tier_unknown"),
        ({"kind": "moon"}, "centre_kind_unknown"),
        ({"division": "000000"}, "division_unknown"),
        ({"racks": 1, "racks_used": 2}, "racks_impossible"),
        ({"name": " "}, "centre_name_missing"),
    ):
        with pytest.raises(Refused, match=code):
            centre(city.provider, **{"code": "another", "kind": "general"} | change)
    with pytest.raises(DatabaseError), transaction.atomic():
        type(city.general.centre).objects.filter(code="plain").update(racks_used=101)


def test_a_closed_centre_takes_no_new_work(city: Any) -> None:
    services.close_centre(city.general.centre, actor=city.provider, at=city.now)

    with pytest.raises(Refused, match="job_fits_nowhere"):
        city.submit(centre="plain")
    assert city.submit().state == "queued"
    with pytest.raises(Refused, match="centre_closed"):
        services.register_cluster(
            queries.centre("plain"),
            name="x",
            engine="local",
            actor=city.provider,
            at=city.now,
        )
