"""An existing Slurm script is understood, and whatever is not is said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanwang.core import sbatch
from suanwang.core.errors import Refused
from suanwang.core.jobspec import JobSpec
from suanwang.core.refusals import catalogue

SCRIPT = """#!/bin/bash -l
#SBATCH --job-name="train it"   # a comment
#SBATCH -n 2 -c4
#SBATCH --mem-per-cpu=2G
#SBATCH --time 1-02:30
#SBATCH --gres=gpu:a100:2
# an ordinary comment

#SBATCH --partition=gpu --output=%j.out
#SBATCH --export=NONE,SEED=7
##SBATCH --time=5
echo run
#SBATCH --time=1
"""


def test_a_whole_script_becomes_a_job() -> None:
    reading = sbatch.read(SCRIPT)
    spec = JobSpec.model_validate(reading.fields | {"script": SCRIPT})
    assert spec.name == "train it"
    assert spec.cores == 8
    assert spec.memory_mib == 16 * 1024
    assert spec.walltime_seconds == 26 * 3600 + 30 * 60
    assert (spec.accelerators, spec.accelerator_model) == (2, "a100")
    assert spec.environment == {"SEED": "7"}
    assert {one.option for one in reading.ignored} == {"partition", "output"}
    assert all(one.became in catalogue() for one in reading.ignored)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 1800),
        ("30:15", 1815),
        ("2:30:15", 9015),
        ("2-3", 2 * 86400 + 3 * 3600),
        ("2-3:04", 2 * 86400 + 3 * 3600 + 240),
        ("2-3:04:05", 2 * 86400 + 3 * 3600 + 245),
        ("0:01", 1),
        ("UNLIMITED", None),
        ("0", None),
    ],
)
def test_every_time_of_slurm_is_read(text: str, seconds: int | None) -> None:
    assert sbatch.seconds(text) == seconds


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("--mem=1", {"memory_mib": 16}),
        ("--mem=512K", {"memory_mib": 16}),
        ("--mem=3GB", {"memory_mib": 3072}),
        ("--mem=2G -N 2", {"memory_mib": 4096, "cores": 2, "nodes": 2}),
        ("--mem-per-gpu=2G --gpus=3", {"memory_mib": 6144, "accelerators": 3}),
        ("-N2 --ntasks-per-node=8 -c 2", {"cores": 32, "nodes": 2}),
        ("--gpus=h800:4", {"accelerators": 4, "accelerator_model": "h800"}),
        ("--gres=gpu", {"accelerators": 1}),
        ("--gres=gpu:2 -N 3", {"accelerators": 6, "cores": 3, "nodes": 3}),
        ("-N 2 -n 3", {"cores": 4, "nodes": 2}),
        ("--gres=mps:50", {"accelerators": 1, "card_milli": 500}),
        ("--begin=2026-12-01T08:00", {"not_before": "2026-12-01T08:00:00+08:00"}),
        ("--deadline=2026-12-01T08:00Z", {"deadline": "2026-12-01T08:00:00+00:00"}),
        ("--begin=now+1hour", {}),
        (
            "-d afterok:7b1c7f5e-58a9-4a39-9d7b-9d9f0ac0b5f1",
            {"after": ["7b1c7f5e-58a9-4a39-9d7b-9d9f0ac0b5f1"]},
        ),
        ("-d afterany:12", {}),
        ("--nice=50", {"priority": "low"}),
        ("--qos=high", {"priority": "high"}),
        ("-C edge&domestic", {"where": {"tiers": ["edge"], "domestic": "required"}}),
        ("--gres=shard:2", {}),
        ("--export=ALL", {}),
        ("--array=1-10 --requeue --mail-type END", {}),
        ("--time=0", {}),
    ],
)
def test_amounts_are_totals_over_the_job(line: str, fields: dict[str, object]) -> None:
    assert sbatch.read(f"#!/bin/sh\n#SBATCH {line}\n").fields == fields


@pytest.mark.parametrize(
    "line",
    ["--time=soon", "--mem=lots", "-c zero", "-c 0", "-N x", "--job-name='x", "stray", "-n -1"],
)
def test_what_cannot_be_read_is_refused_not_guessed(line: str) -> None:
    with pytest.raises(Refused) as caught:
        sbatch.read(f"#SBATCH {line}\n")
    assert caught.value.code in ("sbatch_value_unreadable", "sbatch_line_unreadable")
    assert caught.value.code in catalogue()


@given(st.lists(st.text(alphabet="-=ntcgpu:,0123456789 'aG\\", max_size=30), max_size=4))
def test_no_line_does_anything_but_be_read_or_refused(lines: list[str]) -> None:
    try:
        reading = sbatch.read("".join(f"#SBATCH {line}\n" for line in lines))
    except Refused:
        return
    for one in reading.ignored:
        assert one.became in catalogue()
