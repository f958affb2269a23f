"""A Kubernetes control plane for tests: API server, scheduler and Job controller on loopback.

It does what the engine needs of one and refuses the rest. Every body it is sent is validated
strictly against the published OpenAPI schemas (``kubernetes_schema``), every object it makes
itself, too, and a token may do only what the Role in the documentation grants. Statuses and words
are as recorded from kube-apiserver, kube-scheduler and kube-controller-manager 1.20.2 built from
Debian's source; where later releases differ in what matters (a Pod that is deleted counts as
failed, from 1.26 on) it does as the later ones.
"""

from __future__ import annotations

import copy
import json
import secrets
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from .kubernetes_controllers import Controllers
from .kubernetes_kubelet import Kubelet, now_text
from .kubernetes_rules import Said, checked, permitted, said
from .kubernetes_schema import problems

Key = tuple[str, str, str]
"""Kind of resource, namespace, name."""
_KINDS = {
    "jobs": ("batch/v1", "Job"), "pods": ("v1", "Pod"), "secrets": ("v1", "Secret"),
    "services": ("v1", "Service"), "nodes": ("v1", "Node"),
    "resourcequotas": ("v1", "ResourceQuota"),
    "podgroups": ("scheduling.volcano.sh/v1beta1", "PodGroup"),
}  # fmt: skip


@dataclass
class Faults:
    """What goes wrong for the engine, for as long as it is set."""

    answer: Callable[[str, str], tuple[int, bytes] | None] | None = None
    """Instead of the real answer, by method and path; (0, b"") hangs up."""


class KubernetesDouble:
    """One cluster. ``url`` is where it is."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.objects: dict[Key, dict[str, Any]] = {}
        self.history: list[tuple[int, str, Key, dict[str, Any]]] = []
        self.version = 1
        self.oldest = 0
        """Changes up to this version are compacted away."""
        self.tokens: dict[str, list[dict[str, Any]] | None] = {}
        """By token the rules it lives by; None: may do all."""
        self.kubelets: dict[str, Kubelet] = {}
        self.faults = Faults()
        self.wrong: list[str] = []
        """Bodies that the published schema refuses."""
        self.stopping = False
        self.epoch = 0
        """Watches of an earlier epoch are cut off."""
        double = self

        class Handler(_Handler):
            cluster = double

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.admin = self.token(None)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.controllers = Controllers(self)
        self.controllers.start()

    def stop(self) -> None:
        with self.changed:
            self.stopping = True
            self.changed.notify_all()
        for kubelet in self.kubelets.values():
            kubelet.stop()
        self.controllers.join(timeout=10)
        self._server.shutdown()
        self._server.server_close()

    def token(self, rules: list[dict[str, Any]] | None) -> str:
        token = secrets.token_hex(8)
        self.tokens[token] = rules
        return token

    # -- the store -----------------------------------------------------------------------

    def put(self, resource: str, body: dict[str, Any]) -> dict[str, Any]:
        """Create or replace an object, and tell the watches."""
        with self.changed:
            body = copy.deepcopy(body)
            meta = body["metadata"]
            key = (resource, meta.get("namespace", ""), meta["name"])
            known = self.objects.get(key)
            self.version += 1
            meta.setdefault("uid", str(uuid.uuid4()))
            meta.setdefault("creationTimestamp", now_text())
            meta["resourceVersion"] = str(self.version)
            body["apiVersion"], body["kind"] = _KINDS[resource]
            if resource != "podgroups" and (found := problems(body)):
                self.wrong.append(f"{key}: {found}")
            self.objects[key] = body
            kind = "ADDED" if known is None else "MODIFIED"
            self.history.append((self.version, kind, key, body))
            self.changed.notify_all()
            return body

    def remove(self, key: Key) -> None:
        with self.changed:
            if (body := self.objects.pop(key, None)) is not None:
                self.version += 1
                body = copy.deepcopy(body)
                body["metadata"]["resourceVersion"] = str(self.version)
                self.history.append((self.version, "DELETED", key, body))
                self.changed.notify_all()

    def all(self, resource: str, namespace: str = "") -> list[dict[str, Any]]:
        with self.lock:
            return [
                body
                for (kind, where, _), body in self.objects.items()
                if kind == resource and (not namespace or where == namespace)
            ]

    def get(self, resource: str, namespace: str, name: str) -> dict[str, Any] | None:
        with self.lock:
            return self.objects.get((resource, namespace, name))

    def compact(self) -> None:
        """Forget all changes so far, and cut the watches off: they must begin anew."""
        with self.changed:
            self.version += 1
            self.oldest = self.version
            self.history.clear()
            self.cut()

    def cut(self) -> None:
        """Cut all watches off, as a restart or a proxy does."""
        with self.changed:
            self.epoch += 1
            self.changed.notify_all()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who hangs up is no error of ours."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """HTTP/1.1 in front of the store."""

    cluster: KubernetesDouble
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    do_PATCH = do_DELETE = do_GET  # noqa: N815 - the base class calls them so

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        size = int(self.headers.get("Content-Length") or 0)
        sent = self.rfile.read(size)
        cluster = self.cluster
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        answer = cluster.faults.answer if token != cluster.admin else None
        if answer is not None and (wrong := answer(self.command, parts.path)) is not None:
            status, data = wrong
            if status:
                self._send(status, data)
            else:
                self.close_connection = True
            return
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        try:
            self._route(parts.path, query, sent)
        except Said as problem:
            self._json(problem.status, problem.body())
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _route(self, path: str, query: dict[str, str], sent: bytes) -> None:
        if path == "/version":
            self._json(200, {"major": "1", "minor": "37", "gitVersion": "v1.37.0"})
            return
        words = path.strip("/").split("/")
        words = words[2:] if words[0] == "api" else words[3:]
        namespace = ""
        if words and words[0] == "namespaces" and len(words) > 1:
            namespace, words = words[1], words[2:]
        if not words or words[0] not in _KINDS:
            raise said(404, "NotFound", "the server could not find the requested resource")
        resource, name, sub = (*words, "", "")[:3]
        self._permit(resource, namespace, sub, query, name)
        if self.command == "GET" and not name:
            if query.get("watch") == "true":
                self._watch(resource, namespace, query)
            else:
                self._json(200, self._list(resource, namespace, query))
            return
        key = (resource, namespace, name)
        if self.command == "GET" and sub == "log":
            self._log(key, query)
        elif self.command == "GET":
            self._json(200, self._known(key))
        elif self.command == "PATCH":
            self._patch(key, sub, query, sent)
        else:
            self._delete(key, sent)

    def _permit(
        self, resource: str, namespace: str, sub: str, query: dict[str, str], name: str
    ) -> None:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token not in self.cluster.tokens:
            raise said(401, "Unauthorized", "Unauthorized")
        verb = {"PATCH": "patch", "DELETE": "delete"}.get(self.command) or (
            "get" if name else "watch" if query.get("watch") == "true" else "list"
        )
        verbs = [verb]
        if verb == "patch" and self.cluster.get(resource, namespace, name) is None:
            verbs.append("create")
        what = f"{resource}/{sub}" if sub else resource
        group = _KINDS[resource][0].rpartition("/")[0]
        for one in verbs:
            if not permitted(self.cluster.tokens[token], one, group, what, namespace):
                where = f' in the namespace "{namespace}"' if namespace else " at the cluster scope"
                message = f'{what} is forbidden: User "agent" cannot {one} resource "{what}"{where}'
                raise said(403, "Forbidden", message)

    def _known(self, key: Key) -> dict[str, Any]:
        found = self.cluster.get(*key)
        if found is None:
            raise said(404, "NotFound", f'{key[0]} "{key[2]}" not found')
        return found

    # -- reading ---------------------------------------------------------------------------

    def _list(self, resource: str, namespace: str, query: dict[str, str]) -> dict[str, Any]:
        cluster = self.cluster
        with cluster.lock:
            found = [one for one in cluster.all(resource, namespace) if _chosen(one, query)]
            meta = {"resourceVersion": str(cluster.version)}
        begin, limit = int(query.get("continue", 0)), int(query.get("limit", 0))
        page = found[begin : begin + limit] if limit else found
        if begin + len(page) < len(found):
            meta["continue"] = str(begin + len(page))
        version, kind = _KINDS[resource]
        bare = [{k: v for k, v in one.items() if k not in ("apiVersion", "kind")} for one in page]
        return {"kind": f"{kind}List", "apiVersion": version, "metadata": meta, "items": bare}

    def _watch(self, resource: str, namespace: str, query: dict[str, str]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        for event in self._events(resource, namespace, query):
            self._chunk(json.dumps(event).encode() + b"\n")
        self._chunk(b"")

    def _events(
        self, resource: str, namespace: str, query: dict[str, str]
    ) -> Iterator[dict[str, Any]]:
        cluster = self.cluster
        after = int(query["resourceVersion"])
        until = time.monotonic() + float(query["timeoutSeconds"])
        epoch = cluster.epoch
        if after < cluster.oldest:
            message = f"too old resource version: {after} ({cluster.oldest})"
            yield {"type": "ERROR", "object": said(410, "Expired", message).body()}
            return
        while True:
            with cluster.changed:
                fresh = [one for one in _since(cluster.history, after) if one[2][0] == resource]
                over = cluster.stopping or cluster.epoch != epoch or time.monotonic() >= until
                if not fresh and not over:
                    cluster.changed.wait(max(min(until - time.monotonic(), 0.5), 0.01))
            for version, kind, key, body in fresh:
                after = version
                if (not namespace or key[1] == namespace) and _chosen(body, query):
                    yield {"type": kind, "object": body}
            if over and not fresh:
                break
        if cluster.epoch == epoch and query.get("allowWatchBookmarks") == "true":
            meta = {"resourceVersion": str(after), "creationTimestamp": None}
            version_of, kind_of = _KINDS[resource]
            mark = {"kind": kind_of, "apiVersion": version_of, "metadata": meta}
            yield {"type": "BOOKMARK", "object": mark}

    def _log(self, key: Key, query: dict[str, str]) -> None:
        pod = self._known(key)
        kubelet = self.cluster.kubelets.get(pod["spec"].get("nodeName", ""))
        container = kubelet.containers.get(pod["metadata"]["uid"]) if kubelet is not None else None
        if container is None or container.process is None:
            name, job = key[2], pod["spec"]["containers"][0]["name"]
            message = f'container "{job}" in pod "{name}" is waiting to start: ContainerCreating'
            raise said(400, "BadRequest", message)
        data = container.log(query.get("sinceTime"))
        self._send(200, data[: int(query.get("limitBytes", len(data)))], "text/plain")

    # -- writing ----------------------------------------------------------------------------

    def _patch(self, key: Key, sub: str, query: dict[str, str], sent: bytes) -> None:
        cluster = self.cluster
        change = json.loads(sent)
        kind = self.headers.get("Content-Type")
        with cluster.changed:
            known = cluster.get(*key)
            if kind == "application/apply-patch+yaml":
                if not query.get("fieldManager"):
                    raise said(
                        422, "Invalid", "fieldManager: Required value: is required for apply patch"
                    )
                if key[0] != "podgroups" and (found := problems(change)):
                    cluster.wrong.append(f"{key}: {found}")
                    raise said(422, "Invalid", "; ".join(found)[:2000])
                change["metadata"]["namespace"] = key[1]
                new = _merged(known or {}, change)
            elif known is None:
                raise said(404, "NotFound", f'{key[0]} "{key[2]}" not found')
            elif sub == "status":
                new = _merged(known, _with_conditions(known, change))
            else:
                new = _merged(known, change)
            new = checked(key[0], known, new)
            same = known is not None and new == known
            stored = known if same else cluster.put(key[0], new)
        self._json(200 if known is not None else 201, stored)

    def _delete(self, key: Key, sent: bytes) -> None:
        options = json.loads(sent) if sent else {}
        if options and (found := problems(options)):
            self.cluster.wrong.append(f"DELETE {key}: {found}")
        found_object = self._known(key)
        if key[0] == "pods":
            self.cluster.controllers.delete_pod(found_object, options.get("gracePeriodSeconds"))
        else:
            self.cluster.remove(key)
        done = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        self._json(200, done)

    # -- HTTP -------------------------------------------------------------------------------

    def _json(self, status: int, body: Any) -> None:
        self._send(status, json.dumps(body).encode() + b"\n")

    def _send(self, status: int, data: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()


def _since(
    history: list[tuple[int, str, Key, dict[str, Any]]], after: int
) -> list[tuple[int, str, Key, dict[str, Any]]]:
    begin = len(history)
    while begin and history[begin - 1][0] > after:
        begin -= 1
    return history[begin:]


def _chosen(body: dict[str, Any], query: dict[str, str]) -> bool:
    labels = body["metadata"].get("labels", {})
    for wanted in filter(None, query.get("labelSelector", "").split(",")):
        name, _, value = wanted.partition("=")
        if labels.get(name) != value:
            return False
    for wanted in filter(None, query.get("fieldSelector", "").split(",")):
        path, unequal, value = wanted.partition("!=")
        if not unequal:
            path, _, value = wanted.partition("=")
        found: Any = body
        for step in path.split("."):
            found = found.get(step, "") if isinstance(found, dict) else ""
        if (found == value) == bool(unequal):
            return False
    return True


def _merged(old: Any, new: Any) -> Any:
    """RFC 7396, which is what server-side apply by one manager with force comes to here."""
    if not isinstance(new, dict):
        return copy.deepcopy(new)
    result = dict(old) if isinstance(old, dict) else {}
    for name, value in new.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merged(result.get(name), value)
    return result


def _with_conditions(old: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """A strategic merge: conditions are kept by type."""
    mine = change.get("status", {}).get("conditions")
    if mine is None:
        return change
    kinds = {one["type"] for one in mine}
    others = [
        one for one in old.get("status", {}).get("conditions", ()) if one["type"] not in kinds
    ]
    return {"status": {**change["status"], "conditions": others + mine}}
