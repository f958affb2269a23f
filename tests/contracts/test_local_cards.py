"""Cards of the local engine: each in one job's hands at a time, and nobody else's in sight."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from suanwang.core.jobspec import JobSpec
from suanwang.engines.local.cards import vendors
from suanwang.engines.local.plan import read_plan
from suanwang.engines.local.settings import LocalCards, LocalOptions
from suanwang.engines.port import Accelerators, Rejected, Submission

from .engine_benches import LocalBench, ended, look, no_skip_in_ci, output, submit, until

NAME = f"/dev/suanwang-test-{os.getpid()}"
CARDS = LocalCards(
    model="A100-40G", numbers=[0, 1, 3], device=NAME + "-{}",
    shared=[f"{NAME}-ctl", f"{NAME}-not-there"], environment=["CUDA_VISIBLE_DEVICES"],
)  # fmt: skip
LOOK = f"echo $CUDA_VISIBLE_DEVICES; ls {NAME}* 2>/dev/null | cut -d- -f4 | tr '\\n' ' '"
"""The cards a job is told of, and the device files it sees."""


@pytest.fixture
def device_files() -> Iterator[list[Path]]:
    """Copies of /dev/null in place of cards."""
    if os.geteuid() != 0:
        pytest.skip(no_skip_in_ci("device files are made by root"))
    made = [Path(f"{NAME}-{name}") for name in ("0", "1", "3", "ctl")]
    for path in made:
        os.mknod(path, 0o020666, os.makedev(1, 3))
        path.chmod(0o666)
    yield made
    for path in made:
        path.unlink(missing_ok=True)


@pytest.fixture(params=["box", "no box"])
def bench(
    request: pytest.FixtureRequest, tmp_path: Path, device_files: list[Path]
) -> Iterator[LocalBench]:
    sandbox = "auto" if request.param == "box" else "session"
    bench = LocalBench(tmp_path, sandbox=sandbox, cards=CARDS.cards())
    facts = bench.engine.capabilities()
    if request.param == "box" and not facts.isolation.startswith("bubblewrap"):
        pytest.skip(no_skip_in_ci(facts.notes[0]))
    yield bench
    for folder in (tmp_path / "engine" / "jobs").iterdir():
        bench.engine.cancel([folder.name], 0)
        ended(bench, folder.name)
        bench.engine.forget([folder.name])


def boxed(bench: LocalBench) -> bool:
    return bench.engine.capabilities().isolation.startswith("bubblewrap")


def refused(bench: LocalBench, **fields: object) -> Rejected:
    spec = JobSpec.model_validate({"script": "true", "memory_mib": 64} | fields)
    [answer] = bench.engine.submit([Submission("refused", spec)])
    assert isinstance(answer, Rejected)
    return answer


def test_the_inventory_has_the_cards_that_are_there(
    bench: LocalBench, device_files: list[Path]
) -> None:
    [node] = bench.engine.inventory()
    assert node.accelerators == (Accelerators("A100-40G", 3),)
    device_files[2].unlink()
    [node] = bench.engine.inventory()
    assert node.accelerators == (Accelerators("A100-40G", 2),)
    assert any(f"{NAME}-3 is not there" in note for note in bench.engine.capabilities().notes)


def test_a_job_has_its_own_cards_and_sees_no_other(bench: LocalBench) -> None:
    one = submit(bench, "a1", f"{LOOK}; sleep 60", memory_mib=64, accelerators=1)
    until(bench, one, lambda _: b"ctl " in bench.engine.logs(one, "stdout", 0).data)
    two = submit(bench, "a2", LOOK, memory_mib=64, accelerators=2, accelerator_model="A100-40G")
    ended(bench, two)
    bench.engine.cancel([one], 0)
    ended(bench, one)
    if boxed(bench):
        assert output(bench, one).split() == ["0", "0", "ctl"]
        assert output(bench, two).split() == ["0,1", "1", "3", "ctl"]
    else:
        assert output(bench, one).splitlines()[0] == "0"
        assert output(bench, two).splitlines()[0] == "1,3"
    root = bench.settings.root / "jobs"
    assert (read_plan(root / one).cards, read_plan(root / two).cards) == ([0], [1, 3])


def test_a_job_without_cards_sees_none_and_cannot_name_itself_one(bench: LocalBench) -> None:
    job = submit(bench, "a1", LOOK, memory_mib=64, environment={"CUDA_VISIBLE_DEVICES": "0,1,3"})
    ended(bench, job)
    shown = output(bench, job)
    assert shown.splitlines()[0] == ""
    assert not boxed(bench) or shown.split() == []


def test_cards_are_held_to_the_end_also_under_a_new_engine(bench: LocalBench) -> None:
    job = submit(bench, "a1", "sleep 60", memory_mib=64, accelerators=2)
    until(bench, job, lambda seen: seen.state == "running")
    bench.again()
    answer = refused(bench, accelerators=2)
    assert (answer.code, answer.permanent) == ("engine_busy", False)
    bench.engine.cancel([job], 0)
    ended(bench, job)
    again = submit(bench, "a2", "true", memory_mib=64, accelerators=3)
    assert ended(bench, again).state == "succeeded"
    assert look(bench, again).exit_code == 0


def test_what_is_not_here_or_not_given_out_is_refused_for_good(bench: LocalBench) -> None:
    for fields in (
        {"accelerators": 4},
        {"accelerators": 1, "accelerator_model": "H100"},
        {"accelerators": 1, "card_milli": 500},
    ):
        answer = refused(bench, **fields)
        assert (answer.code, answer.permanent) == ("engine_no_node_fits", True), fields


@pytest.mark.parametrize(
    "said",
    [
        {"vendor": "nvidia", "numbers": []},
        {"vendor": "nvidia", "numbers": [0, 0]},
        {"vendor": "abacus", "numbers": [0]},
        {"numbers": [0]},
        {"numbers": [0], "device": "/dev/card"},
        {"numbers": [0], "device": "/etc/{}"},
        {"numbers": [0], "device": "/dev/{}{}"},
        {"vendor": "nvidia", "numbers": [0], "shared": ["../dev/x"]},
        {"vendor": "nvidia", "numbers": [0], "environment": ["a b"]},
    ],
)
def test_settings_that_make_no_sense_are_refused(said: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        LocalCards.model_validate({"model": "A100-40G"} | said)


def test_every_makers_cards_are_told_by_number_alone(tmp_path: Path) -> None:
    for name in vendors():
        options = LocalOptions.model_validate(
            {"accelerators": {"model": "X", "vendor": name, "numbers": [1, 0]}}
        )
        cards = options.settings(tmp_path).cards
        assert cards.numbers == (0, 1) and cards.environment
        assert cards.file_of(1).startswith("/dev/") and "{" not in cards.file_of(1)
    assert LocalCards(model="X", vendor="hygon", numbers=[1]).cards().file_of(1).endswith("129")
