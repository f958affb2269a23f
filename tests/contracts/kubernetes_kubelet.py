"""A kubelet for tests: takes Pods from an API server and really runs their containers' commands.

It speaks the API over the network like the real one, so it serves the double and a real control
plane alike. A container is a process of this machine: no image, no walls, but its files, its
environment, its signals, its output, its exit code and its times are real, and what happens to a
Pod (deadline, grace, deletion) happens in the kubelet's order and words.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from .kubernetes_logs import log_server

STRATEGIC = "application/strategic-merge-patch+json"
ROTATED_BYTES = 10 << 20
"""A log's file is no longer than this, and of the files only the newest is told from, as usual."""


def now_text(seconds: float | None = None) -> str:
    moment = datetime.now(UTC) if seconds is None else datetime.fromtimestamp(seconds, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Container:
    """One Pod's process on this node."""

    def __init__(self, pod: dict[str, Any], folder: Path) -> None:
        self.pod, self.folder = pod, folder
        self.lines: list[tuple[str, bytes]] = []
        self.started_at = time.time()
        self.deadline: float | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.reader: threading.Thread | None = None
        self.verdict: tuple[str, str, str] | None = None
        """Why the kubelet ended it: the Pod's reason and message, the container's reason."""
        self.condition: dict[str, Any] | None = None
        self.over = threading.Event()
        self.stopping = False
        self.gone = False

    def log(self, since: str | None) -> bytes:
        return b"".join(
            stamp.encode() + b" " + text
            for stamp, text in list(self.lines)
            if since is None or stamp[:19] + "Z" >= since
        )


class Kubelet:
    """One node."""

    def __init__(
        self,
        server: str,
        name: str,
        folder: Path,
        *,
        volumes: dict[str, Path] | None = None,
        **client: Any,
    ) -> None:
        self.name, self.folder = name, folder
        self.volumes = volumes or {}
        """Where the PersistentVolumeClaims are, by name."""
        self.containers: dict[str, Container] = {}
        self.images: set[str] | None = None
        """What can be pulled; None: anything."""
        self.dead = False
        """The node does not answer any more."""
        self._http = httpx.Client(base_url=server, trust_env=False, timeout=30, **client)
        self._logs: Any = None
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        folder.mkdir(parents=True, exist_ok=True)
        self._run(self._watch)

    def stop(self) -> None:
        """End the node and all that runs on it, as a power cut does."""
        self._stopping.set()
        if self._logs is not None:
            self._logs.shutdown()
            self._logs.server_close()
        with suppress(RuntimeError):  # wakes the thread that watches
            self._http.close()
        for container in list(self.containers.values()):
            if container.process is not None:
                _kill(container.process)
        for thread in self._threads:
            thread.join(timeout=10)
        shutil.rmtree(self.folder, ignore_errors=True)

    def serve_logs(self) -> int:
        """Let a real API server fetch logs here, as it does of a real kubelet; the port."""
        self._logs = log_server(self)
        threading.Thread(target=self._logs.serve_forever, args=(0.05,), daemon=True).start()
        return int(self._logs.server_address[1])

    def _run(self, what: Callable[..., None], *arguments: Any) -> None:
        def run() -> None:
            try:
                what(*arguments)
            except (httpx.HTTPError, OSError, RuntimeError):
                if not self._stopping.is_set():
                    raise

        thread = threading.Thread(target=run, daemon=True)
        self._threads = [one for one in self._threads if one.is_alive()]
        self._threads.append(thread)
        thread.start()

    # -- what others may make happen ----------------------------------------------

    def end(
        self, pod: str, reason: str, message: str = "", *, container: str = "Error",
        disruption: str = "", number: int = signal.SIGKILL,
    ) -> None:  # fmt: skip
        """End a Pod for a reason of the node's: Evicted, an OOM kill, a shutdown."""
        found = next(one for one in self.containers.values() if one.pod["metadata"]["name"] == pod)
        found.verdict = (reason, message, container)
        if disruption:
            found.condition = {"type": "DisruptionTarget", "status": "True", "reason": disruption}
        assert found.process is not None
        found.process.send_signal(number)

    # -- the Pods of this node -------------------------------------------------------

    def _watch(self) -> None:
        query = {"fieldSelector": f"spec.nodeName={self.name}"}
        version = ""
        while not self._stopping.is_set():
            try:
                if not version:
                    listed = self._http.get("/api/v1/pods", params=query).json()
                    version = listed["metadata"]["resourceVersion"]
                    for pod in listed["items"]:
                        self._see(pod)
                follow = {
                    **query,
                    "watch": "true",
                    "resourceVersion": version,
                    "timeoutSeconds": "5",
                }
                with self._http.stream("GET", "/api/v1/pods", params=follow) as response:
                    for line in response.iter_lines():
                        event = json.loads(line)
                        if event["type"] == "ERROR":
                            version = ""
                            break
                        version = event["object"]["metadata"]["resourceVersion"]
                        if event["type"] != "DELETED":
                            self._see(event["object"])
                        if self._stopping.is_set():
                            return
            except (httpx.HTTPError, KeyError, ValueError, RuntimeError):
                version = ""
                self._stopping.wait(0.1)

    def _see(self, pod: dict[str, Any]) -> None:
        if self.dead:
            return
        uid, meta = pod["metadata"]["uid"], pod["metadata"]
        container = self.containers.get(uid)
        if container is None:
            if pod.get("status", {}).get("phase", "Pending") != "Pending":
                if meta.get("deletionTimestamp"):
                    self._delete(pod)
                return
            container = self.containers[uid] = Container(pod, self.folder / uid)
            if meta.get("deletionTimestamp"):
                container.over.set()
                self._delete(pod)
            else:
                self._run(self._live, container)
            return
        container.pod = pod
        bound = pod["spec"].get("activeDeadlineSeconds")
        container.deadline = container.started_at + bound if bound is not None else None
        if meta.get("deletionTimestamp") and not container.gone:
            container.gone = True
            self._run(self._stop_and_delete, container)

    def _live(self, container: Container) -> None:
        pod = container.pod
        bound = pod["spec"].get("activeDeadlineSeconds")
        container.deadline = container.started_at + bound if bound is not None else None
        image = pod["spec"]["containers"][0]["image"]
        if self.images is not None and image not in self.images:
            own = pod["spec"]["containers"][0]
            if own.get("imagePullPolicy") == "Never":
                why = f'Container image "{image}" is not present with pull policy of Never'
                self._tell(container, "Pending", _waiting("ErrImageNeverPull", why))
                self._wait(container)
                self._tell(container, "Failed", _waiting("ErrImageNeverPull", why))
                return
            self._tell(container, "Pending", _waiting("ErrImagePull", f"{image}: not found"))
            self._wait(container)
            self._tell(
                container, "Failed", _waiting("ImagePullBackOff", f'Back-off pulling "{image}"')
            )
            return
        self._tell(container, "Pending", _waiting("ContainerCreating", ""))
        try:
            self._start(container)
        except OSError as error:
            ended = {"exitCode": 128, "reason": "StartError", "message": str(error)[:200],
                     "startedAt": "1970-01-01T00:00:00Z", "finishedAt": now_text()}  # fmt: skip
            self._tell(container, "Failed", {"terminated": ended})
            return
        began = now_text(container.started_at)
        self._tell(container, "Running", {"running": {"startedAt": began}})
        self._wait(container)
        if self.dead or self._stopping.is_set():
            return
        assert container.process is not None
        code = container.process.returncode
        code = 128 - code if code < 0 else code
        usual = "Completed" if code == 0 else "Error"
        reason = container.verdict[2] if container.verdict else usual
        ended = {"exitCode": code, "reason": reason, "startedAt": began, "finishedAt": now_text()}
        failed = code != 0 or (container.verdict is not None and container.verdict[0])
        self._tell(container, "Failed" if failed else "Succeeded", {"terminated": ended})
        container.over.set()

    def _wait(self, container: Container) -> None:
        """Until the process has ended by itself or the kubelet has ended it."""
        process = container.process
        while not self._stopping.is_set() and not container.gone:
            if process is not None and process.poll() is not None:
                break
            late = container.deadline is not None and time.time() >= container.deadline
            if late and not self.dead:
                message = "Pod was active on the node longer than the specified deadline"
                container.verdict = ("DeadlineExceeded", message, "Error")
                if process is None:
                    return
                self._terminate(container)
            time.sleep(0.01)
        if process is not None:
            if container.gone:
                self._terminate(container)
            process.wait()
            _kill(process)
            assert container.reader is not None
            container.reader.join(timeout=10)

    def _terminate(self, container: Container) -> None:
        """SIGTERM to the first process, the grace, SIGKILL to all."""
        process = container.process
        if process is None or container.stopping:
            return
        container.stopping = True
        spec, meta = container.pod["spec"], container.pod["metadata"]
        grace = meta.get(
            "deletionGracePeriodSeconds", spec.get("terminationGracePeriodSeconds", 30)
        )
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            _kill(process)

    def _stop_and_delete(self, container: Container) -> None:
        if container.process is not None:
            container.over.wait(60)
        self._delete(container.pod)

    def _delete(self, pod: dict[str, Any]) -> None:
        meta = pod["metadata"]
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0,
                   "preconditions": {"uid": meta["uid"]}}  # fmt: skip
        with suppress(httpx.HTTPError, RuntimeError):
            self._http.request("DELETE", path, json=options)

    # -- one container ------------------------------------------------------------------

    def _start(self, container: Container) -> None:
        pod = container.pod
        spec, own = pod["spec"], pod["spec"]["containers"][0]
        places = self._mount(pod, container.folder)

        def inside(path: str) -> str:
            """Where a path of the container's is on this machine."""
            for mount, place in sorted(places.items(), key=lambda pair: -len(pair[0])):
                if path == mount or path.startswith(mount + "/"):
                    return str(place) + path[len(mount) :]
            return path

        environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin")}
        for variable in own.get("env", ()):
            environment[variable["name"]] = self._variable(pod, variable)
        environment["HOME"] = inside(environment.get("HOME", "/"))
        user = spec["securityContext"]["runAsUser"]
        as_user = {"user": user, "group": user, "extra_groups": []} if os.geteuid() == 0 else {}
        container.started_at = time.time()
        container.process = subprocess.Popen(
            [inside(word) for word in own["command"]],
            cwd=inside(own["workingDir"]), env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, **as_user,
        )  # fmt: skip
        container.reader = threading.Thread(target=_read, args=(container,), daemon=True)
        container.reader.start()

    def _mount(self, pod: dict[str, Any], folder: Path) -> dict[str, Path]:
        volumes: dict[str, Path] = {}
        for volume in pod["spec"]["volumes"]:
            place = folder / volume["name"]
            if "secret" in volume:
                secret = self._secret(pod, volume["secret"]["secretName"])
                for item in volume["secret"]["items"]:
                    file = place / item["path"]
                    assert file.resolve().is_relative_to(place.resolve())
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(base64.b64decode(secret["data"][item["key"]]))
                    file.chmod(item.get("mode", volume["secret"].get("defaultMode", 0o644)))
            elif "persistentVolumeClaim" in volume:
                place = self.volumes[volume["persistentVolumeClaim"]["claimName"]]
            else:
                place.mkdir(parents=True)
                place.chmod(0o777)
            volumes[volume["name"]] = place
        return {
            mount["mountPath"]: volumes[mount["name"]] / mount.get("subPath", "")
            for mount in pod["spec"]["containers"][0]["volumeMounts"]
        }

    def _variable(self, pod: dict[str, Any], variable: dict[str, Any]) -> str:
        source = variable.get("valueFrom", {})
        if "secretKeyRef" in source:
            found = self._secret(pod, source["secretKeyRef"]["name"])["data"]
            return base64.b64decode(found[source["secretKeyRef"]["key"]]).decode()
        if "fieldRef" in source:
            label = source["fieldRef"]["fieldPath"].split("'")[1]
            return str(pod["metadata"]["annotations"][label])
        return str(variable.get("value", ""))

    def _secret(self, pod: dict[str, Any], name: str) -> dict[str, Any]:
        found = self._http.get(f"/api/v1/namespaces/{pod['metadata']['namespace']}/secrets/{name}")
        if found.status_code != 200:
            raise OSError(f"secret {name} not found")
        return dict(found.json())

    def _tell(self, container: Container, phase: str, state: dict[str, Any]) -> None:
        meta, own = container.pod["metadata"], container.pod["spec"]["containers"][0]
        status: dict[str, Any] = {
            "phase": phase,
            "startTime": now_text(container.started_at),
            "containerStatuses": [
                {"name": own["name"], "image": own["image"], "imageID": "", "restartCount": 0,
                 "ready": phase == "Running", "state": state}
            ],
        }  # fmt: skip
        if container.verdict is not None and container.verdict[0] and phase == "Failed":
            status |= {"reason": container.verdict[0], "message": container.verdict[1]}
        if container.condition is not None:
            status["conditions"] = [container.condition]
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/status"
        with suppress(httpx.HTTPError, RuntimeError):
            self._http.patch(
                path, content=json.dumps({"status": status}), headers={"Content-Type": STRATEGIC}
            )


def _waiting(reason: str, message: str) -> dict[str, Any]:
    return {"waiting": {"reason": reason} | ({"message": message} if message else {})}


def _read(container: Container) -> None:
    assert container.process is not None
    assert container.process.stdout is not None
    size = 0
    for line in container.process.stdout:
        whole = line if line.endswith(b"\n") else line + b"\n"
        size += len(whole)
        if size > ROTATED_BYTES:
            container.lines, size = [], len(whole)
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"
        container.lines.append((stamp, whole))
    container.process.stdout.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
