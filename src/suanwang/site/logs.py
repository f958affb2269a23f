"""Structured logs: one line an event, text or JSON (``SUANWANG_LOG_FORMAT``), never a secret.

Every process writes to its own file under ``SUANWANG_HOME/logs`` through its standard output; the
supervisor turns the files over when they grow.
"""

from __future__ import annotations

import logging.config
import re
import shutil
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Literal

import structlog

_LARGEST_BYTES = 5 * 1024 * 1024
_KEPT = 3

_SECRET_NAMES = re.compile(
    r"(?i)password|passwd|secret|token|authorization|signature|api_?key|cookie"
)
_SECRET_VALUES = (
    (re.compile(r"(://[^/:@\s]+:)[^@\s]+@"), r"\1***@"),
    (re.compile(r"\bsw_([0-9A-Za-z]+)_[0-9A-Za-z_-]+"), r"sw_\1_***"),
    (re.compile(r"(?i)\b(bearer\s+)\S+"), r"\1***"),
)


def configure(
    process: str, *, form: Literal["text", "json"], level: Literal["INFO", "WARNING"] = "INFO"
) -> dict[str, Any]:
    """Send this process's logs, ours and every library's, to standard output; says how it did."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        _named(process),
        _without_baggage,
        hide_secrets,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form == "json"
        else structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"])
    )
    config = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    renderer,
                ],
                "foreign_pre_chain": shared,
            }
        },
        "handlers": {
            "stdout": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stdout",
                "formatter": "line",
            }
        },
        "root": {"handlers": ["stdout"], "level": level},
        # Granian brings handlers of its own unless told.
        "loggers": {
            "_granian": {"level": "INFO"},
            "granian.access": {"level": "WARNING"},
            "procrastinate.periodic": {"level": "WARNING"},
            "procrastinate.blueprints": {"level": "WARNING"},
            "httpx": {"level": "WARNING"},
        },
    }
    logging.config.dictConfig(config)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return config


def hide_secrets(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Blank what is named like a secret and what looks like one."""
    for name, value in event.items():
        if name.startswith("_"):
            continue
        if _SECRET_NAMES.search(name):
            event[name] = "***"
        elif isinstance(value, str):
            event[name] = without_secrets(value)
    return event


def without_secrets(text: str) -> str:
    """A text with passwords in addresses, API keys and bearer tokens blanked."""
    for pattern, replacement in _SECRET_VALUES:
        text = pattern.sub(replacement, text)
    return text


def turn_over(folder: Path, *, largest_bytes: int = _LARGEST_BYTES) -> list[Path]:
    """Put logs that have grown too large aside, keeping a few old ones; says which.

    The writers hold the files open for appending, so a file is copied and emptied in place.
    """
    turned = []
    for path in sorted(folder.glob("*.log")):
        if path.stat().st_size <= largest_bytes:
            continue
        for number in range(_KEPT - 1, 0, -1):
            older = path.with_suffix(f".log.{number}")
            if older.exists():
                older.rename(path.with_suffix(f".log.{number + 1}"))
        shutil.copyfile(path, path.with_suffix(".log.1"))
        with path.open("r+b") as log:
            log.truncate(0)
        turned.append(path)
    return turned


_BAGGAGE = ("request", "worker", "job", "jobs", "start_timestamp", "end_timestamp", "action")


def _without_baggage(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Drop whole objects that libraries attach to a line which says the same in words."""
    if not str(event.get("logger", "")).startswith("suanwang"):
        for name in _BAGGAGE:
            event.pop(name, None)
    return event


def _named(process: str) -> structlog.typing.Processor:
    def add(
        _logger: Any, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        event.setdefault("process", process)
        return event

    return add
