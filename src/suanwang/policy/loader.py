"""The edge of the room: the only place that touches files.

A package is a folder of YAML. It is read as plain data, numbers kept as written, with the file and
line of every part; nothing in it is ever executed.
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from suanwang.core.errors import NotFound, Refused
from suanwang.policy.build import read_package
from suanwang.policy.package import Package
from suanwang.policy.reader import Mistakes
from suanwang.policy.reader import Path as Place

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load(folder: Path | str) -> Package:
    """The package in a folder, read and checked; read again only when a file has changed.

    Refuses ``policy_package_unknown`` (no such folder) and ``policy_package_invalid`` (its fact
    ``mistakes`` lists each with file and line).
    """
    folder = Path(folder)
    if not (folder / "policy.yaml").is_file():
        raise NotFound("policy_package_unknown", folder=folder.name)
    stamps = tuple((path, path.stat().st_mtime_ns) for path in sorted(folder.rglob("*.yaml")))
    return _load(folder, stamps)


def open_package(folder: Path) -> tuple[Package | None, Mistakes]:
    """The package if it can be built, and every mistake met on the way."""
    document, mistakes = _document(folder)
    if mistakes.found:
        return None, mistakes
    package = read_package(document, mistakes)
    return (None if mistakes.found else package), mistakes


@lru_cache(maxsize=64)
def _load(folder: Path, stamps: Hashable) -> Package:
    package, mistakes = open_package(folder)
    if package is None:
        shown = "; ".join(str(mistake) for mistake in mistakes.found[:20])
        raise Refused("policy_package_invalid", package=folder.name, mistakes=shown)
    return package


def packages(root: Path) -> list[Path]:
    """The folders of all packages below a root, by name."""
    return sorted(path.parent for path in root.glob("*/policy.yaml"))


def load_published(text: str) -> Package:
    """A package from its published JSON, to replay a decision years later.

    Refuses ``policy_hash_differs`` when the content is not what the hash says, and
    ``policy_package_invalid``.
    """
    published = json.loads(text)
    mistakes = Mistakes({(): "published"})
    package = read_package(published["content"], mistakes)
    if mistakes.found:
        shown = "; ".join(str(mistake) for mistake in mistakes.found[:20])
        raise Refused("policy_package_invalid", package=published.get("name"), mistakes=shown)
    if package.content_hash != published["hash"]:
        raise Refused("policy_hash_differs", expected=published["hash"], found=package.content_hash)
    return package


def _document(folder: Path) -> tuple[dict[str, Any], Mistakes]:
    """Every file of the folder as one document: ``measures/05c.yaml`` is ``measures → 05c``."""
    document: dict[str, Any] = {}
    places: dict[Place, str] = {(): folder.name}
    mistakes = Mistakes(places)
    for path in sorted(folder.rglob("*.yaml")):
        relative = path.relative_to(folder)
        parents: Place = relative.parts[:-1]
        place: Place = (*parents, relative.stem)
        try:
            tree = yaml.compose(path.read_text(encoding="utf-8"), Loader=_Loader)
        except (yaml.YAMLError, UnicodeDecodeError) as wrong:
            mark = getattr(wrong, "problem_mark", None)
            places[place] = f"{folder.name}/{relative}:{mark.line + 1 if mark else 1}"
            mistakes.note(place, "policy_file_unreadable", problem=getattr(wrong, "problem", wrong))
            continue
        room = document
        for part in parents:
            room = room.setdefault(str(part), {})
        room[relative.stem] = _plain(tree, place, f"{folder.name}/{relative}", mistakes)
    return document, mistakes


def _plain(node: Any, place: Place, file: str, mistakes: Mistakes) -> Any:
    """A YAML node as plain data: whole numbers, truths, text; never a float."""
    places = mistakes.places
    assert isinstance(places, dict)  # noqa: S101 - made above
    places[place] = f"{file}:{node.start_mark.line + 1}" if node else f"{file}:1"
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key, value in node.value:
            if key.value in mapping:
                places[(*place, key.value)] = f"{file}:{key.start_mark.line + 1}"
                mistakes.note((*place, key.value), "policy_entry_twice", entry=key.value)
            mapping[key.value] = _plain(value, (*place, key.value), file, mistakes)
            places[(*place, key.value)] = f"{file}:{key.start_mark.line + 1}"
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [
            _plain(value, (*place, index), file, mistakes) for index, value in enumerate(node.value)
        ]
    if node is None:
        return None
    match node.tag.rpartition(":")[2]:
        case "null":
            return None
        case "bool":
            return node.value.lower() in ("true", "yes", "on")
        case "int":
            text = node.value.replace("_", "")
            return int(text) if text.lstrip("+-").isdigit() and not _padded(text) else node.value
    return node.value


def _padded(text: str) -> bool:
    return len(text.lstrip("+-")) > 1 and text.lstrip("+-").startswith("0")
