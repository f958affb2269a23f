"""Builds a job's folder: its plan, its script, its files in; all of it or nothing."""

from __future__ import annotations

import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from suanwang.engines import files
from suanwang.engines.local.boxes import Level
from suanwang.engines.local.cards import NO_CARDS, Cards
from suanwang.engines.local.images import Image
from suanwang.engines.local.plan import PLAN, Plan, sync_folder, write_json
from suanwang.engines.local.sandbox import CLEAN_PATH, box_files
from suanwang.engines.port import Submission


@dataclass(frozen=True)
class LocalSettings:
    """What a provider may set for the machine."""

    root: Path
    """Where jobs' folders are kept; nothing else should be there."""
    cores: int | None = None
    memory_mib: int | None = None
    """Less than the machine has, to keep some back; None offers all of it."""
    processes_max: int = 512
    disk_mib: int = 10 * 1024
    stream_bytes_max: int = 16 << 20
    read_only: tuple[str, ...] = ()
    """Further folders every job may read, such as shared data or compilers."""
    cards: Cards = NO_CARDS
    tied_to: int | None = None
    """A supervisor's process id: when it ends, so do the jobs."""
    images: str = "none"
    """``podman``: jobs may name images that podman has on this machine."""
    sandbox: str = "auto"
    """``auto``, or ``session`` to do without bubblewrap."""


@dataclass(frozen=True)
class Builder:
    """How this machine's folders are built."""

    settings: LocalSettings
    level: Level
    passable: int
    """The mode that lets jobs' users through to their folders."""
    tied_to: list[int] | None

    def build(
        self,
        one: Submission,
        folder: Path,
        place: Path,
        *,
        cpus: list[int],
        cards: list[int],
        uid: int | None,
        image: Image | None,
    ) -> Plan:
        """Build aside and put it in place in one step: a crash leaves nothing half-built."""
        building = folder.with_name(f".new-{secrets.token_hex(6)}")
        building.mkdir(mode=self.passable)
        inside = building if place == folder else place
        here = hashlib.sha256(str(folder).encode()).hexdigest()[:8]
        plan = self._plan(one, str(place), cpus, cards, uid, image, f"{one.key}-{here}")
        try:
            if inside != building:
                if inside.exists():
                    files.remove(inside)
                inside.mkdir(mode=0o711)
            work = inside / "work"
            work.mkdir(mode=0o700)
            files.place_inputs(work, one.inputs)
            if uid is not None:
                files.give_to(work, uid)
            script = inside / "script"
            script.touch(mode=0o600)
            script.write_text(one.spec.script, encoding="utf-8")
            script.chmod(0o500)
            if uid is not None:
                os.chown(script, uid, uid)
            box_files(inside, uid)
            (building / "spec.json").touch(mode=0o600)
            (building / "spec.json").write_text(one.spec.model_dump_json(), encoding="utf-8")
            write_json(building, PLAN, plan)
            building.rename(folder)
            sync_folder(folder.parent)
        except OSError:
            files.remove(building)
            raise
        return plan

    def _plan(
        self,
        one: Submission,
        place: str,
        cpus: list[int],
        cards: list[int],
        uid: int | None,
        image: Image | None,
        group: str,
    ) -> Plan:
        settings, level, spec = self.settings, self.level, one.spec
        return Plan(
            key=one.key,
            place=place,
            interpreter=[] if spec.script.startswith("#!") else ["/bin/bash"],
            environment=self._environment(one, place, cards, image),
            cpus=cpus,
            cards=cards,
            devices=settings.cards.devices(cards),
            memory_mib=spec.memory_mib,
            walltime_seconds=spec.walltime_seconds,
            processes_max=settings.processes_max,
            disk_mib=settings.disk_mib,
            stream_bytes_max=settings.stream_bytes_max,
            sandbox=level.sandbox,
            isolation=level.name,
            uid=uid,
            cgroup_version=level.groups.version,
            cgroup_parents=level.groups.parents,
            group=group,
            read_only=list(settings.read_only),
            tied_to=self.tied_to,
            image=image.name if image is not None else "",
            image_root=image.root if image is not None else "",
        )

    def _environment(
        self, one: Submission, place: str, cards: list[int], image: Image | None
    ) -> dict[str, str]:
        """Nothing of the agent's own; the image may override some, the job more, not the last."""
        boxed = self.level.sandbox == "bubblewrap"
        home = "/work" if boxed else f"{place}/work"
        brought = {"PATH": CLEAN_PATH, "LANG": "C.UTF-8"}
        brought |= image.environment if image is not None else {"SHELL": "/bin/bash"}
        usual = {
            "HOME": home,
            "USER": "job",
            "LOGNAME": "job",
            "TMPDIR": "/tmp" if boxed else home,  # noqa: S108 - private to the box
            "OMP_NUM_THREADS": str(one.spec.cores),
        }
        ours = {
            "SUANWANG_ATTEMPT": one.key,
            "SUANWANG_JOB_NAME": one.spec.name,
            "SUANWANG_CORES": str(one.spec.cores),
            "SUANWANG_MEMORY_MIB": str(one.spec.memory_mib),
        }
        held = self.settings.cards.told(cards, boxed=boxed)
        return brought | usual | one.spec.environment | held | ours
