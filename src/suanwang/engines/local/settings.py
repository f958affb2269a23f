"""What the owner of a machine may say in ``engine.yaml`` (``engine: local``)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    model_validator,
)

from suanwang.engines.local.build import LocalSettings
from suanwang.engines.local.cards import NO_CARDS, Cards, vendor, vendors


def _absolute(path: str) -> str:
    if not path.startswith("/") or "\x00" in path:
        raise ValueError("an absolute path is wanted")
    return path


Device = Annotated[
    StrictStr,
    Field(max_length=200, pattern=r"^/dev/[A-Za-z0-9_./{}-]+$"),
    AfterValidator(_absolute),
]


class LocalCards(BaseModel):
    """The cards of this machine, all of one model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Annotated[StrictStr, Field(min_length=1, max_length=80)]
    """The platform's name of it, as its catalogue has it."""
    numbers: Annotated[
        list[Annotated[StrictInt, Field(ge=0, le=1023)]], Field(min_length=1, max_length=64)
    ]
    """Which cards, as the machine counts them."""
    vendor: Annotated[StrictStr, Field(max_length=40)] | None = None
    """nvidia, ascend, amd, hygon or cambricon; left out: say ``device`` and the rest."""
    device: Device | None = None
    """The file of one card, with {} for its number, if it is not the maker's usual."""
    shared: Annotated[list[Device], Field(max_length=16)] | None = None
    """Files that every job with cards needs."""
    environment: (
        Annotated[
            list[Annotated[StrictStr, Field(pattern=r"^[A-Z][A-Z0-9_]{0,60}$")]],
            Field(max_length=8),
        ]
        | None
    ) = None
    """Variables that tell a job its cards."""

    @model_validator(mode="after")
    def _known(self) -> LocalCards:
        if self.vendor is not None and self.vendor not in vendors():
            raise ValueError(f"vendor: one of {', '.join(vendors())}")
        if self.vendor is None and self.device is None:
            raise ValueError("say the vendor, or the device file of a card")
        if self.device is not None and self.device.count("{}") != 1:
            raise ValueError("device: {} stands for the number of the card, once")
        if len(set(self.numbers)) != len(self.numbers):
            raise ValueError("numbers: each card once")
        return self

    def cards(self) -> Cards:
        usual = vendor(self.vendor) if self.vendor is not None else {}
        own = self.device is not None
        return Cards(
            self.model,
            tuple(sorted(self.numbers)),
            self.device or usual["card"],
            0 if own else usual.get("first", 0),
            tuple(usual.get("shared", ()) if self.shared is None else self.shared),
            tuple(usual.get("environment", ()) if self.environment is None else self.environment),
        )


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
    accelerators: LocalCards | None = None
    """The cards jobs may have, such as {model: A100-40G, vendor: nvidia, numbers: [0, 1]}; nothing:
    none are offered."""
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
        said = self.model_dump(exclude={"accelerators"})
        said["cards"] = self.accelerators.cards() if self.accelerators else NO_CARDS
        return LocalSettings(folder, **{**said, "read_only": tuple(self.read_only)})
