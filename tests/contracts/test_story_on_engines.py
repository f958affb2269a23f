"""The main job holds with its work on a real Slurm and on a real Ray, and so does the audit."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ..services.city.running import City
from .slurm_cluster import JOB_USER


@pytest.fixture(scope="module")
def city() -> Iterator[City]:
    """A small demo city that runs."""
    folder = Path(tempfile.mkdtemp(prefix="sw-engines-"))
    folder.chmod(0o711)
    city = City(folder / "home", demo_days=1)
    try:
        city.up()
        yield city
        city.down()
    finally:
        city.kill_everything()
        shutil.rmtree(folder)


@pytest.mark.parametrize("engine", ["slurm", "ray"])
def test_the_story_holds_with_its_job_on_a_real_engine(
    engine: str, city: City, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    said = {"engine": engine} | _options(engine, request)
    file = tmp_path / "engine.yaml"
    file.write_text(yaml.safe_dump(said))
    done = city.run("story", "--json", "--engine", str(file))
    told = json.loads(done.stdout)
    assert done.returncode == 0, (told["failure"], told["audit"])
    assert told["held"]
    assert told["steps"][0]["facts"]["engine"] == engine
    assert len(told["steps"]) == 13
    assert all(finding["kept"] for finding in told["audit"]["findings"])


def _options(engine: str, request: pytest.FixtureRequest) -> dict[str, Any]:
    if engine == "ray":
        cards = {
            "a100-sxm4-80g": {"resource": "GPU", "marker": "accelerator_type:A100"},
            "ascend-910b": "npu",
        }
        return {"url": request.getfixturevalue("ray_cluster").url, "accelerators": cards}
    cluster = request.getfixturevalue("slurm")
    return {
        "folder": str(cluster.folder / "jobs" / "story"),
        "user": JOB_USER,
        "conf": str(cluster.conf),
        "url": cluster.url,
        "token_file": str(cluster.token_file),
        "accelerators": {"a100-sxm4-80g": "gpu:a100", "h20": "gpu:h20"},
    }
