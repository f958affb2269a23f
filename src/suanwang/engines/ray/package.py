"""What goes to the node for one job: a zip of the runner, the task, the script and the files in.

Ray takes it through ``/api/packages`` and unpacks it where the job will run. Nothing of it is ever
part of a command line.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import IO, Any, Final

from suanwang.engines.port import Submission
from suanwang.engines.ray.runner import SCRIPT, TASK
from suanwang.engines.ray.settings import RaySettings

ISOLATION: Final = "session+rlimits"
_RUN = """import os
import sys

sys.path.insert(0, os.getcwd())

from suanwang.engines.ray.runner import main

sys.exit(main())
"""
_MODULES: Final = {
    "suanwang": (),
    "suanwang.engines": ("files",),
    "suanwang.engines.local": (
        "cgroups", "limits", "plan", "processes", "runner", "sandbox", "streams",
    ),
    "suanwang.engines.ray": ("runner",),
}  # fmt: skip
"""Everything the runner imports; all of it is standard library below."""


class PackageTooLarge(Exception):
    """With its files in it is more than may pass through the head of the cluster."""


def task(one: Submission, folder: str, settings: RaySettings) -> dict[str, Any]:
    """What the runner reads: everything is decided here."""
    spec = one.spec
    return {
        "key": one.key,
        "folder": folder,
        "interpreter": [] if spec.script.startswith("#!") else ["/bin/bash"],
        "environment": spec.environment,
        "marks": {
            "SUANWANG_ATTEMPT": one.key,
            "SUANWANG_JOB_NAME": spec.name,
            "SUANWANG_CORES": str(spec.cores),
            "SUANWANG_MEMORY_MIB": str(spec.memory_mib),
        },
        "pass_environment": settings.pass_environment,
        "reach_ray": settings.reach_ray,
        "cores": spec.cores,
        "memory_mib": spec.memory_mib,
        "walltime_seconds": spec.walltime_seconds,
        "grace_seconds": settings.grace_seconds,
        "processes_max": settings.processes_max,
        "disk_mib": settings.disk_mib,
        "stream_bytes_max": settings.stream_bytes_max,
        "keep_seconds": settings.keep_hours * 3600,
        "isolation": ISOLATION,
        "inputs": list(one.inputs),
        "files_out": spec.files_out,
    }


def write_package(
    file: IO[bytes], what: Mapping[str, Any], script: str, inputs: Iterable[Path], *, mib_max: int
) -> None:
    """Write the zip into a file, which is then at its beginning again.

    Raises ``PackageTooLarge``.
    """
    with zipfile.ZipFile(
        file, "w", zipfile.ZIP_DEFLATED, compresslevel=1, strict_timestamps=False
    ) as package:
        for name, content in _fixed().items():
            package.writestr(name, content)
        package.writestr(TASK, json.dumps(dict(what)))
        package.writestr(SCRIPT, script)
        for number, source in enumerate(inputs):
            package.write(source, f"inputs/{number}")
            if file.tell() > mib_max << 20:
                break
    if file.tell() > mib_max << 20:
        raise PackageTooLarge(f"more than {mib_max} MiB, compressed")
    file.seek(0)


def _fixed() -> dict[str, bytes]:
    if not _FIXED:
        for package, modules in _MODULES.items():
            folder = package.replace(".", "/")
            _FIXED[f"{folder}/__init__.py"] = b""
            for module in modules:
                source = resources.files(package) / f"{module}.py"
                _FIXED[f"{folder}/{module}.py"] = source.read_bytes()
        _FIXED["run.py"] = _RUN.encode()
    return _FIXED


_FIXED: dict[str, bytes] = {}
