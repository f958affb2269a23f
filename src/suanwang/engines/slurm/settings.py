"""What a provider says of its Slurm: strict, bounded, and nothing that has to be guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$")]
Model = Annotated[str, Field(min_length=1, max_length=80)]
Gres = Annotated[str, Field(pattern=r"^[a-z_]{1,32}(:[A-Za-z0-9._-]{1,64})?$")]


def _absolute(path: Path) -> Path:
    if not path.is_absolute() or any(not one.isprintable() for one in str(path)):
        raise ValueError("an absolute path is wanted")
    return path


Absolute = Annotated[Path, AfterValidator(_absolute)]


class SlurmSettings(BaseModel):
    """The ``options`` of ``engine.yaml`` for ``engine: slurm``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: Absolute
    """Where jobs' folders lie: on a file system that this host and every node share."""
    user: Name | None = None
    """Whom the jobs belong to, where the agent is root; otherwise they are the agent's own."""

    url: Annotated[str, Field(pattern=r"^(https?://|unix:///).{1,200}$")] | None = None
    """Of slurmrestd. Without it the commands are used: sbatch, squeue, scancel, sacct, sinfo."""
    token_file: Absolute | None = None
    """The JWT for slurmrestd, read anew when it changes. Without it ``scontrol token`` is asked."""
    ca_file: Absolute | None = None
    """The authority that signed the certificate before slurmrestd, if it is none of the usual."""
    programs: Absolute | None = None
    """The folder of Slurm's commands, where they are not on the usual path."""
    conf: Absolute | None = None
    """slurm.conf, where it is not in its usual place."""

    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,32}$")] = ""
    """Before the attempt's id in Slurm's job names, where several cities share an account."""
    partition: Name | None = None
    account: Name | None = None
    qos: Name | None = None
    accelerators: Annotated[dict[Model, Gres], Field(max_length=64)] = Field(default_factory=dict)
    """By the platform's name of a model, the GRES it is here: ``{"A100-40G": "gpu:a100"}``."""
    requeue: bool = False
    """Let Slurm start a job again after a node failed. Then the platform sees one longer job."""
    accounting: bool = True
    """Whether slurmdbd (or another store that sacct reads) is there."""

    poll_seconds: Annotated[float, Field(ge=0.05, le=60)] = 0.5
    """How old an answer about all jobs may be before Slurm is asked again; one that took long may
    be three times as old as that.
    """
    timeout_seconds: Annotated[int, Field(ge=1, le=300)] = 30
    """How long one question to Slurm may take."""
    parallel: Annotated[int, Field(ge=1, le=16)] = 4
    """How many submissions of one batch may be on their way at a time."""
    settle_seconds: Annotated[int, Field(ge=0, le=3600)] = 30
    """After a submission without an answer, how long the job may take to show."""
    lost_after_seconds: Annotated[int, Field(ge=0, le=86_400)] = 600
    """How long controller and accounting must answer without a job before it is lost."""
    stream_bytes_max: Annotated[int, Field(ge=1024, le=1 << 30)] = 16 << 20
    """How much of stdout and of stderr is handed on; the rest stays in the job's folder."""
