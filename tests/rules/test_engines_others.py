"""Others' use of a node is what is taken less what ours hold, whatever starts or ends meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from suanwang.agent.inventory import Inventory
from suanwang.core.clock import SimulatedClock
from suanwang.engines.memory import InMemoryEngine, Outcome
from suanwang.engines.others import Amount, Holding, Others, as_use
from suanwang.engines.port import Accelerators, NodeFacts, NodeUse

NODES = ("n1", "n2")
amounts = st.builds(Amount, st.integers(0, 9), st.integers(0, 99), st.integers(0, 4))
held = st.dictionaries(
    st.sampled_from("abcdef"),
    st.builds(
        Holding, st.lists(st.sampled_from(NODES), min_size=1, unique=True).map(tuple), amounts
    ),
)


def taken(theirs: dict[str, Amount], ours: dict[str, Holding]) -> dict[str, Amount]:
    return {
        node: Amount(
            *(
                part + sum(job.amount[at] for job in ours.values() if node in job.nodes)
                for at, part in enumerate(theirs[node])
            )
        )
        for node in NODES
    }


@given(st.fixed_dictionaries(dict.fromkeys(NODES, amounts)), st.lists(held, min_size=1))
def test_what_ours_do_never_changes_what_is_told_of_others(
    theirs: dict[str, Amount], looks: list[dict[str, Holding]]
) -> None:
    """Ours start and end between any two questions; others stay as they are."""
    others = Others()
    jobs = looks[0]
    assert others.hold(taken(theirs, jobs), jobs, jobs) == theirs
    for following in looks:
        between = jobs if len(following) % 2 else following
        assert others.hold(taken(theirs, between), jobs, following) == theirs
        jobs = following


def test_what_others_do_is_told_beside_ours_that_come_and_go() -> None:
    others, ours = Others(), Holding(("n1",), Amount(2, 10, 0))
    assert others.hold({"n1": Amount(2, 10, 0)}, {"a": ours}, {"a": ours})["n1"] == Amount()
    grown = others.hold({"n1": Amount(7, 10, 1)}, {"a": ours}, {})["n1"]
    assert grown == Amount(5, 0, 1), "at least so much; whether ours had ended is not known"
    assert others.hold({"n1": Amount(7, 10, 1)}, {}, {})["n1"] == Amount(7, 10, 1)
    assert others.hold({"n1": Amount()}, {}, {"a": ours})["n1"] == Amount()


def test_cards_are_told_by_the_models_of_the_node() -> None:
    whole = (Accelerators("a", 2), Accelerators("b", 4))
    told = as_use(Amount(1, 2, 3), whole)
    assert told == NodeUse(1, 2, (Accelerators("a", 2), Accelerators("b", 1)))


def test_an_agent_reports_a_node_again_when_others_use_of_it_changes() -> None:
    quiet = NodeFacts("n1", 8, 1024, (Accelerators("a", 2),), NodeUse(0, 0))
    engine = InMemoryEngine(
        SimulatedClock(datetime(2026, 1, 1, tzinfo=UTC)), [quiet], lambda key, spec: Outcome(1)
    )
    inventory = Inventory(engine)
    inventory.look()
    first = inventory.report()
    assert first["nodes"][0]["others"] == {"cores": 0, "memory_mib": 0, "accelerators": []}
    inventory.acknowledged(first, first["revision"], full_wanted=False)
    assert not inventory.changed
    use = NodeUse(3, 512, (Accelerators("a", 1),))
    inventory.nodes = [NodeFacts("n1", 8, 1024, (Accelerators("a", 2),), use)]
    assert inventory.changed
    (told,) = inventory.report()["nodes"]
    assert told["others"] == {
        "cores": 3, "memory_mib": 512, "accelerators": [{"model": "a", "count": 1}],
    }  # fmt: skip
