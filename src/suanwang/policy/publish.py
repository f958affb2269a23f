"""The fifth reading: the package as open data, with its hash and the schema of every question.

What is published is the very document the engine reads, so ``load_published`` gives back a package
that decides the same to the fen.
"""

from __future__ import annotations

import json
from datetime import date
from fractions import Fraction
from typing import Any

from suanwang.policy.package import Package
from suanwang.policy.parts import Fact
from suanwang.policy.why import exact_text

FORMAT = "suanwang-policy/1"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def publish(package: Package) -> dict[str, Any]:
    """The published form: format, name, hash, content, and per measure the schema of its facts."""
    return {
        "format": FORMAT,
        "name": package.name,
        "hash": package.content_hash,
        "hash_of": "SHA-256 of content as JSON: UTF-8, keys sorted, no spaces",
        "title": dict(package.title),
        "valid_from": package.valid_from.isoformat(),
        "valid_to": package.valid_to.isoformat(),
        "facts": {name: facts_schema(package, name) for name in package.measures},
        "content": package.content,
    }


def publish_text(package: Package) -> str:
    """The published form as JSON text; the same package always gives the same text."""
    return json.dumps(publish(package), ensure_ascii=False, indent=1) + "\n"


def facts_schema(package: Package, measure: str) -> dict[str, Any]:
    """JSON Schema of the facts a measure asks for, with an example. Refuses
    ``policy_measure_unknown``."""
    wanted = package.measure(measure)
    return {
        "$schema": DIALECT,
        "title": wanted.title["en"],
        "type": "object",
        "additionalProperties": False,
        "required": list(wanted.facts),
        "properties": {name: _property(package.facts[name]) for name in wanted.facts},
        "examples": [example_facts(package, measure)],
    }


def example_facts(package: Package, measure: str) -> dict[str, Any]:
    """The example facts of a measure, as its package gives them."""
    return {name: package.facts[name].example for name in package.measure(measure).facts}


def _property(fact: Fact) -> dict[str, Any]:
    described = {"title": fact.label["en"], "description": fact.label["zh"]}
    match fact.type.kind:
        case "bool":
            return {**described, "type": "boolean"}
        case "date":
            return {**described, "type": "string", "format": "date"}
        case "choice":
            return {**described, "enum": list(fact.type.choices)}
        case "division":
            return {**described, "type": "string", "pattern": "^[0-9]{6}$"}
    if fact.type.decimals == 0:
        bounds = {"minimum": _whole(fact.least), "maximum": _whole(fact.most)}
        return {**described, "type": "integer", **bounds}
    places = fact.type.decimals
    pattern = rf"^[0-9]+(\.[0-9]{{1,{places}}})?$"
    least, most = (exact_text(Fraction(_number(end))) for end in (fact.least, fact.most))
    return {
        **described,
        "type": ["integer", "string"],
        "pattern": pattern,
        "$comment": f"exact, from {least} to {most}, at most {places} decimals",
    }


def _number(value: Fraction | date | None) -> Fraction:
    return value if isinstance(value, Fraction) else Fraction(0)


def _whole(value: Fraction | date | None) -> int:
    return int(_number(value))
