"""The published packing protocol: its arithmetic by hand, its rivals on the real lists."""

from __future__ import annotations

import gzip
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from suanwang.core.errors import Refused
from suanwang.placement.pool import Need
from suanwang.placement.simulator import openb, openb_centres, openb_rivals
from suanwang.placement.simulator.openb_lists import Cluster, PodList, read_cluster, read_pods
from suanwang.placement.simulator.openb_published import published
from suanwang.placement.simulator.problems import Problems

FOLDER = Path(
    os.environ.get("SUANWANG_TRACES", Path(__file__).resolve().parents[3] / "shared" / "data")
)
NODES = """sn,cpu_milli,memory_mib,gpu,model
a,8000,32768,2,T4
b,8000,32768,1,P100
c,8000,32768,0,
"""
PODS = """name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos
p2,1000,1024,1,500,,LS
p1,1000,1024,1,1000,T4,LS
p3,1000,1024,2,1000,,BE
p4,4000,1024,0,0,,BE
"""


def real_cluster() -> Cluster:
    return read_cluster(real("openb_node_list_gpu_node"), Problems("refuse"))


def real(name: str) -> list[str]:
    path = FOLDER / "openb" / f"{name}.csv.gz"
    if not path.exists():
        pytest.skip(f"the trace {name} is not here: set SUANWANG_TRACES")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return file.readlines()


def small(nodes: str = NODES, pods: str = PODS) -> tuple[Cluster, PodList]:
    cluster = read_cluster(nodes.splitlines(), Problems("refuse"))
    return cluster, read_pods(pods.splitlines(), cluster, Problems("refuse"))


def test_pods_are_read_in_the_order_of_their_names():
    cluster, pods = small()
    assert cluster.milli == 3000
    assert [pods.needs[kind] for kind in pods.kind.tolist()] == [
        Need(1000, 1024, 1, 1000, (cluster.models.index("T4"),)),
        Need(1000, 1024, 1, 500),
        Need(1000, 1024, 2, 1000),
        Need(4000, 1024),
    ]


def test_the_figure_is_what_is_not_allocated_at_the_moments_that_round_to_a_column():
    cluster, pods = small(
        "sn,cpu_milli,memory_mib,gpu,model\na,9000,9000,2,T4\n",
        "name,cpu_milli,memory_mib,num_gpu,gpu_milli\na,1,1,1,1000\nb,1,1,1,10\nc,1,1,0,0\n",
    )
    whole, little, none = 0, 1, 2
    arriving = np.array([whole, little, none, whole, whole])
    machines = np.array([0, 0, 0, -1, 0])
    curve = openb.unallocated(pods, cluster, arriving, machines)
    # 50% arrived, 50% allocated; then 50.5, which rounds up, twice; then 100.5 arrived of which
    # only 50.5 are allocated; then 150.5, beyond the last column.
    assert curve[50] == pytest.approx(50)
    assert curve[51] == pytest.approx(49.5)
    assert curve[101] == pytest.approx(49.5)
    assert np.isfinite(curve).sum() == 3


def test_a_seed_is_the_list_shuffled_and_drawn_from_until_a_draw_would_pass_130_percent():
    cluster, pods = small(pods="\n".join(PODS.splitlines()[:3]))
    for seed in range(30):
        arriving = openb.arrivals(pods, cluster, seed)
        assert sorted(arriving[:2].tolist()) == [0, 1]
        demand = pods.demand[arriving]
        assert demand.sum() <= 3900  # of single cards, the check is exact
        assert demand.sum() + 1000 > 3900  # otherwise the dearest draw would still have passed
    assert openb.arrivals(pods, cluster, 7).tolist() == openb.arrivals(pods, cluster, 7).tolist()


def test_a_draw_of_several_cards_is_checked_as_one_and_counted_as_all():
    cluster, pods = small(pods="\n".join([PODS.splitlines()[0], PODS.splitlines()[3]]))
    # 2,000 of 3,000; one card more would pass neither 3,900: drawn; then 5,000 would: it ends.
    # The second is past the last column (4,000 of 3,000 are 133%), so nobody looks at it.
    assert openb.arrivals(pods, cluster, 42).tolist() == [0]


def test_a_list_that_asks_for_no_cards_is_refused_and_does_not_draw_for_ever():
    cluster, pods = small(pods="\n".join([PODS.splitlines()[0], PODS.splitlines()[4]]))
    with pytest.raises(Refused, match="trace_demand_too_small"):
        openb.arrivals(pods, cluster, 42)


def test_the_typical_mix_is_the_commonest_pods_until_95_percent_are_covered():
    cluster = small()[0]
    rows = [f"a{i},1000,{1000 + i},1,500" for i in range(60)]  # memory makes no difference
    rows += [f"b{i},2000,1,0,0" for i in range(35)]
    rows += [f"c{i},{3000 + i},1,1,1000" for i in range(5)]
    head = "name,cpu_milli,memory_mib,num_gpu,gpu_milli"
    pods = read_pods([head, *rows], cluster, Problems("refuse"))
    needs, weight = openb_rivals.typical_mix(pods)
    assert needs == [Need(1000, 0, 1, 500), Need(2000, 0)]
    assert weight.tolist() == [60 / 95, 35 / 95]


def test_what_is_wrong_with_a_list_is_told_with_its_line_and_left_out():
    cluster = small()[0]
    problems = Problems("skip")
    wrong = [
        "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,colour",
        "good,1000,1024,1,500,T4|H100,red",
        "short,1000",
        "negative,-1,1024,1,500,,",
        "half,1000,1024,1.5,500,,",
        "words,many,1024,1,500,,",
        "wide,1000,1024,1,1500,,",
        "large,1000,1024,3,1000,,",
        "strange,1000,1024,1,1000,H100,",
        "wrongly,1000,1024,2,1000,P100,",
        "good,1000,1024,1,500,,",
    ]
    pods = read_pods(wrong, cluster, problems)
    assert [(one.line, one.code) for one in problems.found] == [
        (1, "trace_column_unknown"),
        (2, "pod_model_ignored"),
        (3, "trace_cells_wrong"),
        (4, "trace_value_wrong"),
        (5, "trace_value_wrong"),
        (6, "trace_value_wrong"),
        (7, "trace_value_wrong"),
        (8, "job_impossible"),
        (9, "job_model_unknown"),
        (10, "job_impossible"),
        (11, "job_twice"),
    ]
    assert pods.needs == (Need(1000, 1024, 1, 500, (cluster.models.index("T4"),)),)
    with pytest.raises(Refused, match="line=4"):
        read_pods([*PODS.splitlines()[:3], *wrong[3:]], cluster, Problems("refuse"))


def test_nodes_that_are_none_are_told_and_a_cluster_without_cards_is_refused():
    problems = Problems("skip")
    lines = [*NODES.splitlines(), "a,1,1,1,T4", "d,1,1,-1,T4", "e,1,1,9999,T4"]
    assert read_cluster(lines, problems).cards.tolist() == [2, 1, 0]
    assert [(one.line, one.code) for one in problems.found] == [
        (5, "trace_node_twice"),
        (6, "trace_value_wrong"),
        (7, "trace_value_wrong"),
    ]
    with pytest.raises(Refused, match="trace_no_cards"):
        read_cluster(["sn,cpu_milli,memory_mib,gpu,model", "a,1,1,0,"], Problems("skip"))


@pytest.mark.parametrize("policy", openb_rivals.RIVALS)
def test_a_rival_places_whatever_fits_and_overfills_nothing(policy):
    cluster, pods = small()
    for seed in range(20):
        arriving = np.random.default_rng(seed).integers(len(pods.needs), size=12)
        order = openb.tie_order(cluster, seed)
        run = openb_rivals.play(
            cluster, pods, arriving, policy=policy, order=order, seed=seed, clock=time.process_time
        )
        assert openb.audit(cluster, pods, arriving, run) == ""


@pytest.mark.parametrize("policy", ["ours", "bestfit"])
def test_the_pool_places_whatever_fits_and_overfills_nothing(policy):
    cluster, pods = small()
    for seed in range(5):
        arriving = np.random.default_rng(seed).integers(len(pods.needs), size=12)
        order = openb.tie_order(cluster, seed)
        run = openb.play(
            cluster, pods, arriving, policy=policy, order=order, clock=time.process_time
        )
        assert openb.audit(cluster, pods, arriving, run) == ""
        assert (run.machines < 0).any()
        # and the auditor would have seen it otherwise
        dropped = openb.Run(np.full(12, -1), 0.0, 0.0, [()] * 12)
        assert "had room" in openb.audit(cluster, pods, arriving, dropped)
        heaped = openb.Run(np.zeros(12, np.int64), 0.0, 0.0, run.cards)
        assert openb.audit(cluster, pods, arriving, heaped) != ""


LARGER = "sn,cpu_milli,memory_mib,gpu,model\n" + "\n".join(
    f"n{i},{cores},65536,{cards},{model}"
    for i, (cores, cards, model) in enumerate(
        [(8000, 1, "P100")] * 6 + [(32000, 4, "T4")] * 4 + [(16000, 2, "A10")] * 5
    )
)


@pytest.mark.parametrize("stale", [1, 7, 1000])
def test_cut_into_centres_nothing_is_lost_placed_twice_or_dropped_while_there_is_room(stale):
    cluster, pods = small(LARGER)
    for seed in range(5):
        arriving = np.random.default_rng(seed).integers(len(pods.needs), size=60)
        run = openb_centres.play(
            cluster,
            pods,
            arriving,
            centres=3,
            stale=stale,
            policy="ours",
            order=openb.tie_order(cluster, seed),
            clock=time.process_time,
        )
        assert run.machines.size == 60
        assert openb.audit(cluster, pods, arriving, run) == ""
        assert run.refusals > 0  # old summaries were wrong, or the cluster is full


def test_models_are_cut_into_centres_of_like_size_and_no_model_in_two():
    cluster, _ = small(LARGER)
    by_model = dict(zip(cluster.models, openb_centres.cut(cluster, 2).tolist(), strict=True))
    assert by_model == {"T4": 0, "A10": 1, "P100": 1}  # 16 cards; 10 and 6
    with pytest.raises(Refused, match="trace_centres_too_many"):
        openb_centres.cut(cluster, 4)


def test_a_refused_pod_goes_to_the_next_centre_and_who_refused_is_asked_last():
    cluster, pods = small(LARGER)
    whole = pods.needs.index(Need(1000, 1024, 2, 1000))  # the nodes of P100 have one card
    centre_of = np.array([0, 1, 2])  # P100, T4, A10
    table, shape = openb_centres.shapes(cluster)
    dispatcher = openb_centres.Dispatcher(cluster, pods, centre_of, "bestfit")
    t4, a10 = (int(shape[cluster.group == group][0]) for group in (1, 2))
    assert table[2, [t4, a10]].tolist() == [4, 2]
    full = openb_centres.Row(a10, 0, 5, 80000, 5 * 65536, ((0, 10),))
    idle = openb_centres.Row(t4, 4, 4, 128000, 4 * 65536, ())
    dispatcher.hear([[], [idle], [full]])
    dispatcher.arrived(whole)
    asked = []
    for centre in dispatcher.centres(whole):
        asked.append(centre)
        dispatcher.refused(whole, centre)
    assert asked == [1, 2]  # by the summary the first has room, the second has not
    assert next(dispatcher.centres(whole)) == 1  # both refused it: the emptiest first
    dispatcher.hear([[], [idle], [full]])
    dispatcher.refused(whole, 1)
    assert list(dispatcher.centres(whole)) == [2, 1]
    for _ in range(8):
        dispatcher.sent(whole, 1)
    dispatcher.hear([[], [idle], [full._replace(idle=2, partial=())]])
    for _ in range(8):
        dispatcher.sent(whole, 1)
    assert next(dispatcher.centres(whole)) == 2  # what was sent is taken off


def test_a_summary_tells_sums_by_shape_and_idle_cards_and_no_node():
    cluster, pods = small(LARGER)
    nodes = np.flatnonzero(cluster.cards == 4)
    centre = openb_centres.Centre(cluster, pods, nodes, openb.tie_order(cluster, 1), "bestfit")
    shape = cluster.group.copy()
    half = pods.needs.index(Need(1000, 1024, 1, 500))
    centre.take(half)
    rows = centre.summary(shape)
    t4 = cluster.models.index("T4")
    assert rows == [
        (t4, 3, 1, 31000, 64512, ((50, 1),)),
        (t4, 4, 3, 96000, 196608, ()),
    ]


def test_a_real_list_cut_into_six_centres_stays_near_the_whole():
    cluster = real_cluster()
    pods = read_pods(real("openb_pod_list_default"), cluster, Problems("refuse"))
    arriving = openb.arrivals(pods, cluster, 42)
    order = openb.tie_order(cluster, 42)
    whole = openb.play(cluster, pods, arriving, policy="ours", order=order, clock=time.process_time)
    parts = openb_centres.play(
        cluster, pods, arriving, centres=6, stale=60, policy="ours", order=order,
        clock=time.process_time,
    )  # fmt: skip
    assert openb.audit(cluster, pods, arriving, whole) == ""
    assert openb.audit(cluster, pods, arriving, parts) == ""
    lost = [openb.unallocated(pods, cluster, arriving, run.machines)[100] for run in (whole, parts)]
    assert lost[1] <= lost[0] + 0.5  # of one seed; 0.3 is the goal of all


def test_fgd_and_best_fit_come_out_as_published_on_the_default_list():
    cluster = real_cluster()
    pods = read_pods(real("openb_pod_list_default"), cluster, Problems("refuse"))
    arriving = openb.arrivals(pods, cluster, 42)
    order = openb.tie_order(cluster, 42)
    found = {}
    for policy in ("fgd", "bestfit", "random"):
        run = openb_rivals.play(
            cluster, pods, arriving, policy=policy, order=order, seed=42, clock=time.process_time
        )
        found[policy] = openb.unallocated(pods, cluster, arriving, run.machines)[100]
        # One seed of ten: within the spread of the authors' own.
        assert found[policy] == pytest.approx(published()["default"][policy][1], abs=1.0)
    assert found["fgd"] == pytest.approx(FGD_AT_42, abs=0.005)
    assert found["fgd"] < found["bestfit"] < found["random"]


FGD_AT_42 = 5.04
"""Pinned: default, seed 42, at 100% arrived."""


def test_the_command_tells_how_it_was_misled_and_cut_and_refuses_what_cannot_be(tmp_path):
    from suanwang.cli import application

    (tmp_path / "nodes.csv").write_text(LARGER, encoding="utf-8")
    (tmp_path / "mine.csv").write_text(PODS, encoding="utf-8")
    (tmp_path / "other.csv").write_text("\n".join(PODS.splitlines()[:3]), encoding="utf-8")

    def asked(*options: str) -> Any:
        return CliRunner().invoke(
            application(),
            ["simulate", "openb", "--list", str(tmp_path / "mine.csv"), "--nodes",
             str(tmp_path / "nodes.csv"), "--seeds", "1", "--beside", "fgd", *options],
        )  # fmt: skip

    misled = asked("--json", "--start-histogram", str(tmp_path / "other.csv"))
    assert json.loads(misled.stdout)["start_histogram"] == "other"
    cut = json.loads(asked("--json", "--centres", "2", "--stale", "5").stdout)
    assert (cut["centres"], cut["stale"]) == (2, 5)
    assert [row["by"] for row in cut["lists"][0]["policies"]] == ["pool", "centres", "brute force"]
    assert asked("--centres", "4").exception.code == "trace_centres_too_many"
    assert asked("--malformed", "refuse").exit_code == 0
    assert asked("--policy", "sjf").exit_code == asked("--seeds", "5-1").exit_code == 2
    assert asked("--list", "nowhere").exception.code == "trace_unreadable"


def test_two_processes_find_what_one_finds(tmp_path):
    from suanwang.cli import application

    (tmp_path / "nodes.csv").write_text(LARGER, encoding="utf-8")
    (tmp_path / "mine.csv").write_text(PODS, encoding="utf-8")
    found = []
    for workers in ("1", "2"):
        told = CliRunner().invoke(
            application(),
            ["simulate", "openb", "--list", str(tmp_path / "mine.csv"), "--nodes",
             str(tmp_path / "nodes.csv"), "--seeds", "7,3-4", "--beside", "random", "--json",
             "--workers", workers],
        )  # fmt: skip
        facts = json.loads(told.stdout)
        assert facts["seeds"] == [7, 3, 4]
        found.append([row["by_seed"] for row in facts["lists"][0]["policies"]])
    assert found[0] == found[1]


def test_the_command_tells_every_policy_of_a_list_of_ones_own(tmp_path):
    from suanwang.cli import application

    (tmp_path / "nodes.csv").write_text(NODES, encoding="utf-8")
    (tmp_path / "mine.csv").write_text(PODS + "bad,-1,1,1,1,,\n", encoding="utf-8")
    told = CliRunner().invoke(
        application(),
        ["simulate", "openb", "--list", str(tmp_path / "mine.csv"), "--nodes",
         str(tmp_path / "nodes.csv"), "--seeds", "1-3", "--policy", "ours,bestfit", "--beside",
         "fgd,packing", "--json", "--html", str(tmp_path / "page.html"), "--csv",
         str(tmp_path / "figures.csv")],
    )  # fmt: skip
    assert told.exit_code == 0, told.output
    facts = json.loads(told.stdout)
    (one,) = facts["lists"]
    assert [(row["policy"], row["by"]) for row in one["policies"]] == [
        ("ours", "pool"), ("bestfit", "pool"), ("fgd", "brute force"), ("packing", "brute force"),
    ]  # fmt: skip
    assert facts["left_out"]["mine.csv"] == {"trace_value_wrong": 1}
    assert "trace_value_wrong 1" in told.stderr
    assert len((tmp_path / "figures.csv").read_text(encoding="utf-8").splitlines()) == 1 + 4 * 3
    assert "<polyline" in (tmp_path / "page.html").read_text(encoding="utf-8")
