"""The command lines that put a job in its box, and whether this machine has the box.

Standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from suanwang.engines.local.plan import Plan

_TOP = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_OURS = frozenset({"proc", "dev", "sys", "run", "tmp", "work", "script"})
"""What the box itself puts at the top."""
_TMP, _SHM = "/tmp", "/dev/shm"  # noqa: S108 - those inside the box, private to it
_INSIDE_UID = "60577"
CLEAN_PATH = "/usr/local/bin:/usr/bin:/bin"


def bubblewrap_options(plan: Plan) -> list[str]:
    """What bubblewrap is told: namespaces of its own, a root of which only /work is writable."""
    uid = str(plan.uid) if plan.uid is not None else _INSIDE_UID
    scratch = str(max(plan.memory_mib, 16) << 20)
    options = [
        "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts",
        "--unshare-cgroup-try", "--disable-userns", "--die-with-parent", "--new-session",
        "--hostname", "suanwang", "--uid", uid, "--gid", uid,
        *(_image(plan.image_root) if plan.image_root else _machine()),
    ]  # fmt: skip
    for name in ("passwd", "group"):
        options += ["--ro-bind", f"{plan.place}/{name}", f"/etc/{name}"]
    for extra in plan.read_only:
        options += ["--ro-bind", extra, extra]
    options += [
        "--proc", "/proc",
        "--dev", "/dev", "--size", scratch, "--tmpfs", _SHM,
        *(word for device in plan.devices for word in ("--dev-bind", device, device)),
        "--remount-ro", "/dev",
        "--perms", "1777", "--size", scratch, "--tmpfs", _TMP,
        "--bind", plan.work, "/work", "--ro-bind", plan.script, "/script",
        "--chdir", "/work", "--remount-ro", "/", "--clearenv",
    ]  # fmt: skip
    for name, value in plan.environment.items():
        options += ["--setenv", name, value]
    return options


def _machine() -> list[str]:
    """The programs of this machine, and nothing of its users or its /var."""
    options = [
        "--ro-bind", "/usr", "/usr", "--ro-bind", "/etc", "/etc",
        "--ro-bind-try", "/opt", "/opt",
    ]  # fmt: skip
    for name in _TOP:
        top = Path("/") / name
        if top.is_symlink():
            options += ["--symlink", str(top.readlink()), f"/{name}"]
        elif top.is_dir():
            options += ["--ro-bind", f"/{name}", f"/{name}"]
    if Path("/etc/suanwang").is_dir():
        options += ["--tmpfs", "/etc/suanwang"]
    return [*options, "--dir", "/var", "--symlink", _TMP, f"/var{_TMP}"]


def _image(root: str) -> list[str]:
    """An image's files in place of this machine's: nothing of the machine is seen."""
    options: list[str] = []
    with os.scandir(root) as entries:
        for entry in sorted(entries, key=lambda one: one.name):
            if entry.name in _OURS:
                continue
            if entry.is_symlink():
                options += ["--symlink", str(Path(entry.path).readlink()), f"/{entry.name}"]
            else:
                options += ["--ro-bind", entry.path, f"/{entry.name}"]
    return options


def box_files(place: Path, uid: int | None) -> None:
    """The names the job's user goes by inside the box."""
    number = str(uid) if uid is not None else _INSIDE_UID
    (place / "passwd").write_text(
        f"root:x:0:0:root:/:/usr/sbin/nologin\njob:x:{number}:{number}:job:/work:/bin/bash\n"
    )
    (place / "group").write_text(f"root:x:0:\njob:x:{number}:\n")
    for name in ("passwd", "group"):
        (place / name).chmod(0o444)


def limited(plan: Plan, command: list[str]) -> list[str]:
    """The command with its limit of processes set inside the box.

    A user namespace counts its own processes, so there the limit is the job's alone; outside it
    would count all of the user's. An image may have no such tool: there the job's user or group
    must be its own.
    """
    tool = shutil.which("prlimit", path="/usr/bin:/bin")
    if plan.cgroup_version or plan.image_root or tool is None:
        return command
    return [tool, f"--nproc={plan.processes_max}:{plan.processes_max}", "--", *command]


@cache
def bubblewrap_path() -> str | None:
    return shutil.which("bwrap", path=CLEAN_PATH)


def why_no_bubblewrap(place: Path, uid: int | None) -> str | None:
    """None if a whole box could be built here and now, as a job would get it; else why not."""
    program = bubblewrap_path()
    if program is None:
        return "bubblewrap is not installed"
    plan = Plan(
        key="probe", place=str(place), interpreter=[], environment={}, cpus=[], memory_mib=64,
        walltime_seconds=1, processes_max=64, disk_mib=1, stream_bytes_max=1,
        sandbox="bubblewrap", isolation="", uid=uid,
    )  # fmt: skip
    (place / "work").mkdir(exist_ok=True)
    (place / "script").touch()
    box_files(place, uid)

    try:
        tried = subprocess.run(
            [program, *bubblewrap_options(plan), "--", *limited(plan, ["true"])],
            capture_output=True,
            timeout=20,
            env={"PATH": CLEAN_PATH},
            cwd="/",
            user=uid,
            group=uid,
            extra_groups=[] if uid is not None else None,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"bubblewrap did not start: {error}"
    if tried.returncode:
        return f"bubblewrap: {tried.stderr.decode(errors='replace').strip()[:200]}"
    return None
