"""Runs jobs on a Ray cluster, each as one submission to the Jobs API of its dashboard."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from suanwang.engines.port import (
    Ability,
    Accepted,
    Capabilities,
    EngineUnavailable,
    LogChunk,
    NodeFacts,
    Observation,
    OutputFile,
    Rejected,
    Stream,
    Submission,
    Usage,
)
from suanwang.engines.ray.cluster import Roster
from suanwang.engines.ray.dashboard import Dashboard
from suanwang.engines.ray.intake import Intake
from suanwang.engines.ray.package import ISOLATION
from suanwang.engines.ray.records import Record, Records
from suanwang.engines.ray.results import Results
from suanwang.engines.ray.settings import RaySettings
from suanwang.engines.ray.watch import Watch, moment

_LET_GO_MAX: Final = 50
_NOTES: Final = (
    "jobs run as the user Ray runs as and share files and network with their node",
    "memory is watched by the runner; cores are counted by Ray, not enforced",
)


class RayEngine:
    """The Ray engine. What it must remember is in its folder: a new one takes up where it was."""

    def __init__(self, settings: RaySettings, folder: Path) -> None:
        """Raises ``EngineUnavailable`` when the dashboard does not answer now."""
        self._dashboard = Dashboard(settings)
        try:
            self._dashboard.version()
        except EngineUnavailable:
            self._dashboard.close()
            raise
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._records = Records(folder / "ray.sqlite3")
        self._roster = Roster(self._dashboard, self._records, settings)
        self._intake = Intake(self._dashboard, self._records, self._roster, settings, folder)
        self._watch = Watch(self._dashboard, self._records, self._roster, settings)
        self._results = Results(self._dashboard, self._roster, settings, folder)

    # -- what there is ------------------------------------------------------------

    def capabilities(self) -> Capabilities:
        self._let_go()
        version = self._dashboard.version().ray_version
        return Capabilities("ray", version, ISOLATION, _NOTES, frozenset({Ability.FREE_STATE}))

    def inventory(self) -> Sequence[NodeFacts]:
        return self._roster.facts()

    # -- taking work ------------------------------------------------------------

    def submit(self, submissions: Sequence[Submission]) -> list[Accepted | Rejected]:
        return self._watch.each(self._intake.submit, submissions)

    # -- watching ------------------------------------------------------------

    def find(self, keys: Sequence[str]) -> dict[str, str]:
        refs = self._watch.each(self._intake.find, keys)
        return {key: ref for key, ref in zip(keys, refs, strict=True) if ref is not None}

    def observe(self, refs: Sequence[str]) -> dict[str, Observation]:
        return self._watch.observe(refs)

    def cancel(self, refs: Sequence[str], grace_seconds: int, *, reason: str = "") -> None:
        """``grace_seconds`` is Ray's to give: every job gets that of the settings, fixed when it
        was submitted.
        """
        for record in self._records.get(refs).values():
            if record.ending is not None or record.forgotten:
                continue
            if record.wish is None:
                record.wish = reason
                self._records.save(record)
            self._watch.stop(record)

    # -- what came of it ------------------------------------------------------------

    def logs(self, ref: str, stream: Stream, offset: int, limit: int = 1 << 18) -> LogChunk:
        return self._results.log(self._known(ref), stream, offset, limit)

    def usage(self, refs: Sequence[str]) -> dict[str, Usage]:
        measured = {}
        for ref, record in self._records.get(refs).items():
            ending = record.ending
            if ending is None or record.forgotten or ending.elapsed_seconds is None:
                continue
            began, ended = moment(ending.started_at), moment(ending.ended_at)
            if began is not None and ended is not None:
                measured[ref] = Usage(
                    ref, ending.elapsed_seconds, began, max(began, ended),
                    ending.cpu_milliseconds, ending.memory_peak_mib,
                )  # fmt: skip
        return measured

    def outputs(self, ref: str) -> list[OutputFile]:
        ending = self._known(ref).ending
        return [] if ending is None else [OutputFile(*one) for one in ending.outputs]

    def open_output(self, ref: str, name: str) -> IO[bytes]:
        record = self._known(ref)
        for number, (known, size) in enumerate(record.ending.outputs if record.ending else []):
            if known == name:
                return self._results.open(record, number, size)
        raise FileNotFoundError(name)

    def forget(self, refs: Sequence[str]) -> None:
        for record in self._records.get(refs).values():
            if record.ending is not None and not record.forgotten:
                record.forgotten = True
                self._records.save(record)
        with suppress(EngineUnavailable):
            self._let_go()

    def close(self) -> None:
        """Give back what is open here. Jobs go on."""
        self._dashboard.close()
        self._records.close()

    def _let_go(self) -> None:
        """Have Ray forget too. It does not while it has not noticed the end itself: then later."""
        for record in self._records.held_back(_LET_GO_MAX):
            if self._dashboard.delete(record.ref):
                self._records.drop(record.ref)

    def _known(self, ref: str) -> Record:
        record = self._records.get([ref]).get(ref)
        if record is None or record.forgotten:
            raise KeyError(ref)
        return record
