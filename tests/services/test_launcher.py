"""``./suanwang`` makes what it needs, once, whatever interrupts it. Real pip, a tiny project."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

LAUNCHER = Path(__file__).resolve().parents[2] / "suanwang"
PYTHON = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info[1]}"

ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

MAIN = """
import sys, tiny
def main():
    print("ran", tiny.VERSION, *sys.argv[1:])
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with one dependency, a wheel on this disk; named to trip careless quoting."""
    folder = tmp_path / "a check out"
    package = folder / "src" / "suanwang" / "cli"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").write_text(MAIN)
    (package / "__main__.py").write_text("from suanwang.cli import main\nmain()\n")
    shutil.copy(LAUNCHER, folder / "suanwang")
    depend_on(folder, "1.0")
    return folder


def depend_on(checkout: Path, version: str) -> None:
    wheel = checkout / f"tiny-{version}-py3-none-any.whl"
    about = f"tiny-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny.py", f"VERSION = {version!r}\n")
        archive.writestr(
            f"{about}/METADATA", f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n"
        )
        archive.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{about}/RECORD", "")
    (checkout / "constraints.txt").write_text(f"tiny=={version}\n")
    (checkout / "pyproject.toml").write_text(
        f'[project]\ndependencies = ["tiny @ {wheel.as_uri()}"]\n'
        "[project.optional-dependencies]\nserver = []\nagent = []\ntest = []\n"
    )


def command(checkout: Path) -> list[str]:
    return [str(PYTHON), str(checkout / "suanwang"), "hello", "city"]


def run(checkout: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(checkout), capture_output=True, text=True, check=False, env=ENVIRONMENT
    )


def test_the_first_start_installs_and_every_start_runs_the_command(checkout: Path) -> None:
    first = run(checkout)
    assert first.stdout == "ran 1.0 hello city\n", first.stderr
    assert "installing" in first.stderr
    second = run(checkout)
    assert second.stdout == "ran 1.0 hello city\n"
    assert second.stderr == ""
    script = subprocess.run(
        [checkout / ".venv" / "bin" / "suanwang", "again"],
        capture_output=True, text=True, check=True, cwd="/", env=ENVIRONMENT,
    )  # fmt: skip
    assert script.stdout == "ran 1.0 again\n"


def test_changed_pins_are_installed_at_the_next_start(checkout: Path) -> None:
    run(checkout)
    depend_on(checkout, "2.0")
    assert run(checkout).stdout == "ran 2.0 hello city\n"


def test_an_interrupted_installation_is_made_again(checkout: Path) -> None:
    run(checkout)
    (checkout / ".venv" / "suanwang-installed.json").unlink()
    (checkout / ".venv" / "suanwang-unfinished").touch()
    next((checkout / ".venv" / "lib").glob("*/site-packages/tiny.py")).unlink()
    again = run(checkout)
    assert again.stdout == "ran 1.0 hello city\n", again.stderr


def test_two_first_starts_at_once_both_work(checkout: Path) -> None:
    starts = [
        subprocess.Popen(
            command(checkout),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
        for _ in range(2)
    ]
    ends = [start.communicate() for start in starts]
    assert [said for said, _ in ends] == ["ran 1.0 hello city\n"] * 2, ends


def test_a_failed_installation_says_where_its_log_is_and_is_no_success(checkout: Path) -> None:
    (checkout / "constraints.txt").write_text("tiny==9.9\n")
    failed = run(checkout)
    assert failed.returncode != 0
    assert "suanwang-install.log" in failed.stderr
    depend_on(checkout, "1.0")
    assert run(checkout).stdout == "ran 1.0 hello city\n"


def test_every_pin_installs_on_the_python_of_debian_12() -> None:
    from importlib.metadata import PackageNotFoundError, metadata

    from packaging.specifiers import SpecifierSet

    pins = (LAUNCHER.parent / "constraints.txt").read_text().split()
    unfit = []
    for pin in pins:
        name, _, version = pin.partition("==")
        assert version, f"{pin} is no pin"
        try:
            needs = metadata(name)["Requires-Python"] or ""
        except PackageNotFoundError:
            continue  # a pin for another platform
        if "3.11.2" not in SpecifierSet(needs):
            unfit.append(f"{pin} needs Python {needs}")
    assert unfit == []
