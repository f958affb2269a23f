"""The seam between the engine and the two ways of talking to Slurm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from suanwang.engines.slurm.rows import JobRow, NodeRow, PartitionLimits


@dataclass(frozen=True)
class Batch:
    """One batch job, as much of it as both ways can say."""

    name: str
    script: str
    folder: str
    log: str
    """For Slurm's own words about the job; its output the script itself directs."""
    environment: Mapping[str, str]
    nodes: int
    cores_per_node: int
    memory_mib_per_node: int
    gres: str | None
    """On each node."""
    minutes: int
    requeue: bool
    partition: str | None = None
    account: str | None = None
    qos: str | None = None


class NotTaken(Exception):
    """Slurm answered, and does not take the job."""

    def __init__(self, permanent: bool, code: str, native: str) -> None:
        super().__init__(native)
        self.permanent = permanent
        self.code = code
        self.native = native


class Transport(Protocol):
    """Every method raises ``EngineUnavailable`` when Slurm could not be asked."""

    def version(self) -> str:
        """Of Slurm, and how it is spoken to."""

    def isolation(self) -> str:
        """How Slurm keeps jobs apart, as far as it tells."""

    def submit(self, batch: Batch) -> int:
        """The job id. Raises ``NotTaken``; after ``EngineUnavailable`` it may have been taken."""

    def live(self) -> list[JobRow]:
        """Every job of ours that the controller still holds, ended ones too."""

    def accounting(
        self, *, ids: Sequence[int] = (), names: Sequence[str] = (), since: int
    ) -> list[JobRow]:
        """What accounting has of jobs by id or name that were there after a Unix time."""

    def signal(self, ids: Sequence[int]) -> None:
        """Send SIGTERM to the batch scripts of running jobs, and nothing after it."""

    def cancel(self, ids: Sequence[int]) -> None:
        """Ask for the end of jobs; those that have ended or never were do not matter."""

    def nodes(self) -> list[NodeRow]:
        """The nodes of the partition."""

    def limits(self) -> PartitionLimits:
        """Of the partition. Raises ``NotTaken`` where there is none of its name."""

    def close(self) -> None: ...
