"""What the owner of a machine may say in ``engine.yaml`` (``engine: local``)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt, StrictStr

from suanwang.engines.local.build import LocalSettings


def _absolute(path: str) -> str:
    if not path.startswith("/") or "\x00" in path:
        raise ValueError("an absolute path is wanted")
    return path


class LocalOptions(BaseModel):
    """This machine as an engine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cores: Annotated[StrictInt, Field(ge=1, le=65_536)] | None = None
    """Offer at most so many cores; nothing: all of the machine."""
    memory_mib: Annotated[StrictInt, Field(ge=16, le=2**30)] | None = None
    """Offer at most so much memory, in MiB; nothing: all of it."""
    processes_max: Annotated[StrictInt, Field(ge=8, le=1_000_000)] = 512
    """Processes and threads of one job."""
    disk_mib: Annotated[StrictInt, Field(ge=1, le=2**30)] = 10 * 1024
    """What one job may write, in MiB."""
    stream_bytes_max: Annotated[StrictInt, Field(ge=1024, le=2**34)] = 16 << 20
    """How much of a job's output is kept."""
    read_only: Annotated[
        list[Annotated[StrictStr, Field(max_length=4096), AfterValidator(_absolute)]],
        Field(max_length=100),
    ] = []
    """Further folders every job may read, such as shared data or compilers."""
    images: Literal["none", "podman"] = "none"
    """podman: jobs may name container images podman has on this machine, any of them. They run in
    the same box as all jobs; nothing is fetched.
    """
    tied_to: Annotated[StrictInt, Field(ge=1)] | None = None
    """End all jobs when the process with this id is gone."""
    sandbox: Literal["auto", "session"] = "auto"
    """auto: the best isolation there is; session: without bubblewrap."""

    def settings(self, folder: Path) -> LocalSettings:
        """The same for the engine, which keeps its jobs in ``folder``."""
        said = self.model_dump()
        return LocalSettings(folder, **{**said, "read_only": tuple(self.read_only)})
