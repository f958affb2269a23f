"""The Kubernetes engine where a cluster does what clusters do."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from suanwang.core.jobspec import JobSpec
from suanwang.engines.choice import open_engine
from suanwang.engines.kubernetes.engine import KubernetesEngine
from suanwang.engines.kubernetes.facts import ATTEMPT, MANAGED
from suanwang.engines.kubernetes.settings import KubernetesSettings
from suanwang.engines.port import (
    Ability,
    Accelerators,
    Accepted,
    EngineState,
    EngineUnavailable,
    NodeUse,
    Rejected,
    Submission,
)

from .engine_benches import ended, look, output, submit, until
from .kubernetes_bench import IMAGE, NAMESPACE, KubernetesBench, kubeconfig, node

Make = Callable[..., KubernetesBench]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes benches, and takes them down."""
    made: list[KubernetesBench] = []

    def one(**settings: Any) -> KubernetesBench:
        root = tmp_path / str(len(made))
        root.mkdir()
        made.append(KubernetesBench(root, **settings))
        return made[-1]

    yield one
    for bench in made:
        bench.close()


@pytest.fixture
def bench(make: Make) -> KubernetesBench:
    return make()


def running(bench: KubernetesBench, key: str = "a1", script: str = "sleep 60", **more: Any) -> str:
    ref = submit(bench, key, script, **more)
    until(bench, ref, lambda seen: seen.state is EngineState.RUNNING)
    return ref


def refused(bench: KubernetesBench, key: str = "a1", **fields: Any) -> Rejected:
    inputs = fields.pop("inputs", {})
    spec = JobSpec.model_validate({"script": "exit 0"} | fields)
    answer = bench.engine.submit([Submission(key, spec, inputs)])[0]
    assert isinstance(answer, Rejected), answer
    return answer


def settled(bench: KubernetesBench, what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not what():
        assert time.monotonic() < deadline
        bench.let_pass()


def unavailable(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except EngineUnavailable:
        return True
    return False


# -- following the cluster -----------------------------------------------------------------


def test_a_watch_that_is_cut_goes_on_where_it_was(bench: KubernetesBench) -> None:
    ref = running(bench, script="sleep 1\necho on")
    bench.cluster.cut()
    assert ended(bench, ref).state is EngineState.SUCCEEDED
    assert [watcher.lists for watcher in bench.engine._watchers] == [1, 1]


def test_a_watch_the_server_has_forgotten_begins_with_a_list(bench: KubernetesBench) -> None:
    ref = running(bench, script="sleep 1\necho on")
    bench.cluster.compact()
    assert ended(bench, ref).state is EngineState.SUCCEEDED
    settled(bench, lambda: all(w.lists == 2 for w in bench.engine._watchers))
    assert output(bench, ref) == "on\n"


def test_an_end_during_an_outage_is_told_afterwards(bench: KubernetesBench) -> None:
    ref = running(bench, script="sleep 1\nexit 4")
    bench.cluster.faults.answer = lambda _method, _path: (0, b"")
    bench.cluster.cut()
    settled(bench, lambda: bench.pod_of(ref)["status"]["phase"] == "Failed")
    assert unavailable(lambda: bench.engine.observe([ref]))
    bench.cluster.faults.answer = None
    settled(bench, lambda: not unavailable(lambda: bench.engine.observe([ref])))
    over = ended(bench, ref)
    assert (over.state, over.exit_code) == (EngineState.FAILED, 4)


@pytest.mark.parametrize(
    "answer",
    [
        (200, b"<html>please log in</html>"),
        (200, b"[1, 2]"),
        (200, b'{"metadata": 7, "items": {}}'),
        (200, b'{"kind": "JobList", "metadata": {"resourceVersion": "1"}, "items": "none"}'),
        (429, b'{"kind": "Status", "message": "slow down"}'),
        (500, b"etcd is not well"),
        (503, b""),
        (401, b'{"kind": "Status", "reason": "Unauthorized"}'),
        (404, b"not a Status"),
        (302, b""),
        (0, b""),
    ],
)
def test_an_api_that_cannot_be_relied_on_changes_nothing(
    bench: KubernetesBench, answer: tuple[int, bytes]
) -> None:
    ref = running(bench)
    bench.cluster.faults.answer = lambda _method, _path: answer
    bench.cluster.cut()
    for ask in (
        lambda: bench.engine.submit([Submission("b1", JobSpec(script="exit 0"))]),
        lambda: bench.engine.cancel([ref], 0),
        lambda: bench.engine.observe([ref]),
    ):
        settled(bench, lambda ask=ask: unavailable(ask))  # type: ignore[misc]
    bench.cluster.faults.answer = None
    settled(bench, lambda: not unavailable(lambda: bench.engine.observe([ref])))
    assert look(bench, ref).state is EngineState.RUNNING


def test_odd_objects_hide_no_others(bench: KubernetesBench) -> None:
    ref = running(bench)
    odd = [None, 7, {"metadata": []}, {"metadata": {"name": 3}}, {"metadata": {"name": "x"}}]
    from suanwang.engines.kubernetes.facts import job_facts, pod_facts

    assert [job_facts(one) for one in odd] == [pod_facts(one) for one in odd] == [None] * 5
    assert look(bench, ref).state is EngineState.RUNNING


def test_an_agent_that_died_after_applying_finds_its_one_job(bench: KubernetesBench) -> None:
    """It knew neither the answer nor, after a restart with an empty folder, anything else."""
    ref = submit(bench, "a1", "echo first\nsleep 1")
    fresh = KubernetesEngine(bench.settings, bench.root / "another home")
    spec = JobSpec(script="echo second", memory_mib=256)
    fresh._follow = lambda: None  # type: ignore[method-assign] # it has seen no list yet
    again = fresh.submit([Submission("a1", spec)])
    assert again == [Accepted("a1", ref)]
    assert len(bench.cluster.all("jobs")) == len(bench.cluster.all("pods")) == 1
    ended(bench, ref)
    assert output(bench, ref) == "first\n"
    assert bench.cluster.get("secrets", NAMESPACE, ref) is not None
    fresh.close()


def test_a_job_others_deleted_is_lost_and_not_begun_again(bench: KubernetesBench) -> None:
    ref = running(bench)
    bench.cluster.remove(("jobs", NAMESPACE, ref))
    seen = ended(bench, ref)
    assert (seen.state, seen.reason) == (EngineState.LOST, "deleted_by_others")
    assert submit(bench, "a1", "sleep 60") == ref
    assert bench.cluster.get("jobs", NAMESPACE, ref) is None


def test_an_end_stays_when_the_cluster_has_been_tidied(bench: KubernetesBench) -> None:
    ref = submit(bench, "a1", "exit 7")
    before = ended(bench, ref)
    bench.cluster.remove(("jobs", NAMESPACE, ref))
    settled(bench, lambda: not bench.cluster.all("pods"))
    bench.again()
    after = look(bench, ref)
    assert (after.state, after.exit_code) == (before.state, 7)
    assert bench.engine.usage([ref])[ref].elapsed_seconds >= 1


def test_nothing_of_a_forgotten_job_is_left(bench: KubernetesBench) -> None:
    ref = submit(bench, "a1", "exit 0", files_out=["*"])
    ended(bench, ref)
    bench.engine.forget([ref])
    settled(bench, lambda: not any(bench.cluster.all(kind) for kind in ("jobs", "pods", "secrets")))
    left = [path for path in bench.root.rglob("*") if ref in path.name]
    left += [path for path in (bench.place / "volume").rglob("*") if ref in path.name]
    assert left == []


# -- ends -------------------------------------------------------------------------------------


def test_a_job_that_waits_says_what_the_scheduler_says(bench: KubernetesBench) -> None:
    running(bench, "a1", cores=8)
    running(bench, "a2", cores=8)
    ref = submit(bench, "a3", "exit 0", cores=8)
    seen = until(bench, ref, lambda seen: bool(seen.reason))
    assert seen.state is EngineState.QUEUED
    assert seen.reason == "0/2 nodes are available: 2 Insufficient cpu."
    bench.engine.cancel([ref], 0)
    assert ended(bench, ref).state is EngineState.CANCELLED
    assert bench.engine.usage([ref]) == {}


def test_memory_beyond_what_was_asked_for_is_out_of_memory(bench: KubernetesBench) -> None:
    ref = running(bench)
    name = bench.pod_of(ref)["metadata"]["name"]
    bench.kubelet_of(ref).end(name, "", container="OOMKilled")
    seen = ended(bench, ref)
    assert (seen.state, seen.exit_code, seen.signal) == (EngineState.OUT_OF_MEMORY, 137, 9)
    assert ref in bench.engine.usage([ref])


@pytest.mark.parametrize(
    ("reason", "message", "disruption", "state"),
    [
        ("Evicted", "The node was low on resource: memory.", "", EngineState.NODE_FAILED),
        ("Evicted", 'Usage of EmptyDir volume "work" exceeds the limit "16Mi".', "",
         EngineState.FAILED),
        ("Terminated", "Pod was terminated in response to imminent node shutdown.", "",
         EngineState.NODE_FAILED),
        ("", "", "PreemptionByScheduler", EngineState.PREEMPTED),
        ("", "", "EvictionByEvictionAPI", EngineState.NODE_FAILED),
        ("Preempting", "Preempted in order to admit critical pod", "", EngineState.PREEMPTED),
    ],
)  # fmt: skip
def test_what_the_node_or_the_scheduler_did_is_not_the_jobs_fault(
    bench: KubernetesBench, reason: str, message: str, disruption: str, state: EngineState
) -> None:
    ref = running(bench)
    name = bench.pod_of(ref)["metadata"]["name"]
    bench.kubelet_of(ref).end(name, reason, message, disruption=disruption)
    seen = ended(bench, ref)
    assert seen.state is state
    assert seen.reason


def test_a_pod_somebody_deleted_is_a_failed_node_and_is_not_started_again(
    bench: KubernetesBench,
) -> None:
    ref = running(bench, script="trap '' TERM\nsleep 60", walltime_seconds=600)
    pod = bench.pod_of(ref)
    bench.cluster.controllers.delete_pod(pod, 0)
    seen = ended(bench, ref)
    assert (seen.state, seen.reason.split(":")[0]) == (EngineState.NODE_FAILED, "pod_deleted")
    assert bench.cluster.all("pods") == []


def test_a_node_that_does_not_answer_any_more_has_failed(bench: KubernetesBench) -> None:
    """Its Pod can never be seen to end: it is overdue."""
    ref = running(bench)
    bench.kubelet_of(ref).dead = True
    pod = json.loads(json.dumps(bench.pod_of(ref)))
    pod["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z"}
    condition = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}
    pod["status"]["conditions"] = [condition]
    bench.cluster.put("pods", pod)
    seen = ended(bench, ref)
    assert (seen.state, seen.reason) == (EngineState.NODE_FAILED, "DeletionByTaintManager")


def test_an_image_that_cannot_be_had_is_named_and_given_back(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make()
    for kubelet in bench.cluster.kubelets.values():
        kubelet.images = set()
    ref = submit(bench, "a1", "exit 0", walltime_seconds=600)
    seen = until(bench, ref, lambda seen: seen.state is EngineState.STARTING and bool(seen.reason))
    assert seen.reason.startswith("ErrImagePull")
    bench.settings = bench.settings.model_copy(update={"image_seconds_max": 0})
    bench.again()
    over = ended(bench, ref)
    assert (over.state, over.reason.split(":")[0]) == (
        EngineState.NODE_FAILED, "image_unavailable",
    )  # fmt: skip
    assert bench.engine.usage([ref]) == {}


def test_a_job_s_own_image_is_asked_for_by_its_full_name_and_fetched_as_the_site_says(
    make: Make,
) -> None:
    bench = make(image_pull="IfNotPresent")
    own, usual = submit(bench, "a1", "exit 0", image="python:3"), submit(bench, "a2", "exit 0")
    for ref, image in ((own, "docker.io/library/python:3"), (usual, IMAGE)):
        ended(bench, ref)
        [container] = bench.pod_of(ref)["spec"]["containers"]
        assert (container["image"], container["imagePullPolicy"]) == (image, "IfNotPresent")
        assert container["command"][0] == "/bin/bash"  # the image's own entry point is passed over


def test_an_image_the_node_may_not_fetch_is_given_back_at_once(make: Make) -> None:
    bench = make(image_pull="Never", image_seconds_max=86_400)
    for kubelet in bench.cluster.kubelets.values():
        kubelet.images = {IMAGE}
    over = ended(bench, submit(bench, "a1", "exit 0", image="lab/tool", walltime_seconds=600))
    assert over.state is EngineState.NODE_FAILED
    assert over.reason.startswith("image_unavailable: ")
    assert "docker.io/lab/tool:latest" in over.reason
    assert ended(bench, submit(bench, "a2", "exit 0")).state is EngineState.SUCCEEDED


def test_a_job_that_ignores_sigterm_ends_all_the_same(make: Make) -> None:
    bench = make(grace_seconds=1)
    ref = running(bench, script="trap '' TERM\necho on\nwhile true; do sleep 0.1; done")
    settled(bench, lambda: output_so_far(bench, ref) == b"on\n")
    bench.engine.cancel([ref], 1)
    seen = ended(bench, ref)
    assert (seen.state, seen.signal) == (EngineState.CANCELLED, signal.SIGKILL)
    assert output(bench, ref) == "on\n"


def output_so_far(bench: KubernetesBench, ref: str) -> bytes:
    bench.engine._read_logs_at.clear()
    return bench.engine.logs(ref, "stdout", 0).data


# -- what users write ---------------------------------------------------------------------------


def test_no_word_of_the_users_is_read_by_a_shell_or_expanded(
    bench: KubernetesBench, tmp_path: Path
) -> None:
    nasty = {
        "A": "$(B) $HOME `id` \"'; exit 9 #",
        "B": "two\nlines\ttab",
        "C": "$$(A) %s {{.}} \\ \u7b97\u7f51",
        "LD_PRELOADX": "=x=",
    }
    file = tmp_path / "in"
    file.write_bytes(bytes(range(256)))
    name = 'folder $(A)/it\'s; rm -rf "x" .txt'
    tell = 'python3 -c "import os,json;print(json.dumps(dict(os.environ)))"'
    spec = JobSpec(
        script=f"{tell}\nsha256sum folder*/*",
        environment=nasty, name="$(A); exit 1", memory_mib=256,
    )  # fmt: skip
    for key, shared in (("a1", True), ("a2", False)):
        if not shared:
            bench.settings = bench.settings.model_copy(update={"shared": None})
            bench.again()
        answer = bench.engine.submit([Submission(key, spec, {name: file})])[0]
        assert isinstance(answer, Accepted), answer
        seen = ended(bench, answer.ref)
        text = output(bench, answer.ref)
        assert seen.state is EngineState.SUCCEEDED, text
        got = json.loads(text.splitlines()[0])
        assert {key: got[key] for key in nasty} == nasty
        assert (got["SUANWANG_JOB_NAME"], got["SUANWANG_ATTEMPT"]) == ("$(A); exit 1", key)
        assert "40aff2e9d2d8922e47afd4648e6967497158785fbd1da870e7110266bf944880" in text
        assert not [name for name in got if name.startswith("KUBERNETES_")]


def test_a_script_is_run_by_what_its_first_line_names(bench: KubernetesBench) -> None:
    ref = submit(bench, "a1", "#!/usr/bin/env python3\nprint(6 * 7)")
    assert ended(bench, ref).state is EngineState.SUCCEEDED
    assert output(bench, ref) == "42\n"


@pytest.mark.parametrize("key", ["A1", "a_1", "a.1", "-a", "a-", "../a", "a" * 60, "é", ""])
def test_a_key_no_object_can_be_called_by_is_refused(bench: KubernetesBench, key: str) -> None:
    assert refused(bench, key).code == "engine_key_unusable"
    assert bench.engine.find([key]) == {}
    assert bench.cluster.all("jobs") == []


def test_what_this_cluster_cannot_do_is_refused_beforehand(make: Make, tmp_path: Path) -> None:
    bench = make(shared=None)
    large = tmp_path / "large"
    large.write_bytes(b"x" * (1 << 20))
    for fields, code in (
        ({"nodes": 2}, "engine_no_gangs"),
        ({"files_out": ["*.txt"]}, "engine_no_files_out"),
        ({"accelerators": 1}, "engine_no_node_fits"),
        ({"accelerators": 1, "accelerator_model": "t4"}, "engine_no_node_fits"),
        ({"accelerators": 1, "card_milli": 500}, "engine_no_card_shares"),
        ({"memory_mib": 17 * 1024}, "engine_no_node_fits"),
        ({"inputs": {"large": large}}, "engine_job_too_large"),
    ):
        answer = refused(bench, **fields)
        assert (answer.code, answer.permanent) == (code, True)
    assert bench.cluster.all("jobs") == bench.cluster.all("secrets") == []


def test_a_job_the_cluster_does_not_want_is_refused_with_its_words(make: Make) -> None:
    bench = make()
    message = "admission webhook denied the request: image not signed"
    said = json.dumps({"kind": "Status", "reason": "Invalid", "message": message}).encode()

    def deny(method: str, path: str) -> tuple[int, bytes] | None:
        return (422, said) if method == "PATCH" and "/jobs/" in path else None

    bench.cluster.faults.answer = deny
    answer = refused(bench)
    assert (answer.code, answer.permanent) == ("engine_refused_job", True)
    assert message in answer.native
    assert bench.cluster.all("secrets") == []


def test_what_may_not_be_done_is_said_and_may_be_tried_again(make: Make) -> None:
    bench = make()
    bench.cluster.tokens = {
        token: rules and [rule for rule in rules if "secrets" not in rule["resources"]]
        for token, rules in bench.cluster.tokens.items()
    }
    answer = refused(bench)
    assert (answer.code, answer.permanent) == ("engine_forbidden", False)
    assert "secrets is forbidden" in answer.native


# -- what there is --------------------------------------------------------------------------------


def test_cards_are_asked_for_by_the_vendors_name(make: Make) -> None:
    site = {"ascend-910b3": {"resource": "huawei.com/Ascend910", "node_labels": {"npu": "b3"}}}
    bench = make(accelerators=site)
    cluster = bench.cluster
    gpu = {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"}
    cluster.put("nodes", node("n1", has={"nvidia.com/gpu": "4"}, labels=gpu))
    cluster.put("nodes", node("n2", has={"huawei.com/Ascend910": "8"}, labels={"npu": "b3"}))
    cluster.put("nodes", node("n3", has={"hygon.com/dcunum": "8"}))
    there = {one.name: one.accelerators for one in bench.engine.inventory()}
    assert there == {
        "n1": (Accelerators("a100-sxm4-80g", 4),),
        "n2": (Accelerators("ascend-910b3", 8),),
        "n3": (Accelerators("hygon.com/dcunum", 8),),  # which DCU it is, the site has not said
    }
    for key, model, resource, count in (
        ("a1", "a100-sxm4-80g", "nvidia.com/gpu", 3),
        ("a2", "ascend-910b3", "huawei.com/Ascend910", 2),
    ):
        ref = running(bench, key, accelerators=count, accelerator_model=model)
        own = bench.pod_of(ref)["spec"]["containers"][0]["resources"]
        assert own["limits"] == own["requests"]
        assert own["limits"][resource] == str(count)
    assert refused(bench, "a3", accelerators=5, accelerator_model="a100-sxm4-80g").permanent
    bench.again()
    others = {one.name: one.others for one in bench.engine.inventory()}
    assert others["n1"] == NodeUse(0, 0, (Accelerators("a100-sxm4-80g", 0),)), "all of it is ours"
    assert Ability.FREE_STATE in bench.engine.capabilities().abilities


def test_pods_that_are_not_ours_are_what_others_hold(make: Make) -> None:
    """In other namespaces, in ours without our label, and with our label in another's."""
    bench = make()
    cluster = bench.cluster
    cluster.put("nodes", node("n1", has={"nvidia.com/gpu": "4"}))
    running(bench, "a1", cores=2, accelerators=1)
    for name, namespace, labels, asked in (
        ("p1", "theirs", {}, {"cpu": "1500m", "memory": "1Gi", "nvidia.com/gpu": "2"}),
        ("p2", NAMESPACE, {}, {"cpu": "250m", "memory": "100Mi"}),
        ("p3", "theirs", MANAGED | {ATTEMPT: "x"}, {"cpu": "1"}),
    ):
        cluster.put("pods", pod(name, namespace, labels, asked, on="n1"))
    cluster.put("pods", pod("p4", "theirs", {}, {"cpu": "4"}, on="n1", phase="Succeeded"))
    bench.again()
    told = {one.name: one for one in bench.engine.inventory()}["n1"]
    assert told.others == NodeUse(3, 1124, (Accelerators("nvidia.com/gpu", 2),))
    cluster.remove(("pods", "theirs", "p1"))
    bench.again()
    told = {one.name: one for one in bench.engine.inventory()}["n1"]
    assert told.others == NodeUse(2, 100, (Accelerators("nvidia.com/gpu", 0),))


def pod(
    name: str, namespace: str, labels: dict[str, str], asked: dict[str, str], **facts: str
) -> dict[str, Any]:
    """Somebody's Pod that runs on a node."""
    container = {"name": "c", "image": IMAGE, "resources": {"requests": asked}}
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"nodeName": facts["on"], "containers": [container]},
        "status": {"phase": facts.get("phase", "Running")},
    }


def test_where_nodes_may_not_be_read_the_quota_says_what_there_is(make: Make) -> None:
    bench = make(cluster_role=False)
    assert bench.engine.inventory() == ()
    hard = {"requests.cpu": "10", "requests.memory": "8Gi", "requests.nvidia.com/gpu": "2"}
    quota = {
        "metadata": {"name": "q", "namespace": NAMESPACE},
        "status": {"hard": hard, "used": {"requests.cpu": "1500m"}},
    }
    bench.cluster.put("resourcequotas", quota)
    bench.again()
    (only,) = bench.engine.inventory()
    assert (only.cores, only.memory_mib) == (10, 8192)
    assert only.accelerators == (Accelerators("nvidia.com/gpu", 2),)
    assert only.others is not None
    assert only.others.cores == 2, "one and a half, and nobody gets the other half"
    assert "nodes may not be read" in bench.engine.capabilities().notes[0]
    assert refused(bench, cores=11).code == "engine_no_node_fits"
    assert ended(bench, submit(bench, "a1", "exit 0")).state is EngineState.SUCCEEDED


def test_nodes_that_take_no_work_are_not_offered(make: Make) -> None:
    bench = make(node_selector={"pool": "city"}, tolerations=[{"key": "ours"}])
    cluster = bench.cluster
    theirs = {"pool": "city"}
    cluster.put("nodes", node("n1", labels=theirs))
    cluster.put("nodes", node("n3", labels=theirs, unschedulable=True))
    taint = {"key": "theirs", "effect": "NoSchedule"}
    cluster.put("nodes", node("n4", labels=theirs, taints=[taint]))
    cluster.put("nodes", node("n5", labels=theirs, taints=[taint | {"key": "ours"}]))
    assert [one.name for one in bench.engine.inventory()] == ["n1", "n5"]


def test_a_queue_of_kueue_is_named_and_a_suspended_job_can_be_cancelled(make: Make) -> None:
    bench = make(queue="city")
    bench.cluster.controllers.paused = True
    ref = submit(bench, "a1", "exit 0")
    job = json.loads(json.dumps(bench.cluster.get("jobs", NAMESPACE, ref)))
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "city"
    job["spec"]["suspend"] = True  # as Kueue's webhook does
    bench.cluster.put("jobs", job)
    bench.cluster.controllers.paused = False
    seen = until(bench, ref, lambda seen: seen.native_state == "Suspended")
    assert seen.state is EngineState.QUEUED
    bench.engine.cancel([ref], 0)
    assert ended(bench, ref).state is EngineState.CANCELLED
    assert bench.cluster.all("pods") == []


def test_a_gang_starts_as_one_group_of_volcano(make: Make) -> None:
    bench = make(volcano={"queue": "gangs"})
    assert Ability.GANGS in bench.engine.capabilities().abilities
    script = 'echo "$JOB_COMPLETION_INDEX of $SUANWANG_NODES, head $SUANWANG_HEAD"'
    ref = submit(bench, "a1", script, nodes=2, cores=16, memory_mib=1024)
    assert ended(bench, ref).state is EngineState.SUCCEEDED
    group = bench.cluster.get("podgroups", NAMESPACE, ref)
    assert group is not None
    assert group["spec"] == {
        "minMember": 2, "queue": "gangs", "minResources": {"cpu": "16", "memory": "1024Mi"},
    }  # fmt: skip
    pods = bench.cluster.all("pods")
    assert {pod["spec"]["nodeName"] for pod in pods} == {"n1", "n2"}
    assert {pod["spec"]["schedulerName"] for pod in pods} == {"volcano"}
    assert output(bench, ref) == f"0 of 2, head {ref}-0.{ref}\n"
    bench.engine.forget([ref])
    left = [bench.cluster.all(kind) for kind in ("podgroups", "services", "jobs")]
    assert left == [[], [], []]


# -- output -------------------------------------------------------------------------------------


def test_output_is_taken_once_while_it_grows(bench: KubernetesBench) -> None:
    ref = running(bench, script="for i in $(seq 200); do echo line $i; sleep 0.01; done")
    told = b""
    settled(bench, lambda: len(output_so_far(bench, ref)) > 200)
    while not look(bench, ref).state.final:
        told = output_so_far(bench, ref)
    ended(bench, ref)
    whole = output(bench, ref)
    assert whole == "".join(f"line {number}\n" for number in range(1, 201))
    assert whole.encode().startswith(told)


def test_output_is_bounded_and_says_so(make: Make) -> None:
    bench = make(log_bytes_max=4096)
    ref = submit(bench, "a1", "for i in $(seq 2000); do echo line $i; done; echo end")
    ended(bench, ref)
    text = output(bench, ref)
    assert len(text) <= 4096
    assert text.endswith("[suanwang] more than 4096 bytes; the rest was dropped\n")
    assert bench.engine.logs(ref, "stdout", 0).truncated


def test_a_gigabyte_of_output_is_contained(make: Make) -> None:
    """The node keeps ten MiB of it, as kubelets do; of these as much is asked for as is kept."""
    bench = make(log_bytes_max=400_000)
    script = "yes $(head -c 50000 /dev/zero | tr '\\0' x) | head -c 1G; echo end"
    ref = submit(bench, "a1", script)
    assert ended(bench, ref, 60).state is EngineState.SUCCEEDED
    text = output(bench, ref)
    assert 300_000 < len(text) <= 400_000
    assert text.endswith("[suanwang] more than 400000 bytes; the rest was dropped\n")
    assert bench.engine.logs(ref, "stdout", 0).truncated


# -- credentials and settings ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "user",
    [
        {"exec": {"command": "aws"}},
        {"auth-provider": {"name": "gcp"}},
        {"username": "admin", "password": "x"},
    ],
)
def test_credentials_that_want_something_run_are_refused(
    tmp_path: Path, user: dict[str, Any]
) -> None:
    file = kubeconfig(tmp_path / "kubeconfig", "https://127.0.0.1:1", "t")
    found = json.loads(json.dumps(__import__("yaml").safe_load(file.read_text())))
    found["users"][0]["user"] = user
    file.write_text(json.dumps(found))
    with pytest.raises(EngineUnavailable, match=next(iter(user))):
        open_engine("kubernetes", {"image": IMAGE, "kubeconfig": str(file)}, tmp_path)


def test_a_server_without_tls_or_with_unchecked_tls_is_refused(tmp_path: Path) -> None:
    for server, more in (
        ("http://203.0.113.7:8080", {}),
        ("https://203.0.113.7", {"insecure-skip-tls-verify": True}),
    ):
        file = kubeconfig(tmp_path / "kubeconfig", server, "t")
        found = __import__("yaml").safe_load(file.read_text())
        found["clusters"][0]["cluster"] |= more
        file.write_text(json.dumps(found))
        with pytest.raises(EngineUnavailable):
            open_engine("kubernetes", {"image": IMAGE, "kubeconfig": str(file)}, tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"imagee": "x"},
        {"image": "a b"},
        {"image": IMAGE, "run_as_user": 0},
        {"image": IMAGE, "queue": "Not A Name"},
        {"image": IMAGE, "namespace": "../kube-system"},
        {"image": IMAGE, "shared": {"claim": "c"}},
    ],
)
def test_settings_are_strict(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        KubernetesSettings.model_validate(wrong)
