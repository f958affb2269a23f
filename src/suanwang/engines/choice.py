"""Which engine an agent works with: the one place where engines are known by name.

Each engine has ``settings.py`` with a strict model of what its owner may say, and ``engine.py``
with the class. Engines are imported only when chosen: an agent needs the packages of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
            from suanwang.engines.local.build import LocalSettings
            from suanwang.engines.local.engine import LocalEngine

            return LocalEngine(LocalSettings(folder, **options))
        case "kubernetes":
            from suanwang.engines.kubernetes.engine import KubernetesEngine
            from suanwang.engines.kubernetes.settings import KubernetesSettings

            return KubernetesEngine(KubernetesSettings.model_validate(dict(options)), folder)
    raise UnknownEngine(kind)
