"""``suanwang test``: everything that must hold, in one command, the way CI runs it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

_SLURM = {
    "munged": "munge",
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "slurmdbd": "slurmdbd",
    "slurmrestd": "slurmrestd",
    "sbatch": "slurm-client",
    "mariadbd": "mariadb-server",
    "auth_munge.so": "slurm-wlm-basic-plugins",
    "auth_jwt.so": "slurm-wlm-jwt-plugin",
    "accounting_storage_mysql.so": "slurm-wlm-mysql-plugin",
}
"""Program or plug-in, and the Debian package it comes in."""
_PROGRAMS = "/usr/sbin:/usr/bin:/sbin:/bin"
_CJK_FONT = Path("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc")


@dataclass(frozen=True)
class Step:
    """One check: what it is called and the command that passes or fails."""

    name: str
    command: tuple[str, ...]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(test)


def test(
    pytest_arguments: Annotated[
        list[str] | None, typer.Argument(help="Handed to pytest, for example a folder of tests.")
    ] = None,
) -> None:
    """Check everything: form, types, floors, translations, documents, and all tests.

    Installs what tests need of Debian (chromium, a CJK font, bubblewrap, libatomic1 and, as root,
    podman and a whole Slurm) if it may; where it may not, those tests skip and say why. With
    CI=true nothing may skip.
    """
    checkout = _checkout()
    install_system_packages()
    with tempfile.TemporaryDirectory(prefix="sw-check-") as home:
        environment = os.environ | {
            "SUANWANG_HOME": home,
            "PYTHONPATH": str(checkout / "src"),
            "NO_MKDOCS_2_WARNING": "1",
        }
        failed = [s.name for s in steps(checkout) if not passes(s, checkout, environment)]
    for name in failed:
        _say(f"FAILED: {name}")
    # Last, and nothing after it: the summary line of pytest closes the output.
    command = [sys.executable, "-m", "pytest", *(pytest_arguments or [])]
    tests = subprocess.run(command, cwd=checkout, check=False).returncode
    raise typer.Exit(tests or (1 if failed else 0))


def steps(checkout: Path) -> Iterator[Step]:
    """The checks before the tests, in order."""
    python = sys.executable
    scripts = Path(python).parent
    yield Step("form (ruff format)", (python, "-m", "ruff", "format", "--check", "."))
    yield Step("lint (ruff check)", (python, "-m", "ruff", "check", "."))
    yield Step("types (mypy --strict)", (python, "-m", "mypy"))
    yield Step("floors (import-linter)", (str(scripts / "lint-imports"), "--no-logo"))
    if importlib.util.find_spec("suanwang.console.messages") is not None:
        check = (python, "-m", "suanwang.console.messages", "--check")
        yield Step("translations complete", check)
    site = checkout / "build" / "docs"
    build = (python, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(site))
    yield Step("documents (mkdocs --strict)", build)


def passes(step: Step, checkout: Path, environment: dict[str, str]) -> bool:
    """Run one check, show what it says if it fails, and how long it took."""
    began = time.monotonic()
    done = subprocess.run(
        step.command,
        cwd=checkout,
        env=environment,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    passed = done.returncode == 0
    _say(f"{'ok    ' if passed else 'FAILED'} {step.name} ({time.monotonic() - began:.0f} s)")
    if not passed:
        _say(done.stdout)
    return passed


def install_system_packages() -> None:
    """Install what some tests need from Debian, as root or with a sudo that asks nothing."""
    wanted = list(missing_packages())
    if not wanted:
        return
    if shutil.which("apt-get") is None:
        _say(f"not installed, and this is no Debian: {', '.join(wanted)}")
        return
    root = os.geteuid() == 0
    if not root and not _may_sudo():
        _say(f"not installed (needs root): {', '.join(wanted)}; tests that need them will skip")
        return
    _say(f"installing {', '.join(wanted)}")
    before = [] if root else ["sudo", "--non-interactive"]
    apt = [*before, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet=2"]
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *wanted]):
        done = subprocess.run([*apt, *command], stdout=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            _say(f"apt-get {command[0]} ended with status {done.returncode}")


def missing_packages() -> Iterator[str]:
    """The Debian packages that are wanted and not here."""
    if shutil.which("chromium") is None:
        yield "chromium"
    if not _CJK_FONT.exists():
        yield "fonts-noto-cjk"
    if shutil.which("bwrap") is None:
        yield "bubblewrap"
    if shutil.which("podman", path=_PROGRAMS) is None and os.geteuid() == 0:
        yield "podman"  # keeps the image jobs are run in; it starts nothing and fetches nothing
    if not any(Path("/usr/lib").glob("*/libatomic.so.1")):
        yield "libatomic1"  # playwright's own node needs it
    if os.geteuid() == 0:  # nobody else could start a Slurm with jobs of another user
        for part, package in _SLURM.items():
            plugin = part.endswith(".so") and any(Path("/usr/lib").glob(f"*/slurm*/{part}"))
            if not plugin and shutil.which(part, path=_PROGRAMS) is None:
                yield package


def _may_sudo() -> bool:
    if shutil.which("sudo") is None:
        return False
    asked = subprocess.run(["sudo", "--non-interactive", "true"], capture_output=True, check=False)
    return asked.returncode == 0


def _checkout() -> Path:
    folder = Path(__file__).resolve().parents[3]
    if not (folder / "tests").is_dir():
        typer.echo("suanwang: the tests are in a checkout of the source: ./suanwang test", err=True)
        raise typer.Exit(1)
    return folder


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
