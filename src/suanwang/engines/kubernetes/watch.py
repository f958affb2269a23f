"""Follows one kind of object: a list, then changes from there on, and from the start when too old.

A watch that ends is resumed where it was. One that the server has forgotten (410 Gone) begins
with a list again. While the server does not answer, ``trouble`` says why.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from suanwang.engines.kubernetes.client import ApiRefused, Client, hang_up
from suanwang.engines.kubernetes.facts import SELECTOR
from suanwang.engines.port import EngineUnavailable

log = logging.getLogger("suanwang.engines.kubernetes")

Facts = TypeVar("Facts")
_WATCH_SECONDS = 60
_WAIT_SECONDS_MAX = 30.0


class _Gone(Exception):
    """The server no longer knows what came after our last event."""


class Watcher(threading.Thread, Generic[Facts]):
    """One thread for one kind of object."""

    def __init__(
        self,
        client: Client,
        path: str,
        facts: Callable[[Any], Facts | None],
        moment: Callable[[], int],
        listed: Callable[[Sequence[Facts], int], None],
        changed: Callable[[str, Any], None],
    ) -> None:
        super().__init__(name=f"watch {path}", daemon=True)
        self._client, self._path, self._facts = client, path, facts
        self._moment, self._listed, self._changed = moment, listed, changed
        self._version = ""
        self._failures = 0
        self._opened: list[Any] = []
        self._stopping = threading.Event()
        self.synced = threading.Event()
        """The first list is in."""
        self.trouble: Exception | None = None
        self.lists = 0
        """How often it had to begin anew, the first time included."""

    def stop(self) -> None:
        self._stopping.set()
        hang_up(self._opened)

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                if not self._version:
                    self._list()
                self._watch()
                self._failures = 0
            except _Gone:
                self._version = ""
                self._failures += 1  # a server that says so at once again is not asked in a circle
            except (EngineUnavailable, ApiRefused) as error:
                if self._stopping.is_set():
                    return
                self.trouble = error
                self._failures += 1
                log.warning("%s: %s", self._path, error)
            except Exception as error:  # whatever it sent, the jobs must go on being seen
                self.trouble = EngineUnavailable(f"the API server sends nonsense: {error!r}")
                self._version = ""
                self._failures += 1
                log.exception("%s: an answer could not be read", self._path)
            if self._failures:
                longest = min(0.1 * 2.0 ** min(self._failures, 12), _WAIT_SECONDS_MAX)
                self._stopping.wait(longest * random.uniform(0.5, 1.0))  # noqa: S311 - jitter

    def _list(self) -> None:
        since = self._moment()
        found: list[Facts] = []
        version = ""
        for page in self._client.pages(self._path, labelSelector=SELECTOR):
            found += [one for one in map(self._facts, page["items"]) if one is not None]
            version = version or str(page.get("metadata", {}).get("resourceVersion", ""))
        if not version:
            raise EngineUnavailable("a list without a version")
        self._listed(found, since)
        self._version = version
        self.lists += 1
        self.trouble = None
        self.synced.set()

    def _watch(self) -> None:
        seconds = str(_WATCH_SECONDS)
        try:
            events = self._client.watch(
                self._path, self._opened, self._stopping, labelSelector=SELECTOR,
                resourceVersion=self._version, timeoutSeconds=seconds,
            )  # fmt: skip
            for event in events:
                if event is None:
                    self.trouble = None
                else:
                    self._take(event)
                if self._stopping.is_set():
                    return
        except ApiRefused as refusal:
            if refusal.status == 410:
                raise _Gone from None
            raise
        self.trouble = None

    def _take(self, event: dict[str, Any]) -> None:
        kind, found = event.get("type"), event.get("object")
        if not isinstance(kind, str) or not isinstance(found, dict):
            raise EngineUnavailable("an event that is none")
        if kind == "ERROR":
            if found.get("code") == 410:
                raise _Gone
            raise EngineUnavailable(f"the watch ended: {found.get('message')}")
        if kind != "BOOKMARK":
            self._changed(kind, found)
        version = found.get("metadata", {}).get("resourceVersion")
        if not isinstance(version, str) or not version:
            raise EngineUnavailable("an event without a version")
        self._version = version
        self._failures = 0
