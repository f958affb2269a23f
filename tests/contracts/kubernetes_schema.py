"""Kubernetes' published OpenAPI schema, strictly: nothing beside what it knows.

The schemas come with the package kubernetes-validate (Apache-2.0), made from the API's own
OpenAPI documents. Every body the engine sends must please the oldest and the newest of them.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema_rs

VERSIONS = ("1.25.0", "1.37.0")
_AT = "json-schema:///api/_definitions.json"
_KINDS = {
    ("batch/v1", "Job"): "io.k8s.api.batch.v1.Job",
    ("v1", "Pod"): "io.k8s.api.core.v1.Pod",
    ("v1", "Secret"): "io.k8s.api.core.v1.Secret",
    ("v1", "Service"): "io.k8s.api.core.v1.Service",
    ("v1", "Node"): "io.k8s.api.core.v1.Node",
    ("v1", "ResourceQuota"): "io.k8s.api.core.v1.ResourceQuota",
    ("v1", "Status"): "io.k8s.apimachinery.pkg.apis.meta.v1.Status",
    ("v1", "DeleteOptions"): "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions",
}
_QUANTITY = re.compile(r"[+-]?[0-9.]+([eE][+-]?[0-9]+|[numkMGTPE]|[KMGTPE]i)?")


@cache
def _definitions(version: str) -> Any:
    root = files("kubernetes_validate").joinpath("kubernetes-json-schema")
    file = root.joinpath(f"v{version}-local-strict", "_definitions.json")
    return jsonschema_rs.Registry([(_AT, json.loads(file.read_bytes()))])


@cache
def _validator(version: str, name: str) -> Any:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": f"{_AT}#/$defs/{name}",
    }
    return jsonschema_rs.validator_for(schema, registry=_definitions(version))


def problems(body: Any) -> list[str]:
    """What the schemas have against an object; of a kind they do not know, that it is unknown."""
    kind = (body.get("apiVersion"), body.get("kind")) if isinstance(body, dict) else None
    if kind is None or kind not in _KINDS:
        return [f"no schema for {kind}"]
    return [
        f"{version}: {'.'.join(map(str, error.instance_path))}: {error.message}"
        for version in VERSIONS
        for error in _validator(version, _KINDS[kind]).iter_errors(body)
    ]


def quantity(text: Any) -> bool:
    """The schema says only that an amount is a string or a number."""
    return isinstance(text, int) or (isinstance(text, str) and bool(_QUANTITY.fullmatch(text)))
