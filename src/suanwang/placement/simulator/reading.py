"""From the text of a city document to the city, every mistake with its line.

Jobs, streams, links and events that are wrong can be left out; a city whose centres cannot be read
is refused. Takes text, opens nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import ValidationError

from suanwang.core.errors import Refused
from suanwang.placement.simulator.city import City
from suanwang.placement.simulator.problems import OnMalformed, Problem, Problems

CHARACTERS_MAX = 64 << 20
DEPTH_MAX = 40
_OPTIONAL: tuple[tuple[str | int, ...], ...] = (
    ("workload", "jobs"),
    ("workload", "running"),
    ("workload", "streams"),
    ("links",),
    ("events",),
)
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_city(text: str, on_malformed: OnMalformed = "skip") -> tuple[City, list[Problem]]:
    """The city, and what was left out of it.

    Refuses ``city_too_large``, ``city_unreadable`` (no such document, or a wrong part that cannot
    be left out), and the first ``city_part_wrong`` if nothing may be left out.
    """
    if len(text) > CHARACTERS_MAX:
        raise Refused("city_too_large", characters=len(text), most=CHARACTERS_MAX)
    document = _plain(text)
    problems = Problems(on_malformed)
    try:
        return City.model_validate(document), []
    except ValidationError as wrong:
        _leave_out(document, wrong, text, problems)
    try:
        return City.model_validate(document), problems.found
    except ValidationError as wrong:
        first = wrong.errors()[0]
        raise _unreadable(text, first["loc"], first["msg"]) from None


def _plain(text: str) -> Any:
    try:
        if text.lstrip()[:1] == "{":
            return json.loads(text)
        if "*" in text and "&" in text:
            _refuse_aliases(text)
        _refuse_depth(text)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader
    except yaml.MarkedYAMLError as wrong:
        line = wrong.problem_mark.line + 1 if wrong.problem_mark else 0
        raise Refused("city_unreadable", line=line, problem=str(wrong.problem)[:120]) from None
    except (ValueError, RecursionError, yaml.YAMLError) as wrong:
        raise Refused("city_unreadable", line=0, problem=str(wrong)[:120]) from None


def _refuse_aliases(text: str) -> None:
    """A page of aliases of aliases would unfold to more than the machine can hold."""
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            line = event.start_mark.line + 1 if event.start_mark else 0
            raise Refused("city_unreadable", line=line, problem="aliases (*name) are not read")


def _refuse_depth(text: str) -> None:
    """Brackets within brackets without end would overrun the stack of the loader."""
    depth = 0
    for character in text:
        depth += (character in "[{") - (character in "]}")
        if depth > DEPTH_MAX:
            raise Refused("city_unreadable", line=0, problem="nested too deeply")


def _leave_out(document: Any, wrong: ValidationError, text: str, problems: Problems) -> None:
    """Take the optional parts that are wrong out of the document, each with its line."""
    lines = _lines(text)
    bad: dict[tuple[str | int, ...], set[int]] = {}
    for error in wrong.errors(include_url=False):
        place = tuple(error["loc"])
        for head in _OPTIONAL:
            if place[: len(head)] == head and len(place) > len(head):
                number = place[len(head)]
                if isinstance(number, int) and number not in bad.setdefault(head, set()):
                    bad[head].add(number)
                    problems.note(
                        _line(lines, place),
                        "city_part_wrong",
                        part=".".join(map(str, place)),
                        problem=error["msg"],
                    )
    for head, numbers in bad.items():
        holder = document
        for step in head[:-1]:
            holder = holder[step]
        holder[head[-1]] = [
            part for number, part in enumerate(holder[head[-1]]) if number not in numbers
        ]


def _unreadable(text: str, place: tuple[str | int, ...], message: str) -> Refused:
    return Refused(
        "city_unreadable",
        line=_line(_lines(text), place),
        problem=f"{'.'.join(map(str, place))}: {message}"[:200],
    )


def _lines(text: str) -> dict[tuple[str | int, ...], int]:
    """The line of every part; JSON is read as the YAML it also is."""
    try:
        root = yaml.compose(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    return dict(_walk(root, ()))


def _walk(node: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], int]]:
    if node is None or len(path) > DEPTH_MAX:
        return
    yield path, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _walk(value, (*path, str(key.value)))
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _walk(value, (*path, number))


def _line(lines: dict[tuple[str | int, ...], int], place: tuple[str | int, ...]) -> int:
    """The line of a part, or of the nearest part around it."""
    path = tuple(place)
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 0)
