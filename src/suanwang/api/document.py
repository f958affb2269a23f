"""Writes the reference of the API from its code: the OpenAPI document and a page to read.

Run ``python -m suanwang.api.document`` in the checkout after changing an endpoint; a test holds
the committed files against the code.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

REFERENCE = Path(__file__).resolve().parents[3] / "docs" / "reference"

_HEAD = """# API reference

Generated from the code by `python -m suanwang.api.document`; do not edit. The same as a machine
reads it: `openapi.json` beside this page, or `/api/v1/openapi.json` of a running city.

- **Who calls**: `Authorization: Bearer sw_<prefix>_<secret>` (an API key), or the session cookie
  of `POST /api/v1/sign-in`. Without either you are a stranger and see what is public.
- **Writes** need an `Idempotency-Key` of your choice. The same key again is answered as before
  (`Idempotency-Replayed: true`) and does nothing; with another request it is refused. Refusals
  are not kept. Keys are forgotten after 48 hours.
- **Lists** come in pages: `limit` up to 200; pass `next_cursor` as `cursor` until it is null.
- **Refusals** are `application/problem+json`: a stable `code`, its `facts`, `detail` in the
  language of `Accept-Language` (zh or en), and for a payload that does not fit its schema (422)
  one entry in `errors` per field with a JSON pointer.
- Amounts are integer fen, times are UTC, quantities are integers in base units.
"""


def document() -> dict[str, Any]:
    """The OpenAPI document as plain data, the same whenever the code is the same."""
    from suanwang.api.api import api

    plain: dict[str, Any] = json.loads(json.dumps(api.get_openapi_schema(), default=str))
    return plain


def openapi_text(described: dict[str, Any]) -> str:
    return json.dumps(described, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def page_text(described: dict[str, Any]) -> str:
    """Every operation by room: what it does, what it takes, what it answers."""
    by_tag: dict[str, list[str]] = {}
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            tag = operation.get("tags", ["other"])[0]
            by_tag.setdefault(tag, []).append(_operation(method.upper(), path, operation))
    rooms = [f"\n## {tag}\n\n" + "\n".join(by_tag[tag]) for tag in sorted(by_tag)]
    return _HEAD + "".join(rooms)


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    lines = [f"### `{method} {path}`", "", operation.get("description", operation["summary"]), ""]
    for parameter in operation.get("parameters", []):
        if parameter["name"] == "Idempotency-Key":
            continue
        needed = "" if parameter.get("required") else ", may be left out"
        lines.append(f"- `{parameter['name']}` ({parameter['in']}{needed})")
    for content_type, body in operation.get("requestBody", {}).get("content", {}).items():
        lines.append(f"- takes {_name(body['schema'])} as `{content_type}`")
    for status, answer in operation["responses"].items():
        for content in answer.get("content", {}).values():
            if status != "default":
                lines.append(f"- answers {status} {_name(content['schema'])}")
    return "\n".join(lines) + "\n"


def _name(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return f"`{schema['$ref'].rpartition('/')[2]}`"
    if schema.get("type") == "array":
        return f"a list of {_name(schema['items'])}"
    return f"`{schema.get('title', schema.get('type', 'anything'))}`"


def main() -> None:
    """Write both files."""
    import django

    django.setup()
    described = document()
    REFERENCE.mkdir(parents=True, exist_ok=True)
    (REFERENCE / "openapi.json").write_text(openapi_text(described), encoding="utf-8")
    (REFERENCE / "api.md").write_text(page_text(described), encoding="utf-8")


if __name__ == "__main__":
    import os

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "suanwang.site.django_settings")
    main()
