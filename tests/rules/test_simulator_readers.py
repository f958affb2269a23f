"""Whatever a file holds, a reader answers with a city or a refusal, and counts what it left out."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import timedelta
from importlib import resources
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from suanwang.core.errors import Refused
from suanwang.placement import Policy
from suanwang.placement.simulator import baseline
from suanwang.placement.simulator.build import scenario_of
from suanwang.placement.simulator.city import City
from suanwang.placement.simulator.events import Simulation
from suanwang.placement.simulator.philly import parts, read_philly
from suanwang.placement.simulator.problems import OnMalformed, Problems, by_code
from suanwang.placement.simulator.reading import read_city
from suanwang.placement.simulator.scenario import Scenario
from suanwang.placement.simulator.traces import read_openb_scenario, read_swf_scenario
from suanwang.placement.simulator.what_if import with_centre, with_failure, with_price

EXAMPLE = (resources.files("suanwang.placement.simulator") / "cities" / "example.yaml").read_text(
    encoding="utf-8"
)
SMALL = """suanwang_city: 1
starts_at: 2026-11-25T00:00:00+08:00
cards: {a: {}}
centres:
  one:
    nodes: [{count: 2, cores: 8, memory: 64GiB, card: a, cards: 4}]
workload:
  jobs:
    - {id: good, walltime: 1h}
    - {id: negative, walltime: -5}
    - {id: unknown, walltime: 1h, surprise: 1}
    - {id: huge, walltime: 1h, cards: 9}
    - {id: other, walltime: 1h, cards: 1, model: b}
    - {id: good, walltime: 2h}
    - {id: a, walltime: 1h, after: [b]}
    - {id: b, walltime: 1h, after: [a]}
    - {id: c, walltime: 1h, after: [nobody]}
    - {id: d, walltime: 1h, after: [huge]}
    - {id: e, walltime: 1h, after: [good]}
"""


def _read(text: str, on_malformed: OnMalformed = "skip") -> tuple[Scenario, Problems]:
    problems = Problems(on_malformed)
    city, left_out = read_city(text, on_malformed)
    problems.found += left_out
    return scenario_of(city, problems, seed=1), problems


def test_what_is_wrong_is_left_out_with_its_reason_and_the_rest_is_played() -> None:
    scenario, problems = _read(SMALL)
    assert [work.label for work in scenario.works] in (["good", "e"], ["e", "good"])
    assert by_code(problems.found) == {
        "city_part_wrong": 2, "job_in_circle": 2, "job_after_unknown": 2, "job_impossible": 1,
        "job_model_unknown": 1, "job_twice": 1,
    }  # fmt: skip


def test_a_mistake_is_told_with_its_line() -> None:
    _, problems = _read(SMALL)
    lines = [one.line for one in problems.found if one.code == "city_part_wrong"]
    assert [SMALL.splitlines()[line - 1].strip() for line in lines] == [
        "- {id: negative, walltime: -5}", "- {id: unknown, walltime: 1h, surprise: 1}",
    ]  # fmt: skip


def test_whoever_wants_nothing_left_out_is_refused_at_the_first_mistake() -> None:
    with pytest.raises(Refused) as raised:
        _read(SMALL, "refuse")
    assert raised.value.code == "input_refused"
    assert raised.value.facts["line"] == 10


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "valid dictionary"),
        ("[]", "valid dictionary"),
        ("suanwang_city: 2\nstarts_at: 2026-01-01T00:00:00Z\ncentres: {}", "suanwang_city"),
        ("suanwang_city: 1\nstarts_at: 2026-01-01T00:00:00\ncentres: {}", "zone"),
        (SMALL.replace("cores: 8", "cores: -8"), "cores"),
        (SMALL.replace("count: 2", "count: 999999999"), "count"),
        (SMALL.replace("cores: 8", "cores: " + "9" * 5000), ""),
        ("a: &x [1]\nb: *x", "aliases"),
        ("[" * 100_000, "nested"),
        ("- " * 3_000, ""),
        ("a: !!python/object/apply:os.getpid []", ""),
        ('{"suanwang_city": 1', ""),
        ("a: \x00", ""),
    ],
)
def test_what_is_no_city_is_refused(text: str, problem: str) -> None:
    with pytest.raises(Refused) as raised:
        read_city(text)
    assert raised.value.code == "city_unreadable"
    assert problem in str(raised.value.facts["problem"])


def test_a_card_nobody_described_and_a_node_nobody_has_are_refused_by_name() -> None:
    for text, code in (
        (SMALL.replace("cards: {a: {}}", "cards: {}"), "city_card_unknown"),
        (SMALL + "events: [{at: 1, what: fail, centre: two}]", "city_centre_unknown"),
        (SMALL + "events: [{at: 1, what: fail, centre: one, node: x}]", "city_node_unknown"),
    ):
        with pytest.raises(Refused) as raised:
            _read(text)
        assert raised.value.code == code


def test_the_example_city_is_read_whole_and_goes_the_way_back_through_plain_data() -> None:
    city, problems = read_city(EXAMPLE)
    assert problems == []
    assert City.model_validate(city.as_document()) == city


def test_the_same_seed_makes_up_the_same_jobs_and_one_stream_moves_no_other() -> None:
    city, _ = read_city(EXAMPLE)
    first, again = (scenario_of(city, Problems("refuse"), seed=5).works for _ in range(2))
    assert first == again
    document = copy.deepcopy(dict(city.as_document()))
    document["workload"]["streams"][0]["per_day"] = 1.0
    other = scenario_of(City.model_validate(document), Problems("refuse"), seed=5).works
    of_others = [work for work in first if not work.label.startswith("xinghe")]
    assert [work for work in other if not work.label.startswith("xinghe")] == of_others


_ODD = [
    "1h", "-1", "64GiB", "1/0", "1e999", "9" * 400, "2026-13-40", "a", "one", 10**9, -(10**9),
    "0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z", "3660d", 0, 1, 1e308,
]  # fmt: skip
_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from(_ODD),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def _places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(document, dict):
        found += [place for key in document for place in _places(document[key], (*path, key))]
    elif isinstance(document, list):
        found += [p for number, one in enumerate(document) for p in _places(one, (*path, number))]
    return found


FULL = """
suanwang_city: 1
starts_at: 2026-11-25T00:00:00+08:00
cards: {a: {watts: 300, memory: 64GiB, gflops: {fp16: 1000}}}
centres:
  one:
    {tier: park, kind: intelligent, pue: "1.2", green_share: "0.5", green_hours: [1, 2],
     prices: {core_hour_fen: "1", gib_hour_fen: "1/3", card_hour_fen: {a: "900"}},
     nodes: [{count: 2, cores: 8, memory: 64GiB, card: a, cards: 4, racks: 2}],
     failures: {mean_time: 1d, repair: 1h}}
  two:
    {prices: {core_hour_fen: "0", gib_hour_fen: "0"}, nodes: [{cores: 8, memory: 64GiB}],
     summary_every: 600}
links: [{one: one, other: two, latency_us: 5}]
organisations: {x: {weight: "2", quota: {cohort: c, cores: 4, cards: 2}}}
workload:
  jobs:
    - {id: j1, at: 1h, walltime: 2h, seconds: 1h, nodes: 2, cards: 1, model: a, priority: 1}
    - {id: j2, at: 0, walltime: 1h, after: [j1], deadline: 9h, not_before: 30m, deferrable: true}
    - {id: j3, walltime: 1h, capability: {gflops_min: 10}, cards: 1, card_milli: 500,
       where: {near: two, latency_us_max: 9}, cost_max_fen: 100000, checkpoint_every: 10m}
  running: [{id: r, walltime: 3h, started_at: -1h, on: [one/one-001]}]
  streams:
    - {organisation: x, per_day: 30, cards_choice: [0, 1], nodes_choice: [1, 2], seconds: [5m, 2h],
       over_estimate: [1, 2], deferrable_share: 0.5, deadline_after: [1, 2]}
  stream_days: 0.5
events:
  - {at: 2h, what: fail, centre: one, node: one-001, lasts: 1h}
  - {at: 3h, what: price, centre: one, lasts: 1h, prices: {core_hour_fen: "2"}}
  - {at: 4h, what: unheard, centre: two}
"""
_DOCUMENT = yaml.safe_load(FULL)
_PLACES = _places(_DOCUMENT)


def _live(scenario: Scenario) -> None:
    """Go through two days of it; the auditor raises if a job is lost."""
    easy = Policy(order="fcfs", backfill="easy", packing="bestfit")
    horizon = timedelta(days=2)
    for number, _ in enumerate(
        Simulation(scenario, baseline.decide, easy, ends_after=horizon).run()
    ):
        if number > 400:
            break


@settings(max_examples=150, deadline=None)
@given(place=st.sampled_from(_PLACES), value=_VALUES)
def test_no_value_anywhere_in_a_city_makes_it_crash(place: Any, value: Any) -> None:
    document = copy.deepcopy(_DOCUMENT)
    holder = document
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = value
    text = yaml.safe_dump(document, allow_unicode=True)
    try:
        scenario, _ = _read(text)
    except Refused as refused:
        assert refused.code.startswith("city_")
        return
    if len(scenario.machines) < 100 and len(scenario.works) < 1000:
        _live(scenario)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200))
def test_no_text_makes_the_reader_crash(text: str) -> None:
    with pytest.raises(Refused):
        read_city(text)


PHILLY = ["timestamp,duration,num_gpus,gpu_time,cluster", "2017-10-09 07:01:55,66.0,1,66.0,11cb48"]
VC = ["vc,node num", "11cb48,2"]
PODS = [
    "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time",
    "p0,1000,1024,1,500,P100,LS,Running,0,100,0",
]  # fmt: skip
NODES = ["sn,cpu_milli,memory_mib,gpu,model", "n0,64000,262144,2,P100"]
SWF = ["; MaxProcs: 8", "1 0 0 10 2 -1 -1 2 20 -1 1 7 1 -1 -1 -1 -1 -1"]

READERS: dict[str, Callable[[list[str], Problems], Scenario]] = {
    "philly": lambda lines, problems: read_philly([*PHILLY, *lines], VC, problems),
    "philly_vc": lambda lines, problems: read_philly(PHILLY, [*VC, *lines], problems),
    "openb": lambda lines, problems: read_openb_scenario([*PODS, *lines], NODES, problems),
    "openb_nodes": lambda lines, problems: read_openb_scenario(PODS, [*NODES, *lines], problems),
    "swf": lambda lines, problems: read_swf_scenario([*SWF, *lines], problems),
}


@pytest.mark.parametrize(
    ("reader", "line", "code"),
    [
        ("philly", "2017-10-09 07:01:55,-5,1,66.0,11cb48", "trace_value_wrong"),
        ("philly", "2017-10-09 07:01:55,nan,1,66.0,11cb48", "trace_value_wrong"),
        ("philly", "2017-10-09 07:01:55,5,zero,66.0,11cb48", "trace_value_wrong"),
        ("philly", "yesterday,5,1,66.0,11cb48", "trace_value_wrong"),
        ("philly", "2017-10-09 07:01:55,5,1", "trace_cells_wrong"),
        ("philly", "2017-10-09 07:01:55,5,10000,1,11cb48", "job_impossible"),
        ("philly_vc", "x,-1", "trace_value_wrong"),
        ("openb", "p1,1000,1024,1,500,P100,LS,Running,100,50,0", "trace_value_wrong"),
        ("openb", "p1,1000,1024,1,5000,P100,LS,Running,0,50,0", "trace_value_wrong"),
        ("openb", "p1,1000,1024,1,500,V9,LS,Running,0,50,0", "job_model_unknown"),
        ("openb", "p1,1000,1024,1,500,P100|T4,LS,Running,0,50,0", "trace_models_several"),
        ("openb", "p1,1000,1024,8,1000,P100,LS,Running,0,50,0", "job_impossible"),
        ("openb", "p0,1000,1024,1,500,P100,LS,Running,0,50,0", "job_twice"),
        ("openb_nodes", "n1,64000,262144,-2,P100", "trace_value_wrong"),
        ("swf", "2 0 0 -3 2 -1 -1 2 20 -1 1 7 1 -1 -1 -1 -1 -1", "trace_job_wrong"),
        ("swf", "2 0 0 10 99 -1 -1 99 20 -1 1 7 1 -1 -1 -1 -1 -1", "trace_job_wrong"),
        ("swf", "what is this", "trace_job_wrong"),
    ],
)
def test_a_bad_line_is_told_with_its_number_and_never_dropped_in_silence(
    reader: str, line: str, code: str
) -> None:
    problems = Problems("skip")
    scenario = READERS[reader]([line], problems)
    assert [(one.code, one.line) for one in problems.found] == [(code, 3)]
    assert len(scenario.works) == 1
    with pytest.raises(Refused):
        READERS[reader]([line], Problems("refuse"))


@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=60, deadline=None)
@given(
    lines=st.lists(
        st.text(max_size=60)
        | st.lists(
            st.sampled_from(["", "1", "-1", "0", "1e400", "nan", "inf", "9" * 30, "P100", "a|b",
                             "2017-10-09 07:01:55", "0001-01-01", "9999-12-31 23:59:59"]),
            min_size=1, max_size=20,
        ).map(",".join)
        | st.lists(st.sampled_from(["1", "-1", "0", "1e12", "99999999999", "nan"]),
                   min_size=18, max_size=18).map(" ".join),
        max_size=6,
    )
)  # fmt: skip
def test_no_line_makes_a_reader_of_traces_crash(reader: str, lines: list[str]) -> None:
    problems = Problems("skip")
    scenario = READERS[reader](lines, problems)
    assert scenario.works
    _live(scenario)


def test_every_line_is_a_job_or_a_problem() -> None:
    lines = [f"2017-10-09 07:01:55,{n - 5},{n},1,x" for n in range(40)]
    problems = Problems("skip")
    scenario = READERS["philly"](lines, problems)
    assert len(scenario.works) + len(problems.found) == 1 + len(lines)


def test_a_table_without_its_head_is_refused() -> None:
    for head in ([], ["a,b"], ["\x00" * 50_000]):
        with pytest.raises(Refused) as raised:
            read_philly(head, None, Problems("skip"), nodes=2)
        assert raised.value.code == "trace_header_wrong"


def test_a_cluster_needs_a_shape() -> None:
    for nodes in (0, -1, 10**9, None):
        with pytest.raises(Refused) as raised:
            read_philly(PHILLY, None, Problems("skip"), nodes=nodes)
        assert raised.value.code == "trace_shape_unknown"


@given(st.integers(1, 300), st.integers(1, 16))
def test_a_wide_job_is_cut_into_the_fewest_equal_parts(cards: int, per_node: int) -> None:
    nodes = parts(cards, per_node)
    assert cards % nodes == 0
    assert cards // nodes <= per_node
    assert not [n for n in range(1, nodes) if cards % n == 0 and cards // n <= per_node]


CITY, _ = read_city(EXAMPLE)


@settings(max_examples=100, deadline=None)
@given(
    st.text(max_size=40)
    | st.sampled_from(["park-ai@", "park-ai.core=", "park-ai.core=1/0", "park-ai.core=-1",
                       "park-ai.x=1", "=", "@", "."])
)  # fmt: skip
def test_no_what_if_makes_it_crash(told: str) -> None:
    for change in (with_centre, with_failure, with_price):
        if told in CITY.centres and change is with_failure:
            continue
        with pytest.raises(Refused):
            change(CITY, told)


def test_a_what_if_changes_what_it_says_and_nothing_else() -> None:
    dearer = with_price(CITY, "park-ai.rtx-4090=650.5")
    assert str(dearer.centres["park-ai"].prices.card_hour_fen["rtx-4090"]) == "1301/2"
    assert dearer.centres["edge-general"] == CITY.centres["edge-general"]
    failing = with_failure(CITY, "lake-super@3")
    assert failing.events[-1].at == 3 * 3600
    assert failing.centres == CITY.centres
    more = with_centre(CITY, "centres: {new: {nodes: [{cores: 4, memory: 8GiB}]}}")
    assert more.centres.keys() - CITY.centres.keys() == {"new"}
    with pytest.raises(Refused):
        with_centre(more, "centres: {new: {nodes: []}}")
