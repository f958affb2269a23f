"""``suanwang simulate``: play a city or a trace through the scheduling core, and measure it."""

from __future__ import annotations

import importlib
import importlib.util
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from suanwang.core.errors import Refused

if TYPE_CHECKING:
    from suanwang.cli.simulate_run import Outputs
    from suanwang.placement.simulator.city import City
    from suanwang.placement.simulator.problems import Problems
    from suanwang.placement.simulator.scenario import Scenario

PROTOCOLS = ("hpc", "openb")
"""The published protocols: each a function of this name in ``simulate_<name>``."""

Policies = Annotated[
    str,
    typer.Option(
        "--policy",
        help="ours, fcfs, easy, sjf, smallest_area, f1, bestfit, random; several with commas.",
    ),
]
CityFile = Annotated[
    Path | None, typer.Argument(help="A city document or a recording; else an example.")
]
Seed = Annotated[int, typer.Option(min=0, help="Of everything left to chance.")]
Malformed = Annotated[str, typer.Option(help="skip or refuse what cannot be used.")]
Days = Annotated[float | None, typer.Option(min=0.001, max=3660, help="Cut it off after so long.")]
Json = Annotated[bool, typer.Option("--json", help="Everything as JSON.")]
Csv = Annotated[Path | None, typer.Option("--csv", help="Write the figures here too.")]
Html = Annotated[Path | None, typer.Option("--html", help="Write a report with charts here.")]
Tongue = Annotated[str, typer.Option("--language", help="zh or en.")]
Nodes = Annotated[int | None, typer.Option(min=1, help="Nodes of the cluster (philly).")]
CardsPerNode = Annotated[int, typer.Option(min=1, max=1024, help="Of the cluster (philly).")]


def register(app: typer.Typer) -> None:
    """Add ``simulate`` and its commands."""
    group = typer.Typer(
        no_args_is_help=True, help="Play a city or a trace through the scheduling core."
    )
    for command in (city, run, philly, replay):
        group.command()(command)
    group.command("what-if")(what_if)
    for protocol in PROTOCOLS:
        name = f"suanwang.cli.simulate_{protocol}"
        if importlib.util.find_spec(name) is not None:
            group.command(protocol)(getattr(importlib.import_module(name), protocol))
    app.add_typer(group, name="simulate")


def city(
    file: CityFile = None,
    policy: Policies = "ours,easy",
    seed: Seed = 42,
    malformed: Malformed = "skip",
    days: Days = None,
    as_json: Json = False,
    csv: Csv = None,
    html: Html = None,
    tongue: Tongue = "",
) -> None:
    """A city, as a document says it (docs/reference/city-format.md), or an invented example."""
    from suanwang.cli import simulate_run
    from suanwang.placement.simulator.build import scenario_of

    needed()
    problems = _problems(malformed)
    scenario = scenario_of(_city(file, problems), problems, seed=seed)
    simulate_run.compare(
        scenario, problems, _names(policy), _outputs(seed, days, as_json, csv, html, tongue)
    )


def run(
    trace: Annotated[Path, typer.Option(help="A file; gzip is read as it is.")],
    format_: Annotated[str, typer.Option("--format", help="swf, openb, philly or city.")],
    policy: Policies = "ours,easy",
    seed: Seed = 42,
    malformed: Malformed = "skip",
    days: Days = None,
    nodes_file: Annotated[Path | None, typer.Option(help="The nodes of openb.")] = None,
    vc: Annotated[Path | None, typer.Option(help="The virtual clusters of Philly.")] = None,
    nodes: Nodes = None,
    cards_per_node: CardsPerNode = 8,
    processors: Annotated[int | None, typer.Option(min=1, help="Of the machine (swf).")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Only so many of the first.")] = None,
    as_json: Json = False,
    csv: Csv = None,
    html: Html = None,
    tongue: Tongue = "",
) -> None:
    """A trace: SWF, openb, Philly or a city document, jobs coming and going as it says."""
    from suanwang.cli import simulate_run
    from suanwang.placement.simulator.build import scenario_of
    from suanwang.placement.simulator.philly import read_philly
    from suanwang.placement.simulator.traces import read_openb_scenario, read_swf_scenario

    needed()
    problems = _problems(malformed)
    lines = simulate_run.lines
    scenario: Scenario
    if format_ == "swf":
        scenario = read_swf_scenario(lines(trace), problems, processors=processors)
    elif format_ == "openb":
        if nodes_file is None:
            raise typer.BadParameter("openb needs --nodes-file")
        scenario = read_openb_scenario(lines(trace), lines(nodes_file), problems)
    elif format_ == "philly":
        shares = lines(vc) if vc else None
        scenario = read_philly(
            lines(trace), shares, problems, nodes=nodes, cards_per_node=cards_per_node
        )
    elif format_ == "city":
        scenario = scenario_of(_city(trace, problems), problems, seed=seed)
    else:
        raise typer.BadParameter("--format is swf, openb, philly or city")
    if jobs is not None:
        scenario = scenario.with_works(scenario.works[:jobs])
    simulate_run.compare(
        scenario, problems, _names(policy), _outputs(seed, days, as_json, csv, html, tongue)
    )


def philly(
    trace: Annotated[Path, typer.Option(help="The jobs, as in the AdaptDL artifact.")],
    vc: Annotated[Path | None, typer.Option(help="The virtual clusters.")] = None,
    nodes: Nodes = None,
    cards_per_node: CardsPerNode = 8,
    policy: Policies = "ours,easy",
    seed: Seed = 42,
    malformed: Malformed = "skip",
    jobs: Annotated[int | None, typer.Option(min=1, help="Only so many of the first.")] = None,
    days: Days = None,
    as_json: Json = False,
    csv: Csv = None,
    html: Html = None,
    tongue: Tongue = "",
) -> None:
    """Microsoft's Philly trace on a cluster of the shape told."""
    run(trace, "philly", policy, seed, malformed, days, None, vc, nodes, cards_per_node, None, jobs,
        as_json, csv, html, tongue)  # fmt: skip


def what_if(
    file: CityFile = None,
    add_centre: Annotated[list[Path] | None, typer.Option(help="A document of centres.")] = None,
    fail: Annotated[list[str] | None, typer.Option(help="CENTRE or CENTRE@HOUR.")] = None,
    price: Annotated[
        list[str] | None, typer.Option(help="CENTRE.core=FEN, .gib= or .MODEL=, an hour.")
    ] = None,
    policy: Annotated[str, typer.Option(help="Of the city as it is.")] = "ours",
    to_policy: Annotated[str, typer.Option(help="Of the changed city; else the same.")] = "",
    seed: Seed = 42,
    malformed: Malformed = "skip",
    days: Days = None,
    as_json: Json = False,
    csv: Csv = None,
    html: Html = None,
    tongue: Tongue = "",
) -> None:
    """What if: a new centre, a failed one, another price, another policy; before and after."""
    from suanwang.cli import simulate_run
    from suanwang.placement.simulator import what_if as changes
    from suanwang.placement.simulator.build import scenario_of

    needed()
    problems = _problems(malformed)
    before = _city(file, problems)
    after = before
    for path in add_centre or []:
        after = changes.with_centre(after, simulate_run.text(path, changes.CHARACTERS_MAX))
    for told in fail or []:
        after = changes.with_failure(after, told)
    for told in price or []:
        after = changes.with_price(after, told)
    if after is before and not to_policy:
        raise typer.BadParameter("tell what changes: --add-centre, --fail, --price or --to-policy")
    simulate_run.before_and_after(
        scenario_of(before, problems, seed=seed),
        scenario_of(after, _problems(malformed), seed=seed),
        problems,
        (policy, to_policy or policy),
        _outputs(seed, days, as_json, csv, html, tongue),
    )


def replay(
    recording: Annotated[Path, typer.Argument(help="What a dispatcher recorded.")],
    as_json: Json = False,
) -> None:
    """Ask the core again what production asked it; status 1 if it answers otherwise."""
    from suanwang.cli import simulate_run

    needed()
    raise typer.Exit(code=0 if simulate_run.replayed(recording, as_json=as_json) else 1)


def needed() -> None:
    """Say at once what is missing, not in the middle of a run."""
    importlib.import_module("numpy")


def _names(told: str) -> list[str]:
    names = [name.strip() for name in told.split(",") if name.strip()]
    if not names:
        raise typer.BadParameter("--policy names none")
    return list(dict.fromkeys(names))


def _problems(malformed: str) -> Problems:
    from suanwang.placement.simulator.problems import OnMalformed, Problems

    if malformed not in ("skip", "refuse"):
        raise typer.BadParameter("--malformed is skip or refuse")
    return Problems(cast(OnMalformed, malformed))


def _city(file: Path | None, problems: Problems) -> City:
    """A document, the example, or a recording: then the live city as it was at its last step."""
    from suanwang.cli import simulate_run
    from suanwang.placement.simulator.reading import CHARACTERS_MAX, read_city

    if file is None:
        example = resources.files("suanwang.placement.simulator") / "cities" / "example.yaml"
        told = example.read_text(encoding="utf-8")
    elif (recorded := simulate_run.last_recorded(file)) is not None:
        return recorded
    else:
        told = simulate_run.text(file, CHARACTERS_MAX)
    found, left_out = read_city(told, problems.on_malformed)
    problems.found += left_out
    return found


def _outputs(
    seed: int, days: float | None, as_json: bool, csv: Path | None, html: Path | None, tongue: str
) -> Outputs:
    from suanwang.cli import language
    from suanwang.cli.simulate_run import Outputs

    spoken = language() if tongue == "" else "zh" if tongue == "zh" else "en"
    for path in (csv, html):
        if path is not None and not path.parent.is_dir():
            raise Refused("trace_file_unreadable", file=str(path), problem="no such folder")
    return Outputs(seed, days, as_json, csv, html, spoken)
