"""What a provider may say of its Ray cluster in ``engine.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StrictBool, field_validator, model_validator

GPU: Final = "GPU"
"""Ray's own name for cards asked for as ``num_gpus``."""

Resource = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9:._-]{0,79}$")]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]


class Cards(BaseModel):
    """How Ray counts the cards of one model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    resource: Resource
    """``GPU`` for those Ray counts as GPUs, otherwise the custom resource, such as ``npu``."""
    marker: Resource | None = None
    """A resource only the nodes with this model have, such as ``accelerator_type:A100``: tells
    models apart that are counted under one name."""


class RaySettings(BaseModel):
    """One cluster. Everything but ``url`` has a default that works."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Annotated[str, Field(max_length=200, pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$")]
    """Of the dashboard as the agent reaches it, such as ``http://127.0.0.1:8265``."""
    token_file: Path | None = None
    """Holds the cluster's token where ``RAY_AUTH_MODE=token``; read anew for every request."""
    ca_file: Path | None = None
    """The authority that signed the certificate of a proxy before the dashboard."""
    prefix: Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,31})?$")] = ""
    """Before every submission id: tells apart two agents on one cluster."""
    accelerators: Annotated[dict[str, Cards], Field(max_length=32)] = Field(default_factory=dict)
    """By the platform's name of a model. A plain name stands for its resource."""
    python: Annotated[str, Field(pattern=r"^[A-Za-z0-9/._-]{1,200}$")] = "python3"
    """On the nodes, 3.10 or later."""
    grace_seconds: Annotated[int, Field(ge=1, le=3600)] = 30
    """What a job has to save its work once it is asked to end; then it is made to."""
    pass_environment: Annotated[tuple[Variable, ...], Field(max_length=64)] = (
        "PATH", "LD_LIBRARY_PATH", "LANG", "TZ",
    )  # fmt: skip
    """Variables of the nodes that jobs get; ``*_VISIBLE_DEVICES`` always."""
    reach_ray: StrictBool = False
    """Let scripts connect to the cluster. What their tasks take there is not metered."""
    processes_max: Annotated[int, Field(ge=16, le=1_000_000)] = 4096
    """What one job may add to the processes and threads of Ray's user."""
    disk_mib: Annotated[int, Field(ge=1, le=1 << 24)] = 10 * 1024
    """What one job may write, in MiB."""
    stream_bytes_max: Annotated[int, Field(ge=4096, le=1 << 30)] = 16 << 20
    """How much of each of a job's streams is kept."""
    package_mib_max: Annotated[int, Field(ge=1, le=99)] = 95
    """A job's files in, compressed. They pass through the head's memory; Ray takes 100 MiB."""
    keep_hours: Annotated[int, Field(ge=1, le=24 * 365)] = 72
    """How long a node keeps the output of a job that was not fetched."""
    timeout_seconds: Annotated[float, Field(ge=0.1, le=120)] = 20
    """For one answer of the dashboard."""
    poll_seconds: Annotated[float, Field(ge=0, le=60)] = 1
    """Between two looks at the same thing."""
    connections: Annotated[int, Field(ge=1, le=16)] = 4
    """To the dashboard at once."""

    @field_validator("url")
    @classmethod
    def _no_last_slash(cls, url: str) -> str:
        return url.rstrip("/")

    @field_validator("accelerators", mode="before")
    @classmethod
    def _plain_names(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {
            model: {"resource": cards} if isinstance(cards, str) else cards
            for model, cards in given.items()
        }

    @model_validator(mode="after")
    def _told_apart(self) -> RaySettings:
        seen: set[tuple[str, str | None]] = set()
        shared: dict[str, list[str | None]] = {}
        for model, cards in self.accelerators.items():
            if not 1 <= len(model) <= 80:
                raise ValueError("a model's name has 1 to 80 characters")
            if (cards.resource, cards.marker) in seen:
                raise ValueError(f"two models are counted as {cards.resource}: give each a marker")
            seen.add((cards.resource, cards.marker))
            shared.setdefault(cards.resource, []).append(cards.marker)
        for resource, markers in shared.items():
            if len(markers) > 1 and None in markers:
                raise ValueError(f"several models are counted as {resource}: each needs a marker")
        return self
