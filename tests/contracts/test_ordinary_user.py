"""The local engine for someone who is not root, also when the tests are."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "suanwang"
NEEDED = (
    "pydantic",
    "pydantic_core",
    "annotated_types",
    "typing_extensions",
    "typing_inspection",
)
NOBODY = 65534

PLAY = """
import json, sys, time
from pathlib import Path
from suanwang.core.jobspec import JobSpec
from suanwang.engines.local.build import LocalSettings
from suanwang.engines.local.engine import LocalEngine
from suanwang.engines.port import Submission

engine = LocalEngine(LocalSettings(Path(sys.argv[1]), sandbox=sys.argv[2], processes_max=48))
scripts = json.loads(sys.argv[3])
answers = {"isolation": engine.capabilities().isolation, "notes": engine.capabilities().notes}
for key, fields in scripts.items():
    engine.submit([Submission(key, JobSpec(**fields))])
    until = time.monotonic() + 30
    while not (seen := engine.observe([key])[key]).state.final:
        assert time.monotonic() < until, key
        time.sleep(0.02)
    text = engine.logs(key, "stdout", 0).data.decode()
    answers[key] = [seen.state, seen.exit_code, text, seen.isolation]
engine.forget(list(scripts))
answers["left"] = [entry.name for entry in (Path(sys.argv[1]) / "jobs").iterdir()]
print(json.dumps(answers))
"""
GROW = "x=[]\nwhile 1: x.append(b'1' * (4 << 20)); time.sleep(.02)"
FORK = """exec python3 - <<'.'
import os, time
for number in range(100):
    try:
        if os.fork() == 0:
            time.sleep(600)
    except OSError:
        os._exit(0)
print("all", flush=True)
.
"""
SCRIPTS: dict[str, dict[str, Any]] = {
    "code": {"script": "id -u; exit 7"},
    "time": {"script": "(setsid sleep 600 &) ; trap '' TERM; sleep 600", "walltime_seconds": 1},
    "memory": {"script": f'exec python3 -c "import time\n{GROW}"', "memory_mib": 64},
    "forks": {"script": FORK},
    "writes": {"script": "touch /x /usr/x /etc/x 2>/dev/null || echo refused; touch mine"},
}


@pytest.fixture(scope="module")
def somewhere() -> Iterator[Path]:
    """A folder with what the engine needs, which any user can read."""
    folder = Path(tempfile.mkdtemp(prefix="sw-user-"))
    folder.chmod(0o755)
    for name in NEEDED:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        origin = Path(spec.origin)
        if origin.name == "__init__.py":
            shutil.copytree(origin.parent, folder / name)
        else:
            shutil.copy(origin, folder)
    (folder / "suanwang").mkdir()
    shutil.copy(SOURCE / "__init__.py", folder / "suanwang")
    for room in ("core", "engines"):
        shutil.copytree(SOURCE / room, folder / "suanwang" / room)
    for entry in folder.rglob("*"):
        entry.chmod(0o755 if entry.is_dir() else 0o644)
    yield folder
    shutil.rmtree(folder)


def interpreter() -> str:
    """A Python of this version that any user can run: ours, or else the system's."""
    for candidate in (sys.executable, "/usr/bin/python3"):
        real = Path(candidate).resolve()
        if all(one.stat().st_mode & 0o001 for one in (real, *real.parents)):
            asked = subprocess.run(
                [real, "-c", "import sys; print(sys.version_info[:2])"],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            if asked.stdout.strip() == str(sys.version_info[:2]):
                return str(real)  # the virtual environment may lie where they cannot go
    pytest.skip(f"no Python {sys.version_info[:2]} that an ordinary user can run")


def play(somewhere: Path, sandbox: str) -> dict[str, Any]:
    program = interpreter()
    root = Path(tempfile.mkdtemp(prefix="sw-jobs-"))
    user = NOBODY if os.geteuid() == 0 else None
    if user is not None:
        os.chown(root, user, user)
    try:
        done = subprocess.run(
            [program, "-I", "-c", f"import sys; sys.path.insert(0, {str(somewhere)!r})\n{PLAY}",
             str(root), sandbox, json.dumps(SCRIPTS)],
            user=user, group=user, extra_groups=None if user is None else [],
            env={"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
            cwd="/", capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))
    finally:
        shutil.rmtree(root)


def check(answers: dict[str, Any]) -> None:
    """What holds at every level."""
    assert answers["code"][1] == 7
    assert answers["code"][2].strip() != "0"
    assert answers["time"][0] == "timeout"
    assert answers["memory"][0] == "out_of_memory"
    assert "all" not in answers["forks"][2]
    assert answers["writes"][:3] == ["succeeded", 0, "refused\n"]
    assert answers["left"] == []


def test_in_a_box(somewhere: Path) -> None:
    answers = play(somewhere, "auto")
    if not answers["isolation"].startswith("bubblewrap"):
        pytest.skip(answers["notes"][0])
    check(answers)
    assert answers["code"][3] == answers["isolation"]


def test_without_a_box_and_it_says_so(somewhere: Path) -> None:
    answers = play(somewhere, "session")
    check(answers)
    assert answers["isolation"].startswith("session+")
    assert any("same user" in note for note in answers["notes"])
