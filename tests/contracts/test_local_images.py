"""What a job in an image of podman's sees, what it may not, and when there are no images at all."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from suanwang.core.jobspec import JobSpec
from suanwang.engines.local.images import ImageComing, Images
from suanwang.engines.local.podman import inspect
from suanwang.engines.local.sandbox import bubblewrap_path
from suanwang.engines.port import Ability, EngineState, Rejected, Submission

from .engine_benches import LocalBench, ended, no_skip_in_ci, output, submit, until
from .image_store import IMAGE, MARK, ImageStore


@pytest.fixture
def bench(images: ImageStore, tmp_path: Path) -> Iterator[LocalBench]:
    bench = LocalBench(tmp_path, IMAGE, images="podman")
    facts = bench.engine.capabilities()
    if not facts.isolation.startswith("bubblewrap"):
        pytest.skip(no_skip_in_ci(facts.notes[0]))
    assert Ability.IMAGES in facts.abilities, facts.notes
    yield bench
    bench.close()


def test_it_sees_the_image_s_files_and_nothing_of_this_machine(bench: LocalBench) -> None:
    ref = submit(
        bench,
        "a1",
        "cat /mark; echo\n"
        "for one in / /etc /usr/bin; do touch $one/x && echo wrote $one; done\n"
        "for one in /home /root /var /opt /sys /run /etc/hostname; do ls $one && echo $one; done\n"
        "(echo > /dev/tcp/127.0.0.1/22) && echo reached\n"
        "touch here /tmp/there && echo $PWD",
    )
    assert ended(bench, ref).state is EngineState.SUCCEEDED
    assert output(bench, ref) == f"{MARK}\n/work\n"


def test_it_gets_the_image_s_variables_but_not_in_place_of_ours(bench: LocalBench) -> None:
    ref = submit(bench, "a1", "echo $COLOUR $SUANWANG_CORES $HOME; id -u")
    ended(bench, ref)
    said, user = output(bench, ref).splitlines()
    assert said == "red 1 /work"
    assert user != "0"
    own = submit(bench, "a2", "echo $COLOUR", environment={"COLOUR": "blue"})
    ended(bench, own)
    assert output(bench, own) == "blue\n"


def test_what_forks_away_in_an_image_ends_with_the_job(bench: LocalBench) -> None:
    script = "setsid bash -c 'trap \"\" TERM; while :; do sleep 0.1; done' &\necho on\nsleep 60"
    ref = submit(bench, "a1", script, walltime_seconds=1)
    assert ended(bench, ref).state is EngineState.TIMEOUT
    mark = b"SUANWANG_ATTEMPT=a1"
    for process in Path("/proc").glob("[0-9]*/environ"):
        try:
            assert mark not in process.read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended meanwhile, or is none of ours


def test_more_memory_than_asked_for_ends_it_in_an_image_too(bench: LocalBench) -> None:
    ref = submit(bench, "a1", "tail /dev/zero", memory_mib=64)
    assert ended(bench, ref, 60).state is EngineState.OUT_OF_MEMORY


def test_what_an_image_brings_gives_nobody_rights_on_this_machine(bench: LocalBench) -> None:
    ended(bench, submit(bench, "a1", "exit 0"))
    settings = bench.settings
    places = settings.root / "places"
    [unpacked] = (places if places.is_symlink() else settings.root).glob(".images/*/work")
    for folder, names, files in os.walk(unpacked):
        for name in (*names, *files):
            found = (Path(folder) / name).lstat()
            assert not found.st_mode & (stat.S_ISUID | stat.S_ISGID) or stat.S_ISLNK(found.st_mode)
            assert found.st_uid == unpacked.stat().st_uid != 0 or os.geteuid() != 0
    assert (unpacked / "usr/bin/become-root").exists()
    assert not (unpacked / "etc").is_symlink()


def test_an_image_that_is_not_on_the_machine_is_refused_and_nothing_is_fetched(
    bench: LocalBench,
) -> None:
    spec = JobSpec(script="exit 0", image="registry.invalid/lab/tool:1")
    answer = bench.engine.submit([Submission("a1", spec)])[0]
    assert isinstance(answer, Rejected)
    assert (answer.permanent, answer.code) == (True, "image_unavailable")
    assert "registry.invalid/lab/tool:1 is not on this machine" in answer.native
    assert bench.engine.find(["a1"]) == {}


def test_it_is_found_by_its_digest(bench: LocalBench, images: ImageStore) -> None:
    digest = images.podman("image", "inspect", "--format", "{{.Digest}}", IMAGE).strip()
    ref = submit(bench, "a1", "cat /mark", image=f"{IMAGE}@{digest}")
    assert ended(bench, ref).state is EngineState.SUCCEEDED
    assert inspect(f"{IMAGE}@{digest}") == inspect(IMAGE)


def test_a_job_without_an_image_runs_on_the_machine_s_own_files(bench: LocalBench) -> None:
    ref = submit(bench, "a1", "test -e /mark || echo plain", image=None)
    ended(bench, ref)
    assert output(bench, ref) == "plain\n"


def test_a_job_goes_on_where_the_restarted_engine_runs_no_images_any_more(
    bench: LocalBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = submit(bench, "a1", "echo begun; sleep 1; cat /mark")
    until(bench, ref, lambda seen: seen.state is EngineState.RUNNING)
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", "/dev/null/nothing")
    bench.again()
    facts = bench.engine.capabilities()
    assert Ability.IMAGES not in facts.abilities
    assert any(note.startswith("no container images: podman") for note in facts.notes)
    answer = bench.engine.submit([Submission("a2", JobSpec(script="exit 0", image=IMAGE))])[0]
    assert isinstance(answer, Rejected)
    assert (answer.permanent, answer.code) == (True, "image_not_supported")
    assert ended(bench, ref).state is EngineState.SUCCEEDED
    assert output(bench, ref) == f"begun\n{MARK}"


def test_a_large_image_is_waited_for_in_turns_and_unpacked_once(images: ImageStore) -> None:
    """An agent must not stand still over it: the submission is made again until it is there."""
    if bubblewrap_path() is None:
        pytest.skip(no_skip_in_ci("bubblewrap is not installed"))
    place = Path(tempfile.mkdtemp(prefix="sw-images-"))
    place.chmod(0o711)  # who unpacks must pass through
    try:
        kept = Images(place / "kept", 65_533 if os.geteuid() == 0 else None, [])
        turns, image = 0, None
        deadline = time.monotonic() + 60
        while image is None:
            assert time.monotonic() < deadline
            try:
                image = kept.get(IMAGE, wait_seconds=0)
            except ImageComing:
                turns += 1
        assert turns >= 1
        assert kept.get(IMAGE, wait_seconds=0) == image
        [unpacked] = (place / "kept").iterdir()
        assert image.root == str(unpacked / "work")

        os.utime(unpacked / "image.json", (0, 0))
        kept.prune({image.root})
        assert unpacked.exists()
        kept.prune(set())
        assert list((place / "kept").iterdir()) == []
    finally:
        shutil.rmtree(place)


def test_without_a_box_there_are_no_images(images: ImageStore, tmp_path: Path) -> None:
    bench = LocalBench(tmp_path, images="podman", sandbox="session")
    facts = bench.engine.capabilities()
    assert facts.abilities == frozenset()
    assert facts.notes[-1] == "no container images: they need bubblewrap"
