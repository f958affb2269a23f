"""The client, the agent and the platform each work with their own dependencies and no other.

The real wheel is built and unpacked; of what is installed here, only what the extra asks for is
put beside it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=CHECKOUT, check=True, capture_output=True,
    )  # fmt: skip
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


def required(wheel: Path, extra: str) -> set[str]:
    """Everything an extra needs, and what that needs."""
    (metadata,) = wheel.glob("*.dist-info/METADATA")
    lines = re.findall(r"^Requires-Dist: (.*)$", metadata.read_text("utf-8"), re.MULTILINE)
    found: set[str] = set()
    todo = [(Requirement(line), extra) for line in lines]
    while todo:
        requirement, wanted = todo.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": wanted}):
            continue
        name = requirement.name.lower().replace("_", "-")
        if name in found and not requirement.extras:
            continue
        try:
            needs = distribution(name).requires or []
        except PackageNotFoundError:
            continue
        found.add(name)
        for each in ("", *requirement.extras):
            todo += [(Requirement(line), each) for line in needs]
    return found


def alone(wheel: Path, extra: str, beside: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code with the wheel and what the extra needs; nothing else can be imported."""
    for name in required(wheel, extra):
        for file in distribution(name).files or []:
            top = file.parts[0]
            if top.startswith("..") or top == "__pycache__" or (beside / top).exists():
                continue
            (beside / top).symlink_to(Path(str(distribution(name).locate_file(top))))
    start = f"import sys; sys.path[:0] = [{str(wheel)!r}, {str(beside)!r}]\n"
    return subprocess.run(
        [sys.base_prefix + f"/bin/python3.{sys.version_info[1]}", "-I", "-S", "-c", start + code],
        env={"PATH": os.environ["PATH"], "SUANWANG_HOME": str(beside / "home"), "COLUMNS": "200"},
        cwd=beside, capture_output=True, text=True, check=False,
    )  # fmt: skip


HELP = """
from suanwang.cli import main
sys.argv = ["suanwang", "--help"]
main()
"""


def test_the_client_alone_has_the_command_and_the_sdk(wheel: Path, tmp_path: Path) -> None:
    assert "django" not in required(wheel, "")
    done = alone(wheel, "", tmp_path, f"import suanwang.sdk\n{HELP}")
    assert done.returncode == 0, done.stderr
    assert "jobs" in done.stdout


def test_the_client_says_what_to_install_for_the_rest(wheel: Path, tmp_path: Path) -> None:
    code = 'from suanwang.cli import main\nsys.argv = ["suanwang", "up"]\nmain()'
    done = alone(wheel, "", tmp_path, code)
    assert done.returncode == 1
    assert "suanwang[server]" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_agent_alone_runs_its_command(wheel: Path, tmp_path: Path) -> None:
    assert "django" not in required(wheel, "agent")
    code = 'from suanwang.cli import main\nsys.argv = ["suanwang", "agent", "status"]\nmain()'
    done = alone(wheel, "agent", tmp_path, "import suanwang.agent.process\n" + code)
    assert "not enrolled" in done.stdout, done.stderr


def test_the_platform_alone_finds_its_policy_pages_and_words(wheel: Path, tmp_path: Path) -> None:
    code = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "suanwang.site.django_settings"
import django
django.setup()
from django.template.loader import get_template
from suanwang import policy
from suanwang.core.refusals import catalogue
from suanwang.site.builtin import beginnings
from suanwang.site.settings import settings
from suanwang.site import urls
package = policy.load(settings().policies / settings().policy)
from django.utils.translation import gettext, override
with override("zh-hans"):
    print("in Chinese:", gettext("Sign in") != "Sign in", end=" ")
print(package.name, len(catalogue()) > 50, beginnings()["centre"]["code"])
"""
    done = alone(wheel, "server", tmp_path, code)
    assert done.stdout.split() == [
        *("in", "Chinese:", "True"),
        *("baoding-2024", "True", "this-machine"),
    ], done.stderr
