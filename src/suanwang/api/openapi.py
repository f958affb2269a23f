"""What the generated OpenAPI document adds for every operation alike."""

from __future__ import annotations

from typing import Any

from ninja.openapi.schema import REF_TEMPLATE, OpenAPISchema

from suanwang.api.gate import WITHOUT_KEY, WRITES
from suanwang.api.problems import MEDIA_TYPE, Problem

_SECURITY = {
    "apiKey": {"type": "http", "scheme": "bearer", "description": "sw_<prefix>_<secret>"},
    "session": {"type": "apiKey", "in": "cookie", "name": "sessionid"},
}
_KEY = {
    "in": "header",
    "name": "Idempotency-Key",
    "required": True,
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[\\x21-\\x7e]+$"},
    "description": "Chosen by the caller; a repeated request with it is answered, not done, again.",
}


def complete(document: OpenAPISchema) -> OpenAPISchema:
    """Every operation may answer a problem; every write takes an ``Idempotency-Key``."""
    schema = Problem.model_json_schema(ref_template=REF_TEMPLATE)
    document["components"]["schemas"] |= schema.pop("$defs", {}) | {"Problem": schema}
    document["components"]["securitySchemes"] = _SECURITY
    document["security"] = [{}, {"apiKey": []}, {"session": []}]
    answer: dict[str, Any] = {
        "description": "Refused; the problem says why.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": REF_TEMPLATE.format(model="Problem")}}},
    }
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            operation["responses"].setdefault("default", answer)
            if method.upper() in WRITES and not path.startswith(WITHOUT_KEY):
                operation["parameters"] = [*operation["parameters"], _KEY]
    return document
