"""Whom the jobs belong to, and what a program of Slurm's is told about us: next to nothing."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from suanwang.engines.port import EngineUnavailable
from suanwang.engines.slurm.settings import SlurmSettings

CLEAN_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True)
class Account:
    """The user of the jobs. An agent that is root acts as that user towards Slurm."""

    name: str
    uid: int
    gid: int
    other: bool
    """Not the user this process runs as."""

    @classmethod
    def of(cls, settings: SlurmSettings) -> Account:
        """Refuses to run anybody's jobs as root, and an account we cannot act for, as any other
        setting that is wrong: with pydantic's ``ValidationError``.
        """
        us = os.geteuid()
        try:
            entry = pwd.getpwnam(settings.user) if settings.user else pwd.getpwuid(us)
        except KeyError:
            raise _wrong_user(f"there is no user {settings.user or us} here") from None
        if entry.pw_uid == 0:
            raise _wrong_user("jobs never run as root: name another account as user")
        if entry.pw_uid != us != 0:
            raise _wrong_user(f"only root could act for {entry.pw_name}: run the agent as it")
        return cls(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_uid != us)

    def run(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        *,
        seconds: int,
        text_in: str | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program as the jobs' user with exactly this environment."""
        try:
            return subprocess.run(
                words,
                env=environment,
                cwd="/",
                input=text_in.encode() if text_in is not None else None,
                stdin=subprocess.DEVNULL if text_in is None else None,
                capture_output=True,
                timeout=seconds,
                user=self.uid if self.other else None,
                group=self.gid if self.other else None,
                extra_groups=os.getgrouplist(self.name, self.gid) if self.other else None,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise EngineUnavailable(f"{words[0]} did not answer within {seconds} s") from None
        except OSError as error:
            raise EngineUnavailable(f"{words[0]} cannot be started: {error}") from None


def clean_environment(settings: SlurmSettings) -> dict[str, str]:
    """For Slurm's commands: a new one. ``SLURM_JWT``, ``SBATCH_…`` or ``SLURM_…`` of ours would
    silently change whom they act for and what they ask for.
    """
    path = CLEAN_PATH if settings.programs is None else f"{settings.programs}:{CLEAN_PATH}"
    clean = {"PATH": path, "LANG": "C.UTF-8"}
    if settings.conf is not None:
        clean["SLURM_CONF"] = str(settings.conf)
    return clean


def _wrong_user(told: str) -> ValidationError:
    why = PydanticCustomError("slurm_user", "{told}", {"told": told})
    return ValidationError.from_exception_data(
        "SlurmSettings", [InitErrorDetails(type=why, loc=("user",), input=None)]
    )
