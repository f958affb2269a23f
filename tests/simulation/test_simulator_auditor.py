"""The auditor notices every broken promise; a test that trusts it must know that it looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from suanwang.placement.simulator.auditor import Auditor, Unsound
from suanwang.placement.terms import Ask

from .small_city import centre, city, job

SCENARIO = city(
    [
        job("one", cards=2, cores=4),
        job("two", cards=3, cores=4),
        job("gang", nodes=2),
        job("big", cores=8),
    ],
    centres={"one": centre(3)},
)
ASKS: dict[str, Ask] = {work.label: work.ask for work in SCENARIO.works}

STRANGER = replace(ASKS["one"], job_id=SCENARIO.machines[0].cluster_id)


@pytest.fixture
def auditor() -> Auditor:
    watching = Auditor(SCENARIO.machines)
    for ask in ASKS.values():
        watching.came(ask)
    return watching


def _card_twice(a: Auditor) -> None:
    a.started(ASKS["one"], [0], [(0, 1)])
    a.started(ASKS["two"], [0], [(1, 2, 3)])


def _cores_over(a: Auditor) -> None:
    a.started(ASKS["one"], [0], [(0, 1)])
    a.started(ASKS["big"], [0], [()])


def _twice(a: Auditor) -> None:
    a.started(ASKS["one"], [0], [(0, 1)])
    a.started(ASKS["one"], [1], [(0, 1)])


def _on_broken(a: Auditor) -> None:
    a.broke([1])
    a.started(ASKS["one"], [1], [(0, 1)])


def _left_on_broken(a: Auditor) -> None:
    a.started(ASKS["one"], [0], [(0, 1)])
    a.broke([0])


def _ended_twice(a: Auditor) -> None:
    a.ended(ASKS["one"].job_id, "done")
    a.came(ASKS["one"])


def _back_in_time(a: Auditor) -> None:
    a.at(SCENARIO.starts_at)
    a.at(SCENARIO.starts_at - timedelta(seconds=1))


def _lost(a: Auditor) -> None:
    a.close(ask.job_id for ask in ASKS.values())


def _held(a: Auditor) -> None:
    a.started(ASKS["one"], [0], [(0, 1)])
    a.close([])


@pytest.mark.parametrize(
    ("slip", "code"),
    [
        (_card_twice, "node_over_capacity"),
        (_cores_over, "node_over_capacity"),
        (_twice, "job_runs_twice"),
        (_on_broken, "node_is_down"),
        (_left_on_broken, "job_on_broken_node"),
        (_ended_twice, "job_came_twice"),
        (_back_in_time, "time_went_back"),
        (_lost, "job_lost"),
        (_held, "something_still_held"),
        (lambda a: a.started(ASKS["gang"], [0], [()]), "gang_not_whole"),
        (lambda a: a.started(ASKS["gang"], [0, 0], [(), ()]), "gang_spread_wrong"),
        (lambda a: a.started(ASKS["one"], [0], [(0, 0)]), "cards_wrong"),
        (lambda a: a.started(ASKS["one"], [0], [(0, 9)]), "cards_wrong"),
        (lambda a: a.waits_again(ASKS["one"]), "job_does_not_run"),
        (
            lambda a: a.started(
                replace(ASKS["one"], job_id=SCENARIO.machines[0].cluster_id), [0], []
            ),
            "job_does_not_wait",
        ),
        (lambda a: a.ended(STRANGER.job_id, "done"), "job_unknown"),
    ],
)
def test_the_auditor_names_the_slip(
    auditor: Auditor, slip: Callable[[Auditor], None], code: str
) -> None:
    with pytest.raises(Unsound) as raised:
        slip(auditor)
    assert raised.value.code == code


def test_the_auditor_is_content_with_a_sound_life(auditor: Auditor) -> None:
    auditor.started(ASKS["one"], [0], [(0, 1)])
    auditor.started(ASKS["gang"], [1, 2], [(), ()])
    auditor.waits_again(ASKS["one"])
    for ask in ASKS.values():
        auditor.ended(ask.job_id, "done")
    auditor.close(ask.job_id for ask in ASKS.values())
    assert auditor.checks == 4
