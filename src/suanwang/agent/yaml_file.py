"""The files a centre writes for its agent: YAML, small, strict, each key once."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

BYTES_MAX = 64 << 10

_Model = TypeVar("_Model", bound=BaseModel)


class FileWrong(Exception):
    """The file cannot be read, or says something it may not; the message says what and where."""


class _Loader(yaml.SafeLoader):
    """Plain data only. The second of two equal keys is a mistake, never the one that counts."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str) or key in seen:
            line = key_node.start_mark.line + 1
            raise FileWrong(f"line {line}: {key!r} is no name, or stands twice")
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_raw(path: Path) -> bytes:
    """The bytes of a file of bounded size. Raises ``FileWrong``; FileNotFoundError if none."""
    try:
        with path.open("rb") as file:
            raw = file.read(BYTES_MAX + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise FileWrong(f"{path.name}: {error.strerror or error}") from None
    if len(raw) > BYTES_MAX:
        raise FileWrong(f"{path.name} has more than {BYTES_MAX} bytes")
    return raw


def parse(raw: bytes) -> dict[str, Any]:
    """The mapping a file holds; an empty file is an empty one. Raises ``FileWrong``."""
    try:
        found = yaml.load(raw, _Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise FileWrong(" ".join(str(error).split())[:300]) from None
    except (RecursionError, ValueError, UnicodeDecodeError) as error:
        raise FileWrong(f"not YAML: {error!s:.100}") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise FileWrong("a mapping of names to values is wanted")
    return found


def read(raw: bytes, model: type[_Model]) -> _Model:
    """A file as the model it must be. Raises ``FileWrong`` with each field that is wrong."""
    try:
        return model.model_validate(parse(raw))
    except ValidationError as error:
        raise FileWrong(said(error)) from None


def said(error: ValidationError) -> str:
    """What is wrong with which field, in one line."""
    found = error.errors(include_url=False, include_input=False)
    parts = [f"{'.'.join(map(str, one['loc'])) or 'file'}: {one['msg']}" for one in found[:5]]
    return "; ".join(parts)[:500]
