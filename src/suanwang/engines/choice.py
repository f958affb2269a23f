"""Which engine an agent works with: the one place where engines are known by name.

Each engine has ``settings.py`` with a strict model of what its owner may say, and ``engine.py``
with the class. Engines are imported only when chosen: an agent needs the packages of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    said = dict(options)
    match kind:
        case "local":
            from suanwang.engines.local.engine import LocalEngine
            from suanwang.engines.local.settings import LocalOptions

            return LocalEngine(LocalOptions.model_validate(said).settings(folder))
        case "slurm":
            from suanwang.engines.slurm.engine import SlurmEngine
            from suanwang.engines.slurm.settings import SlurmSettings

            return SlurmEngine(SlurmSettings.model_validate(said), folder)
        case "kubernetes":
            from suanwang.engines.kubernetes.engine import KubernetesEngine
            from suanwang.engines.kubernetes.settings import KubernetesSettings

            return KubernetesEngine(KubernetesSettings.model_validate(said), folder)
        case "ray":
            from suanwang.engines.ray.engine import RayEngine
            from suanwang.engines.ray.settings import RaySettings

            return RayEngine(RaySettings.model_validate(said), folder)
    raise UnknownEngine(kind)


def options_of(kind: str) -> type[BaseModel]:
    """What may be said of an engine in ``engine.yaml``. Raises ``UnknownEngine``."""
    match kind:
        case "local":
            from suanwang.engines.local.settings import LocalOptions

            return LocalOptions
        case "slurm":
            from suanwang.engines.slurm.settings import SlurmSettings

            return SlurmSettings
        case "kubernetes":
            from suanwang.engines.kubernetes.settings import KubernetesSettings

            return KubernetesSettings
        case "ray":
            from suanwang.engines.ray.settings import RaySettings

            return RaySettings
    raise UnknownEngine(kind)
