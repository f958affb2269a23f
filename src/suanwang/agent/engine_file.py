"""Which engine this agent works with: ``engine.yaml`` in its home, ``engine:`` and its options."""

from __future__ import annotations

import ast
import inspect
import logging
import textwrap
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticUndefined

from suanwang.agent.yaml_file import FileWrong, parse, read_raw, said
from suanwang.engines.choice import UnknownEngine, open_engine, options_of
from suanwang.engines.port import Engine, EngineUnavailable

log = logging.getLogger("suanwang.agent")

_WAITS_SECONDS = (1, 2, 4, 8, 15, 30, 60)


@dataclass(frozen=True)
class EngineChoice:
    """The engine's name and what its owner says of it."""

    kind: str = "local"
    options: dict[str, Any] = field(default_factory=dict)

    def open(self, folder: Path) -> Engine:
        """The engine itself.

        Raises ``FileWrong`` for a name or options nobody knows, ``EngineUnavailable`` when it
        does not answer.
        """
        try:
            return open_engine(self.kind, self.options, folder)
        except UnknownEngine:
            raise FileWrong(f"engine: {self.kind[:40]!r} is not known") from None
        except ValidationError as error:
            raise FileWrong(said(error)) from None
        except ImportError as error:
            raise FileWrong(f"engine {self.kind} needs a package: {error}") from None

    def open_patiently(self, folder: Path) -> Engine:
        """The same, waiting for an engine that does not answer yet: after a power cut the agent
        may be up before it.
        """
        for wait in _WAITS_SECONDS:
            try:
                return self.open(folder)
            except EngineUnavailable as error:
                log.warning("the engine does not answer, again in %d s: %s", wait, error)
                time.sleep(wait)
        return self.open(folder)

    def with_local(self, said: Mapping[str, Any], tied_to: int | None) -> EngineChoice:
        """With what the command line says beside the file. Raises ``FileWrong``."""
        given = {name: value for name, value in said.items() if value is not None}
        if self.kind != "local":
            if given:
                names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
                raise FileWrong(f"{names}: only for engine local; this is {self.kind}")
            return self
        if tied_to is not None:
            given["tied_to"] = tied_to
        return EngineChoice(self.kind, self.options | given)


def read_choice(path: Path) -> EngineChoice:
    """What the file says; without one, this machine. Raises ``FileWrong``."""
    try:
        found = parse(read_raw(path))
    except FileNotFoundError:
        return EngineChoice()
    kind = found.pop("engine", None)
    if not isinstance(kind, str):
        raise FileWrong("engine: the name of an engine is wanted, such as local")
    return EngineChoice(kind, found)


def commented(kind: str) -> str:
    """A file for an engine in which every option stands, explained and commented out; those
    without a usual value wait to be filled in. Raises ``FileWrong`` for an unknown engine.
    """
    try:
        model = options_of(kind)
    except UnknownEngine:
        raise FileWrong(f"no engine is called {kind[:40]!r}") from None
    lines = ["# What this agent runs work on. Read when the agent starts.", f"engine: {kind}", ""]
    told = _docstrings(model)
    for name, one in model.model_fields.items():
        shown = one.alias or name
        for line in textwrap.wrap(one.description or told.get(name, ""), 90):
            lines.append(f"# {line}")
        value = one.get_default(call_default_factory=True)
        if value is PydanticUndefined:
            lines.append(f"{shown}:  # needed")
        else:
            plain = model.model_construct(**{name: value}).model_dump(mode="json", include={name})
            text = yaml.safe_dump({shown: plain.get(name)}, allow_unicode=True, sort_keys=False)
            lines += [f"#{line}" for line in text.rstrip().splitlines()]
        lines.append("")
    return "\n".join(lines)


def _docstrings(model: type[BaseModel]) -> dict[str, str]:
    """What stands under each field of the class in the source."""
    body = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0]
    assert isinstance(body, ast.ClassDef)  # noqa: S101 - a type
    found: dict[str, str] = {}
    for before, one in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(before, ast.AnnAssign)
            and isinstance(before.target, ast.Name)
            and isinstance(one, ast.Expr)
            and isinstance(one.value, ast.Constant)
            and isinstance(one.value.value, str)
        ):
            found[before.target.id] = " ".join(one.value.value.split()).replace("``", "")
    return found
