"""What an API server refuses beside its schema, and how it says so."""

from __future__ import annotations

import base64
import copy
import re
from typing import Any

from .kubernetes_schema import quantity

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_VARIABLE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_SECRET_BYTES_MAX = 1 << 20


class Said(Exception):
    """A refusal as the API puts it."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message

    def body(self) -> dict[str, Any]:
        return {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.status,
        }  # fmt: skip


def said(status: int, reason: str, message: str) -> Said:
    return Said(status, reason, message)


def permitted(
    rules: list[dict[str, Any]] | None, verb: str, group: str, what: str, namespace: str
) -> bool:
    """Whether the rules of a Role (or, for what belongs to no namespace, a ClusterRole) allow."""
    if rules is None:
        return True
    return any(
        verb in rule["verbs"]
        and group in rule["apiGroups"]
        and what in rule["resources"]
        and (bool(namespace) or rule.get("cluster", False))
        for rule in rules
    )


def checked(resource: str, old: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    """The object with its defaults. Raises ``Said`` for what is no valid object or change."""
    meta = new["metadata"]
    if not _SUBDOMAIN.fullmatch(meta["name"]) or len(meta["name"]) > 253:
        raise _invalid(resource, meta["name"], "metadata.name: Invalid value")
    for name, value in meta.get("labels", {}).items():
        if not _VALUE.fullmatch(value) or len(value) > 63:
            raise _invalid(
                resource, meta["name"], f"metadata.labels: Invalid value: {name}={value}"
            )
    rule = {"secrets": _secret, "jobs": _job, "pods": _pod}.get(resource)
    return rule(old, copy.deepcopy(new)) if rule is not None else new


def _invalid(kind: str, name: str, what: str) -> Said:
    return said(422, "Invalid", f'{kind} "{name}" is invalid: {what}')


def _secret(old: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    name = new["metadata"]["name"]
    if old is not None and old.get("immutable") and old.get("data") != new.get("data"):
        what = "data: Forbidden: field is immutable when `immutable` is set"
        raise _invalid("Secret", name, what)
    size = sum(len(base64.b64decode(value, validate=True)) for value in new["data"].values())
    if size > _SECRET_BYTES_MAX:
        raise _invalid("Secret", name, "data: Too long: must have at most 1048576 bytes")
    if any(not re.fullmatch(r"[-._a-zA-Z0-9]{1,253}", key) for key in new["data"]):
        raise _invalid("Secret", name, "data: Invalid value: a valid config key must consist of …")
    return new


def _job(old: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    name, spec = new["metadata"]["name"], new["spec"]
    if old is not None:
        # The controller's own labels are part of the stored template.
        before, after = old["spec"]["template"], spec["template"]
        if before != after:
            quoted = f"core.PodTemplateSpec{str(after) * 3}"
            what = f"spec.template: Invalid value: {quoted}: field is immutable"
            raise _invalid("Job.batch", name, what)
        return new
    if len(name) > 63:
        raise _invalid(
            "Job.batch", name, "spec.template.labels: Invalid value: must be no more than 63"
        )
    labels = spec["template"].setdefault("metadata", {}).setdefault("labels", {})
    labels |= {"job-name": name, "batch.kubernetes.io/job-name": name}
    _pod_spec(name, spec["template"]["spec"], "spec.template.spec")
    if spec["template"]["spec"].get("restartPolicy") not in ("Never", "OnFailure"):
        raise _invalid("Job.batch", name, "spec.template.spec.restartPolicy: Required value")
    return new


def _pod(old: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    if old is None or old["spec"] == new["spec"]:
        return new
    before, after = dict(old["spec"]), dict(new["spec"])
    was, wanted = (
        before.pop("activeDeadlineSeconds", None),
        after.pop("activeDeadlineSeconds", None),
    )
    if before != after or wanted is None or wanted < 1 or (was is not None and wanted > was):
        what = "spec: Forbidden: pod updates may not change fields other than …"
        raise _invalid("Pod", new["metadata"]["name"], what)
    return new


def _pod_spec(name: str, spec: dict[str, Any], at: str) -> None:
    volumes = {volume["name"] for volume in spec.get("volumes", ())}
    for volume in spec.get("volumes", ()):
        for item in volume.get("secret", {}).get("items", ()):
            parts = item["path"].split("/")
            if item["path"].startswith("/") or ".." in parts or item["path"].startswith(".."):
                raise _invalid("Job.batch", name, f"{at}.volumes: Invalid value: {item['path']}")
    if spec.get("activeDeadlineSeconds", 1) < 1:
        raise _invalid("Job.batch", name, f"{at}.activeDeadlineSeconds: must be greater than 0")
    if spec.get("securityContext", {}).get("runAsNonRoot") is not True:
        raise said(403, "Forbidden", f'violates PodSecurity "restricted:latest": {at}')
    for container in spec["containers"]:
        own = container.get("securityContext", {})
        strict = own.get("allowPrivilegeEscalation") is False
        if not strict or own.get("capabilities", {}).get("drop") != ["ALL"]:
            raise said(403, "Forbidden", f'violates PodSecurity "restricted:latest": {at}')
        for kind in ("requests", "limits"):
            for resource, much in container.get("resources", {}).get(kind, {}).items():
                if not quantity(much):
                    raise _invalid("Job.batch", name, f"{at}: {resource}: quantities must match …")
        for variable in container.get("env", ()):
            if not _VARIABLE.fullmatch(variable["name"]):
                raise _invalid("Job.batch", name, f"{at}.env: Invalid value: {variable['name']}")
        for mount in container.get("volumeMounts", ()):
            if mount["name"] not in volumes:
                raise _invalid("Job.batch", name, f"{at}.volumeMounts: Not found: {mount['name']}")
