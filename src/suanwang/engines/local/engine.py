"""Runs jobs as processes of this machine, boxed as well as this machine allows."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from suanwang import __version__
from suanwang.core.image import full_name
from suanwang.core.jobspec import JobSpec
from suanwang.engines import files
from suanwang.engines.local import cgroups, processes
from suanwang.engines.local.boxes import Level, prepare_level, remove_place, sweep_places
from suanwang.engines.local.build import Builder, LocalSettings
from suanwang.engines.local.cards import Cards, seen
from suanwang.engines.local.images import PLACE, ImageComing, Images, prepare
from suanwang.engines.local.machine import Machine, read_machine
from suanwang.engines.local.plan import (
    BEGAN,
    CANCEL,
    PLAN,
    STATUS,
    Plan,
    Status,
    read_plan,
    read_status,
    runner_pid,
    write_json,
)
from suanwang.engines.local.podman import ImageUnavailable
from suanwang.engines.local.spawn import spawn_runner
from suanwang.engines.port import (
    Ability,
    Accepted,
    Capabilities,
    EngineState,
    LogChunk,
    NodeFacts,
    Observation,
    OutputFile,
    Rejected,
    Stream,
    Submission,
    Usage,
    image_refused,
)

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_BEGIN_WITHIN_SECONDS = 60


class LocalEngine:
    """The local engine. Everything it knows is in its folder: a new one takes up where it was."""

    def __init__(self, settings: LocalSettings) -> None:
        settings = replace(settings, root=settings.root.absolute())
        self._settings = settings
        # As root every job is another user, who must pass through to its own folder.
        self._passable = 0o711 if os.geteuid() == 0 else 0o700
        settings.root.mkdir(parents=True, exist_ok=True, mode=self._passable)
        self._jobs = settings.root / "jobs"
        self._jobs.mkdir(exist_ok=True, mode=self._passable)
        self._level: Level = prepare_level(settings.root, settings.sandbox)
        self._machine: Machine = read_machine(settings.cores, settings.memory_mib)
        self._tied_to = _identity(settings.tied_to)
        self._images = self._find_images()
        self._runners: dict[str, int] = {}
        self._live: dict[str, Plan] = {}
        for folder in self._jobs.iterdir():
            self._take_up(folder)
        sweep_places(settings.root, self._jobs)
        if isinstance(self._images, Images):
            self._images.prune({plan.image_root for plan in self._live.values()})

    def _find_images(self) -> Images | str:
        """Where podman and a whole box work together; else why not, in words."""
        level, settings = self._level, self._settings
        if settings.images != "podman":
            return ""
        return prepare(
            level.place(PLACE, settings.root / PLACE),
            level.spare_uid,
            settings.read_only,
            boxed=level.sandbox == "bubblewrap",
            counted=bool(level.groups.version or level.uids is not None),
        )

    def _take_up(self, folder: Path) -> None:
        if folder.name.startswith("."):
            files.remove(folder)  # a submission or a removal that was cut off
            return
        status = read_status(folder)
        if status is None or not EngineState(status.state).final:
            with contextlib.suppress(OSError, ValueError, TypeError):
                self._live[folder.name] = read_plan(folder)

    # -- what there is ------------------------------------------------------------

    def capabilities(self) -> Capabilities:
        notes, images = (*self._level.notes, *_told_of(self._settings.cards)), self._images
        if isinstance(images, str):
            notes = (*notes, images) if images else notes
        abilities = {Ability.IMAGES} if isinstance(images, Images) else ()
        return Capabilities("local", __version__, self._level.name, notes, frozenset(abilities))

    def inventory(self) -> Sequence[NodeFacts]:
        machine = self._machine
        cards = self._settings.cards.offered
        return (NodeFacts(machine.name, len(machine.cpus), machine.memory_mib, cards),)

    # -- taking work ------------------------------------------------------------

    def submit(self, submissions: Sequence[Submission]) -> list[Accepted | Rejected]:
        return [self._submit(one) for one in submissions]

    def _submit(self, one: Submission) -> Accepted | Rejected:
        if not _KEY.fullmatch(one.key):
            return Rejected(one.key[:64], True, "engine_key_unusable", "not a plain name")
        folder = self._jobs / one.key
        if not folder.exists():
            if refused := self._refuse(one):
                return refused
            try:
                self._prepare(one, folder)
            except ImageUnavailable as error:
                return Rejected(one.key, True, "image_unavailable", str(error)[:300])
            except ImageComing:
                return Rejected(one.key, False, "image_coming", "the image is being unpacked")
            except OSError as error:
                return Rejected(one.key, False, "engine_cannot_prepare", str(error)[:200])
        if not (folder / BEGAN).exists():
            self._start_runner(folder)
        return Accepted(one.key, one.key)

    def _refuse(self, one: Submission) -> Rejected | None:
        spec, machine = one.spec, self._machine
        if not isinstance(self._images, Images) and (refusal := image_refused(one)) is not None:
            return refusal
        if (why := self._settings.cards.refuse(spec)) is not None:
            return Rejected(one.key, True, "engine_no_node_fits", why)
        if spec.cores > len(machine.cpus) or spec.memory_mib > machine.memory_mib:
            return Rejected(one.key, True, "engine_no_node_fits", "no node has so much")
        self._refresh_live()
        used = sum(plan.memory_mib for plan in self._live.values())
        if (
            spec.cores > len(self._free_cpus())
            or spec.accelerators > len(self._free_cards())
            or used + spec.memory_mib > machine.memory_mib
        ):
            return Rejected(one.key, False, "engine_busy", "not free at the moment")
        return None

    def _refresh_live(self) -> None:
        for key in [*self._live]:
            seen = self._observe(key)
            if seen is None or seen.state.final:
                self._live.pop(key, None)

    def _free_cpus(self) -> list[int]:
        taken = {cpu for plan in self._live.values() for cpu in plan.cpus}
        return [cpu for cpu in self._machine.cpus if cpu not in taken]

    def _free_cards(self) -> list[int]:
        taken = {card for plan in self._live.values() for card in plan.cards}
        return self._settings.cards.free(taken)

    def _prepare(self, one: Submission, folder: Path) -> None:
        """Raises ``OSError``, ``ImageUnavailable`` and ``ImageComing``; then nothing is there."""
        image = None
        if one.spec.image is not None and isinstance(self._images, Images):
            image = self._images.get(full_name(one.spec.image))
        taken = {plan.uid for plan in self._live.values()}
        place = self._level.place(one.key, folder)
        builder = Builder(self._settings, self._level, self._passable, self._tied_to)
        cpus = self._free_cpus()[: one.spec.cores]
        self._live[one.key] = builder.build(
            one,
            folder,
            place,
            cpus=cpus,
            cards=self._free_cards()[: one.spec.accelerators],
            uid=self._level.free_uid(taken),
            image=image,
        )

    def _start_runner(self, folder: Path) -> None:
        """Start it apart from us: it must not end with the agent, nor inherit what it knows."""
        self._reap()
        if folder.name not in self._runners:
            self._runners[folder.name] = spawn_runner(folder)

    def _reap(self) -> None:
        """Let no ended runner stay as a zombie. Those of an earlier agent are not ours to wait."""
        for key, pid in [*self._runners.items()]:
            try:
                gone = os.waitpid(pid, os.WNOHANG)[0] == pid
            except ChildProcessError:
                gone = True
            if gone:
                del self._runners[key]

    # -- watching ------------------------------------------------------------

    def find(self, keys: Sequence[str]) -> dict[str, str]:
        return {key: key for key in keys if _KEY.fullmatch(key) and (self._jobs / key).is_dir()}

    def observe(self, refs: Sequence[str]) -> dict[str, Observation]:
        self._reap()
        seen = {ref: self._observe(ref) for ref in refs}
        return {ref: one for ref, one in seen.items() if one is not None}

    def _observe(self, ref: str) -> Observation | None:
        folder = self._folder(ref)
        if folder is None:
            return None
        status = read_status(folder)
        if status is None or not EngineState(status.state).final:
            # In this order: it holds its lock before it begins, and says its end before it goes.
            begun = (folder / BEGAN).exists()
            alive = runner_pid(folder) is not None
            status = read_status(folder)
            if not alive and (status is None or not EngineState(status.state).final):
                status = self._without_runner(ref, folder, status, begun=begun)
        if status is None:
            state = EngineState.SUBMITTING
            return Observation(ref, state, "prepared", datetime.now(UTC))
        state = EngineState(status.state)
        if state.final:
            self._live.pop(ref, None)
        return Observation(
            ref,
            state,
            status.state,
            datetime.now(UTC),
            reason=status.reason,
            exit_code=status.exit_code,
            signal=status.signal,
            isolation=status.isolation,
            started_at=_moment(status.started_at),
            ended_at=_moment(status.ended_at),
        )

    def _without_runner(
        self, ref: str, folder: Path, status: Status | None, *, begun: bool
    ) -> Status | None:
        """No runner and no end. Not yet begun is waited for; begun and gone is lost."""
        if not begun:
            age = time.time() - (folder / PLAN).stat().st_mtime
            self._reap()
            if ref in self._runners or age < _BEGIN_WITHIN_SECONDS:
                return None
            status = Status("lost", reason="runner_never_began")
        else:
            self._sweep(ref, folder)
            status = status or Status("lost")
            status.state, status.reason = "lost", "runner_killed"
            if status.started_at is not None:
                status.ended_at = status.started_at + (status.elapsed_seconds or 0)
        write_json(folder, STATUS, status)
        return status

    def _sweep(self, ref: str, folder: Path) -> None:
        """End whatever a killed runner left behind."""
        plan = read_plan(folder)
        if plan.cgroup_version:
            group = cgroups.Group(
                cgroups.Support(plan.cgroup_version, plan.cgroup_parents), plan.group or plan.key
            )
            group.kill()
            group.remove()
        if plan.uid is not None:
            processes.kill_all_of(plan.uid)
        processes.send(processes.marked(ref, plan.uid), signal.SIGKILL)

    def cancel(self, refs: Sequence[str], grace_seconds: int, *, reason: str = "") -> None:
        for ref in refs:
            folder = self._folder(ref)
            seen = self._observe(ref)
            if folder is None or seen is None or seen.state.final:
                continue
            if not (folder / CANCEL).exists():
                wish: dict[str, object] = {"grace_seconds": grace_seconds, "reason": reason}
                write_json(folder, CANCEL, wish)
            if (runner := runner_pid(folder)) is not None:
                processes.send([runner], signal.SIGUSR1)
            elif not (folder / BEGAN).exists():
                self._start_runner(folder)  # it will find the wish, and say so

    # -- what came of it ------------------------------------------------------------

    def logs(self, ref: str, stream: Stream, offset: int, limit: int = 1 << 18) -> LogChunk:
        folder = self._known(ref)
        status = read_status(folder)
        ended = status is not None and EngineState(status.state).final
        try:
            with (folder / stream).open("rb") as file:
                file.seek(offset)
                data = file.read(limit)
                reached = offset + len(data)
                complete = ended and reached >= os.fstat(file.fileno()).st_size
        except FileNotFoundError:
            return LogChunk(b"", offset, ended)
        truncated = status is not None and stream in status.truncated
        return LogChunk(data, reached, complete, truncated)

    def usage(self, refs: Sequence[str]) -> dict[str, Usage]:
        measured = {}
        for ref in refs:
            folder = self._folder(ref)
            status = read_status(folder) if folder is not None else None
            if folder is None or status is None or not EngineState(status.state).final:
                continue
            began, ended = _moment(status.started_at), _moment(status.ended_at)
            if began is None or ended is None:
                continue
            elapsed = min(status.elapsed_seconds or 0, read_plan(folder).walltime_seconds)
            measured[ref] = Usage(
                ref, elapsed, began, ended, status.cpu_milliseconds, status.memory_peak_mib
            )
        return measured

    def outputs(self, ref: str) -> list[OutputFile]:
        folder = self._known(ref)
        status = read_status(folder)
        if status is None or not EngineState(status.state).final:
            return []
        spec = JobSpec.model_validate_json((folder / "spec.json").read_bytes())
        if not spec.files_out:
            return []
        plan = read_plan(folder)
        found = files.outputs(Path(plan.work), spec.files_out, plan.uid)
        return [OutputFile(name, size) for name, size in found]

    def open_output(self, ref: str, name: str) -> IO[bytes]:
        plan = read_plan(self._known(ref))
        return files.open_output(Path(plan.work), name, plan.uid)

    def forget(self, refs: Sequence[str]) -> None:
        for ref in refs:
            folder = self._folder(ref)
            seen = self._observe(ref)
            if folder is None or seen is None or not seen.state.final:
                continue
            with contextlib.suppress(OSError, ValueError, TypeError):
                place = Path(read_plan(folder).place)
                if place != folder:
                    remove_place(place, self._settings.root)
            going = self._jobs / f".gone-{secrets.token_hex(6)}"
            folder.rename(going)
            files.remove(going)

    def _folder(self, ref: str) -> Path | None:
        folder = self._jobs / ref
        return folder if _KEY.fullmatch(ref) and folder.is_dir() else None

    def _known(self, ref: str) -> Path:
        folder = self._folder(ref)
        if folder is None:
            raise KeyError(ref)
        return folder


def _told_of(cards: Cards) -> list[str]:
    """In plain words: cards that are not there, or that are there and not offered."""
    if cards.numbers:
        return [f"{path} is not there: its card is not offered" for path in cards.missing]
    return [
        f"{count} cards of {name} are here and not offered: see accelerators in engine.yaml"
        for name, count in seen()
    ]


def _moment(unix: float | None) -> datetime | None:
    return None if unix is None else datetime.fromtimestamp(unix, UTC)


def _identity(pid: int | None) -> list[int] | None:
    if pid is None:
        return None
    began = processes.start_time(pid)
    return [pid, -1 if began is None else began]
