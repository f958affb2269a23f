"""``suanwang simulate openb``: the published packing protocol, ours beside brute-force rivals."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from suanwang.core.errors import Refused

if TYPE_CHECKING:
    from suanwang.placement.simulator.openb import Real, Run
    from suanwang.placement.simulator.openb_lists import Cluster, PodList
    from suanwang.placement.simulator.problems import Problem

POOL = ("ours", "bestfit")
"""The policies of the pool (``placement.simulator.openb.PoolPolicy``)."""
NODES = "openb_node_list_gpu_node"
LIST = "openb_pod_list_"
ENDINGS = (".csv.gz", ".csv")
SEEDS_MAX = 1000
WARM = 300
"""Arrivals run before anything is timed, so that no figure has the compiler in it."""

Workers = Annotated[int, typer.Option(min=1, max=64, help="Processes.")]


class Unit(NamedTuple):
    """One run: a policy over a list with a seed."""

    place: int
    """Of the list."""
    policy: str
    by: str
    """``pool``, ``centres`` (each with a pool) or ``brute force``."""
    seed: int


@dataclass(frozen=True, slots=True)
class Setting:
    """What all runs share; handed to every process once."""

    cluster: Cluster
    lists: list[tuple[str, PodList]]
    start: tuple[str, PodList] | None
    """The list whose pods the pool is told beforehand, and whose mix FGD is given."""
    centres: int = 0
    stale: int = 1
    """Arrivals from one summary of the centres to the next."""


def openb(
    list_: Annotated[
        str, typer.Option("--list", help="Names in the traces' openb/ or files; or: all")
    ] = "default",
    seeds: Annotated[str, typer.Option(help="42-51, or 42,45")] = "42-51",
    policy: Annotated[
        str, typer.Option(help="Of the pool: ours, bestfit; several with commas.")
    ] = "ours",
    beside: Annotated[
        str, typer.Option(help="By brute force: fgd, bestfit, packing, random; or: none")
    ] = "fgd,bestfit,random",
    start_histogram: Annotated[
        str, typer.Option(help="A list that is told to the policies first, to mislead them.")
    ] = "",
    centres: Annotated[
        int, typer.Option(min=0, help="Also with the cluster cut by model into so many centres.")
    ] = 0,
    stale: Annotated[
        int, typer.Option(min=1, help="Arrivals from one summary of the centres to the next.")
    ] = 60,
    nodes: Annotated[Path | None, typer.Option(help="Another list of nodes.")] = None,
    traces: Annotated[Path | None, typer.Option(help="The folder of traces.")] = None,
    malformed: Annotated[str, typer.Option(help="skip or refuse what cannot be used.")] = "skip",
    workers: Workers = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Everything as JSON.")] = False,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the figures here too.")] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a report with charts here.")
    ] = None,
    tongue: Annotated[str, typer.Option("--language", help="zh or en.")] = "",
) -> None:
    """Print what stays unallocated at 95, 100 and 130% arrived, beside FGD and the published."""
    from suanwang.cli import simulate_openb_told as told
    from suanwang.cli.simulate import outputs, problems_of
    from suanwang.placement.simulator.openb_centres import cut
    from suanwang.placement.simulator.openb_lists import read_cluster

    wanted = _units(policy, beside, centres)
    if centres and start_histogram:
        raise typer.BadParameter("not with --start-histogram", param_hint="--centres")
    chosen = _seeds(seeds)
    given = outputs(min(chosen), None, as_json, csv, html, tongue)
    folder = _folder(traces)
    left_out: dict[str, list[Problem]] = {}
    problems = problems_of(malformed)
    cluster = read_cluster(_lines(nodes or _found(folder, NODES)), problems)
    left_out[(nodes or Path(NODES)).name] = problems.found
    if centres:
        cut(cluster, centres)  # too many are told before the first run
    lists = []
    for path in _paths(list_, folder):
        lists.append((_name(path), _read(path, cluster, malformed, left_out)))
    start = None
    if start_histogram:
        path = _path(start_histogram, folder)
        start = _name(path), _read(path, cluster, malformed, left_out)
    setting = Setting(cluster, lists, start, centres, stale)
    units = [
        Unit(place, name, by, seed)
        for place in range(len(lists))
        for name, by in wanted
        for seed in chosen
    ]
    runs = _all(setting, units, workers)
    told.tell(setting, chosen, runs, left_out, given)


def _units(policy: str, beside: str, centres: int) -> list[tuple[str, str]]:
    from suanwang.placement.simulator.openb_rivals import RIVALS

    units = []
    for option, text, known, by in (
        ("--policy", policy, POOL, "pool"),
        ("--policy", policy if centres else "", POOL, "centres"),
        ("--beside", "" if beside == "none" else beside, RIVALS, "brute force"),
    ):
        for name in dict.fromkeys(word.strip() for word in text.split(",") if word.strip()):
            if name not in known:
                raise typer.BadParameter(", ".join(known), param_hint=option)
            units.append((name, by))
    if not units:
        raise typer.BadParameter("--policy names none")
    return units


def _seeds(text: str) -> list[int]:
    """``42-51``, ``42,45``, or both mixed."""
    found: dict[int, None] = {}
    for word in text.split(","):
        first, dash, last = word.strip().partition("-")
        if not (first.isdigit() and (last.isdigit() or not dash)) or len(word) > 20:
            raise typer.BadParameter("42-51, or 42,45", param_hint="--seeds")
        start, end = int(first), int(last or first)
        if not 0 <= start <= end < 1 << 32 or end - start >= SEEDS_MAX:
            raise typer.BadParameter(f"at most {SEEDS_MAX}", param_hint="--seeds")
        found |= dict.fromkeys(range(start, end + 1))
    return list(found)


def _folder(traces: Path | None) -> Path:
    from suanwang.cli.simulate_hpc import folder_of

    return folder_of(traces) / "openb"


def _found(folder: Path, stem: str) -> Path:
    for ending in ENDINGS:
        if (path := folder / f"{stem}{ending}").is_file():
            return path
    raise Refused("trace_unreadable", path=stem, problem=f"not in {folder}")


def _path(name: str, folder: Path) -> Path:
    return Path(name) if Path(name).is_file() else _found(folder, f"{LIST}{name}")


def _paths(text: str, folder: Path) -> list[Path]:
    """Lists by name or file; ``all``: every one in the folder."""
    if text == "all":
        found = {_name(path): path for path in sorted(folder.glob(f"{LIST}*.csv*"))}
        if not found:
            raise Refused("trace_unreadable", path=f"{LIST}*", problem=f"not in {folder}")
        return list(found.values())
    names = dict.fromkeys(word.strip() for word in text.split(",") if word.strip())
    if not names:
        raise typer.BadParameter("default", param_hint="--list")
    return [_path(name, folder) for name in names]


def _name(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".csv").removeprefix(LIST)


def _read(
    path: Path, cluster: Cluster, malformed: str, left_out: dict[str, list[Problem]]
) -> PodList:
    from suanwang.cli.simulate import problems_of
    from suanwang.placement.simulator.openb_lists import read_pods

    problems = problems_of(malformed)
    found = read_pods(_lines(path), cluster, problems)
    left_out[path.name] = problems.found
    return found


def _lines(path: Path) -> Iterator[str]:
    from suanwang.cli.simulate_run import lines

    return lines(path)


Done = tuple[Unit, "Run", "Real"]


def _all(setting: Setting, units: list[Unit], workers: int) -> list[Done]:
    """Every run, with a bar on the error stream; in order of the units."""
    from suanwang.cli.simulate_run import bar

    runs: list[Done] = []
    with bar() as shown:
        task = shown.add_task("openb", total=len(units))
        for done in _done(setting, units, min(workers, len(units))):
            runs.append(done)
            shown.update(task, advance=1, description=setting.lists[done[0].place][0])
    return sorted(runs, key=lambda done: units.index(done[0]))


def _done(setting: Setting, units: list[Unit], workers: int) -> Iterator[Done]:
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from multiprocessing import get_context

    if workers == 1:
        _begin(setting, units)
        yield from map(_one, units)
        return
    with ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=_begin, initargs=(setting, units)
    ) as processes:
        for ended in as_completed([processes.submit(_one, unit) for unit in units]):
            yield ended.result()


_shared: list[Setting] = []
"""What the processes that run units were given; one, once begun."""


def _begin(setting: Setting, units: list[Unit]) -> None:
    """Before a process runs its first unit: every policy once, so that all is compiled."""
    _shared[:] = [setting]
    for unit in {(unit.policy, unit.by): unit for unit in units}.values():
        _one(unit, WARM)


def _one(unit: Unit, most: int | None = None) -> Done:
    """A run; its cards are audited and not kept."""
    from dataclasses import replace

    from suanwang.placement.simulator import openb as protocol
    from suanwang.placement.simulator import openb_centres, openb_rivals

    (setting,) = _shared
    cluster, start = setting.cluster, setting.start[1] if setting.start else None
    _, pods = setting.lists[unit.place]
    arriving = protocol.arrivals(pods, cluster, unit.seed)[:most]
    order = protocol.tie_order(cluster, unit.seed)
    clock = time.process_time
    policy: Any = unit.policy
    if unit.by == "pool":
        told = None if start is None else (start, protocol.shuffled(start, unit.seed))
        run = protocol.play(
            cluster, pods, arriving, policy=policy, order=order, clock=clock, told=told
        )
    elif unit.by == "centres":
        run = openb_centres.play(
            cluster, pods, arriving, centres=setting.centres, stale=setting.stale, policy=policy,
            order=order, clock=clock,
        )  # fmt: skip
    else:
        run = openb_rivals.play(
            cluster, pods, arriving, policy=policy, order=order, seed=unit.seed, clock=clock,
            given=start,
        )  # fmt: skip
    if slip := protocol.audit(cluster, pods, arriving, run):
        raise RuntimeError(f"{unit}: {slip}")
    curve = protocol.unallocated(pods, cluster, arriving, run.machines)
    return unit, replace(run, cards=[]), curve
