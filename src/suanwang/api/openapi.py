"""What the generated OpenAPI document adds for every operation alike."""

from __future__ import annotations

import re
from typing import Any

from ninja.openapi import schema as schema_module
from ninja.openapi.schema import REF_TEMPLATE, OpenAPISchema
from ninja.schema import NinjaGenerateJsonSchema
from pydantic.json_schema import CoreModeRef, CoreRef, DefsRef

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


class FullNames(NinjaGenerateJsonSchema):
    """Names a nested class with the one around it: ``InvoiceStatus`` beside ``VoucherStatus``."""

    def get_defs_ref(self, core_mode_ref: CoreModeRef) -> DefsRef:
        core_ref, mode = core_mode_ref
        joined = re.sub(r"\.([A-Z]\w*)\.([A-Z]\w*)", r".\1\2", core_ref)
        return super().get_defs_ref((CoreRef(joined), mode))


# Ninja names the generator in its own module and asks nobody.
vars(schema_module)["NinjaGenerateJsonSchema"] = FullNames


class CityDocument(OpenAPISchema):
    """Ninja's document; every operation may answer a problem, every write takes a key."""

    def __init__(self, api: Any, path_prefix: str) -> None:
        super().__init__(api, path_prefix)
        self._complete()

    def add_schema_definitions(self, definitions: dict[str, Any]) -> None:
        """Two rooms must not describe different things by one name: the last would win."""
        for name, definition in definitions.items():
            if self.schemas.get(name, definition) != definition:
                raise ValueError(f"two different schemas are called {name}")
        super().add_schema_definitions(definitions)

    def _complete(self) -> None:
        schema = Problem.model_json_schema(ref_template=REF_TEMPLATE)
        self["components"]["schemas"] |= schema.pop("$defs", {}) | {"Problem": schema}
        self["components"]["securitySchemes"] = _SECURITY
        self["security"] = [{}, {"apiKey": []}, {"session": []}]
        answer: dict[str, Any] = {
            "description": "Refused; the problem says why.",
            "content": {MEDIA_TYPE: {"schema": {"$ref": REF_TEMPLATE.format(model="Problem")}}},
        }
        for path, operations in self["paths"].items():
            for method, operation in operations.items():
                operation["responses"].setdefault("default", answer)
                if method.upper() in WRITES and not path.startswith(WITHOUT_KEY):
                    operation["parameters"] = [*operation["parameters"], _KEY]
