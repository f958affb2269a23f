"""What ``suanwang jobs submit`` makes of a script, a file of wishes and its options."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from click import unstyle
from typer.testing import CliRunner

from suanwang.cli import application
from suanwang.cli.jobs import _specification
from suanwang.core.jobspec import JobSpec

SCRIPT = "#!/bin/bash\n#SBATCH --cpus-per-task=4\n#SBATCH --time=10\ntrue\n"


def written(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_options_win_over_wishes_and_wishes_over_the_script(tmp_path: Path) -> None:
    script = written(tmp_path, "job.sh", SCRIPT)
    wishes = written(
        tmp_path,
        "wishes.yaml",
        "cores: 8\nwalltime_seconds: 1200\nwhere: {tiers: [park]}\ndeadline: 2031-02-03 04:05:06\n",
    )
    spec = JobSpec.model_validate(_specification(script, None, wishes, cores=16, goal=None))
    assert (spec.cores, spec.walltime_seconds, spec.goal) == (16, 1200, "cheapest")
    assert spec.where.tiers == ["park"]
    assert spec.deadline is not None
    assert spec.deadline.isoformat() == "2031-02-03T04:05:06+08:00"


def test_several_nodes_get_the_usual_each(tmp_path: Path) -> None:
    wishes = written(tmp_path, "wishes.json", '{"nodes": 4}')
    spec = JobSpec.model_validate(_specification(None, "true", wishes))
    assert spec.per_node == (1, 1024, 0)


def test_an_image_is_an_option_and_may_be_wished(tmp_path: Path) -> None:
    wishes = written(tmp_path, "wishes.yaml", "image: lab/tool:1\n")
    wished = JobSpec.model_validate(_specification(None, "true", wishes, image=None))
    given = JobSpec.model_validate(_specification(None, "true", wishes, image="python:3"))
    assert (wished.image, given.image) == ("lab/tool:1", "python:3")
    helped = CliRunner().invoke(application(), ["jobs", "submit", "--help"])
    assert "--image" in unstyle(helped.output)


@pytest.mark.parametrize("text", ["- a list", "1: number", "a: [", "x: \x00"])
def test_a_file_that_is_no_wishes_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(typer.BadParameter):
        _specification(None, "true", written(tmp_path, "wishes.yaml", text))
