"""The one typed settings object: environment ``SUANWANG_*``, then ``suanwang.toml``, then defaults.

Secrets come from the environment or from files under ``SUANWANG_HOME``, never from the toml.
Development keys are generated on first start and refused when ``SUANWANG_ENV=production``.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

CLOCK_OFFSET_FILE = "clock-offset"
"""In the home: whole seconds, written by the demo alone."""

CHECKOUT = Path(__file__).resolve().parents[3]


def _default_home() -> Path:
    inside_checkout = (CHECKOUT / "pyproject.toml").is_file()
    return CHECKOUT / ".suanwang" if inside_checkout else Path.home() / ".suanwang"


class Settings(BaseSettings):
    """Everything an operator may set. ``suanwang check`` validates it and says what to fix."""

    model_config = SettingsConfigDict(env_prefix="SUANWANG_", toml_file="suanwang.toml")

    env: Literal["development", "production"] = "development"
    home: Path = Field(default_factory=_default_home)
    host: str = "127.0.0.1"
    port: int = Field(default=8730, ge=1, le=65535)
    database_url: str | None = Field(
        default=None,
        validation_alias=AliasChoices("SUANWANG_DATABASE_URL", "DATABASE_URL"),
        repr=False,
        description="An external PostgreSQL; without it the embedded one is used.",
    )
    secret_key: str | None = Field(default=None, min_length=32, repr=False)
    allowed_hosts: list[str] = ["127.0.0.1", "localhost", "[::1]", "testserver"]
    policy: str = Field(default="baoding-2024", description="The folder of the policy in force.")
    voucher_measure: str = Field(
        default="5c", description="The measure of the policy in force that vouchers rest on."
    )
    issue_measure: str = Field(
        default="5-issue", description="Its measure that says what may be issued."
    )
    overlapping_measures: list[str] = Field(
        default=["baoding-2025/data-ai"],
        description="Measures of other policies of the city that may support the same fees; of"
        " those that overlap on a fee only the highest is paid.",
    )
    policies_dir: Path | None = None
    clock_offset_seconds: int = Field(
        default=0, description="Shift of the city's clock against this machine's; demo and tests."
    )
    metrics_token: str | None = Field(
        default=None,
        min_length=16,
        repr=False,
        description="The bearer token /metrics asks for; in production it answers to none other.",
    )
    builtin_centre: bool = Field(
        default=True, description="Offer this machine as a small centre of its own."
    )
    web_threads: int = Field(default=16, ge=1, le=256)
    demo_days: int = Field(
        default=90, ge=1, le=366, description="How long the demo city has lived when it opens."
    )
    log_format: Literal["text", "json"] = "text"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def policies(self) -> Path:
        """Where the policy packages are: set, or of this checkout, or shipped in the wheel."""
        if self.policies_dir is not None:
            return self.policies_dir
        of_checkout = CHECKOUT / "policies"
        return of_checkout if of_checkout.is_dir() else Path(__file__).parents[1] / "_policies"

    def clock_offset(self) -> timedelta:
        """The shift of the city's clock: set, or chosen by a demo that opened after its policy."""
        seconds = self.clock_offset_seconds
        kept = self.home / CLOCK_OFFSET_FILE
        if not seconds and kept.is_file():
            seconds = int(kept.read_text(encoding="ascii"))
        return timedelta(seconds=seconds)

    def django_secret_key(self) -> str:
        """The key that signs sessions: set, or generated once for development."""
        if self.secret_key is not None:
            return self.secret_key
        if self.env == "production":
            raise ValueError("SUANWANG_SECRET_KEY must be set in production")
        return development_key(self.home / "keys" / "secret_key")

    def dsn(self) -> str:
        """Where PostgreSQL answers, as a libpq URL."""
        if self.database_url is not None:
            return self.database_url
        from suanwang.site.postgres import embedded_dsn

        return embedded_dsn(self.home)


def development_key(path: Path) -> str:
    """A random key kept in a file of mode 0600, made on first use."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(48), encoding="ascii")
    return path.read_text(encoding="ascii")


@cache
def settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()
