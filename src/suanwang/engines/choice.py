"""Which engine an agent works with: the one place where engines are known by name.

Each engine has ``settings.py`` with a strict model of what its owner may say, and ``engine.py``
with the class. Engines are imported only when chosen: an agent needs the packages of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from suanwang.engines.port import Engine


class UnknownEngine(ValueError):
    """No engine has this name."""


def open_engine(kind: str, options: Mapping[str, Any], folder: Path) -> Engine:
    """The engine called ``kind``, keeping what it must in ``folder``.

    Raises ``UnknownEngine``, pydantic's ``ValidationError`` for options it does not know, and
    ``EngineUnavailable`` when it cannot be asked now.
    """
    match kind:
        case "local":
            from suanwang.engines.local.engine import LocalEngine
            from suanwang.engines.local.settings import LocalOptions

            return LocalEngine(LocalOptions.model_validate(dict(options)).settings(folder))
    raise UnknownEngine(kind)


def options_of(kind: str) -> type[BaseModel]:
    """What may be said of an engine in ``engine.yaml``, as the model in its ``settings.py``.

    Raises ``UnknownEngine``.
    """
    if not kind.isidentifier():
        raise UnknownEngine(kind)
    try:
        found = import_module(f"suanwang.engines.{kind}.settings")
    except ImportError:
        raise UnknownEngine(kind) from None
    name = kind.capitalize()
    model = getattr(found, f"{name}Settings", None)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        model = getattr(found, f"{name}Options")
    return model
