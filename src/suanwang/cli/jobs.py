"""``suanwang jobs``: hand in work, follow it, fetch what it left. Speaks only to the API."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from suanwang.cli.words import shown
from suanwang.core import sbatch
from suanwang.core.clock import CITY_ZONE
from suanwang.core.money import format_yuan
from suanwang.core.refusals import Language, sentence
from suanwang.sdk import City, CityError, RefusedByCity, keyring

out, err = Console(soft_wrap=True), Console(stderr=True, soft_wrap=True)

Url = Annotated[str | None, typer.Option("--url", help="The city; default SUANWANG_URL.")]
AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]
Wishes = Annotated[
    Path | None,
    typer.Option(help="YAML or JSON with fields of the specification: where, nodes, deadline, …"),
]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")]

WISHES_BYTES_MAX = 64 * 1024
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZES = {"": 1, "M": 1, "G": 1024, "T": 1024 * 1024}


def register(app: typer.Typer) -> None:
    """Add ``sign-in`` and the ``jobs`` group."""
    jobs = typer.Typer(no_args_is_help=True, help="Hand in work and follow it.")
    for command in (submit, estimate, show, logs, cancel, fetch):
        jobs.command()(command)
    jobs.command("list")(list_jobs)
    app.add_typer(jobs, name="jobs")
    app.command("sign-in")(sign_in)


def sign_in(
    username: Annotated[str, typer.Argument(help="The name to sign in with.")],
    url: Url = None,
    password: Annotated[
        str, typer.Option(prompt=True, hide_input=True, envvar="SUANWANG_PASSWORD")
    ] = "",
    days: Annotated[int, typer.Option(help="How long the key lives.", min=1, max=365)] = 30,
) -> None:
    """Sign in once and keep an API key for this machine."""
    chosen, _ = keyring.find(url)
    with _refusals(), City(chosen, language=_language()) as city:
        answer = city.sign_in(username, password, title=f"suanwang sign-in ({username})", days=days)
    kept = keyring.remember(chosen, answer["token"])
    out.print(f"{chosen}: {kept}", highlight=False)


def submit(
    script: Annotated[
        Path | None, typer.Argument(help="A script; its #SBATCH lines count.")
    ] = None,
    wrap: Annotated[str | None, typer.Option(help="A command instead of a script.")] = None,
    name: Annotated[str | None, typer.Option("--name", "-J")] = None,
    cores: Annotated[int | None, typer.Option("--cores", "-c", min=1)] = None,
    memory: Annotated[str | None, typer.Option(help="MiB, or with a unit: 4G.")] = None,
    accelerators: Annotated[int | None, typer.Option("--accelerators", "-g", min=0)] = None,
    model: Annotated[str | None, typer.Option(help="Accelerator model.")] = None,
    image: Annotated[
        str | None, typer.Option(help="Container image to run in, as host/path:tag.")
    ] = None,
    walltime: Annotated[str | None, typer.Option("--walltime", "-t", help="90s, 30m, 2h.")] = None,
    env: Annotated[list[str] | None, typer.Option("--env", "-e", help="NAME=VALUE.")] = None,
    file: Annotated[
        list[Path] | None,
        typer.Option("--file", "-f", help="Goes in."),
    ] = None,
    output: Annotated[list[str] | None, typer.Option("--output", "-o", help="Comes out.")] = None,
    centre: Annotated[str | None, typer.Option(help="Only there.")] = None,
    goal: Annotated[
        str | None,
        typer.Option(help="cheapest (unless told otherwise), fastest, greenest, balanced."),
    ] = None,
    wishes: Wishes = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Show the output until it ends.")
    ] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Hand in a script or a command. What is given here wins over the script's #SBATCH lines."""
    with _city(url) as city:
        spec = _specification(
            script, wrap, wishes, name=name, cores=cores, memory_mib=_memory(memory),
            accelerators=accelerators, accelerator_model=model, image=image,
            walltime_seconds=_seconds(walltime), centre=centre, goal=goal,
        )  # fmt: skip
        if env:
            spec["environment"] = dict(_pair(entry) for entry in env)
        if output:
            spec["files_out"] = output
        contents = {path.name: path.read_bytes() for path in file or []}
        job = city.submit(files=contents, **spec)
        _show(job, as_json)
        if follow:
            for text in city.follow(job["id"]):
                out.print(text, end="", markup=False, highlight=False)
            raise typer.Exit(0 if city.job(job["id"])["state"] == "succeeded" else 1)


def estimate(
    script: Annotated[Path, typer.Argument(help="A script; its #SBATCH lines count.")],
    wishes: Wishes = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """What a script would cost at most at each centre, and what the policy would pay back."""
    with _city(url) as city:
        answer = city.estimate(**_specification(script, None, wishes))
        if as_json:
            out.print_json(json.dumps(answer))
            return
        table = _table("centre", "fits", "online", "at most", "paid back", "price until")
        for option in answer["options"]:
            back = option["reimbursement"]
            table.add_row(
                option["centre_name"],
                _mark(option["fits"]),
                _mark(option["online"]),
                format_yuan(option["amount_fen"]),
                format_yuan(back["amount_fen"]) if back else "–",
                _when(option["price_until"]),
            )
        out.print(table)


def list_jobs(
    state: Annotated[str | None, typer.Option(help="Only jobs in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1)] = 20,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """The newest jobs one may see."""
    with _city(url) as city:
        jobs = [job for job, _ in zip(city.jobs(state=state), range(limit), strict=False)]
    if as_json:
        out.print_json(json.dumps(jobs))
        return
    table = _table("id", "name", "state", "submitted", "at most")
    for job in jobs:
        table.add_row(
            job["id"],
            job["name"],
            job["state"],
            _when(job["submitted_at"]),
            format_yuan(job["estimate_fen"]),
        )
    out.print(table)


def show(job_id: JobId, url: Url = None, as_json: AsJson = False) -> None:
    """One job: where it is, why it waits, what it cost."""
    with _city(url) as city:
        _show(city.job(job_id), as_json)


def logs(
    job_id: JobId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Until the job ends.")] = False,
    stderr: Annotated[bool, typer.Option("--stderr", help="The other stream.")] = False,
    url: Url = None,
) -> None:
    """What a job has written so far, or as it writes."""
    stream = "stderr" if stderr else "stdout"
    with _city(url) as city:
        if follow:
            for text in city.follow(job_id, stream=stream):
                out.print(text, end="", markup=False, highlight=False)
            return
        offset, complete = 0, False
        while not complete:
            content, offset, complete = city.log(job_id, stream=stream, offset=offset)
            if not content:
                return
            out.print(content.decode(errors="replace"), end="", markup=False, highlight=False)


def cancel(job_id: JobId, url: Url = None, as_json: AsJson = False) -> None:
    """Ask for the end of a job. What it used until then is billed."""
    with _city(url) as city:
        _show(city.cancel(job_id), as_json)


def fetch(
    job_id: JobId,
    names: Annotated[list[str] | None, typer.Argument(help="All of them by default.")] = None,
    into: Annotated[Path, typer.Option(help="A folder.")] = Path(),
    url: Url = None,
) -> None:
    """Download the files a job left."""
    with _city(url) as city:
        left = [file["name"] for file in city.job(job_id)["files"] if file["direction"] == "out"]
        for name in names or left:
            target = into / name
            if not target.resolve().is_relative_to(into.resolve()):
                raise typer.BadParameter(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(city.download(job_id, name))
            out.print(str(target))


def _table(*heads: str) -> Table:
    """A table whose ids are never cut: they are there to be copied."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        table.add_column(shown(head, _language()), no_wrap=head != "name")
    return table


def _mark(holds: bool) -> str:
    return shown("yes" if holds else "no", _language())


def _when(moment: str | None) -> str:
    if moment is None:
        return "–"
    local = datetime.fromisoformat(moment).astimezone(CITY_ZONE)
    return f"{local:%Y-%m-%d %H:%M}"


def _specification(
    script: Path | None, wrap: str | None, wishes: Path | None, **given: Any
) -> dict[str, Any]:
    """The script's own lines, then the file of wishes, then the options: the last one holds."""
    if (script is None) == (wrap is None):
        raise typer.BadParameter("give a script or --wrap COMMAND, one of the two")
    if script is not None:
        try:
            text = script.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise typer.BadParameter(f"{script} is not UTF-8 text") from error
        reading = sbatch.read(text)
        for directive in reading.ignored:
            why = sentence(directive.became, {}, _language()) or directive.became
            err.print(f"#SBATCH --{directive.option}: {why}", markup=False)
        spec: dict[str, Any] = {"name": script.stem, **reading.fields, "script": text}
    else:
        spec = {"name": "wrap", "script": f"{wrap}\n"}
    spec |= _wishes(wishes) | {field: value for field, value in given.items() if value is not None}
    nodes = spec.get("nodes")
    several = nodes if isinstance(nodes, int) and nodes > 1 else 1
    usual = {"cores": several, "memory_mib": 1024 * several, "walltime_seconds": 3600}
    return usual | {"goal": "cheapest"} | spec


def _wishes(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    if path.stat().st_size > WISHES_BYTES_MAX:
        raise typer.BadParameter(f"{path}: at most {WISHES_BYTES_MAX} bytes are read")
    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path} cannot be read: {error}") from error
    if not isinstance(read, dict) or not all(isinstance(name, str) for name in read):
        raise typer.BadParameter(f"{path}: expected fields with values, like nodes: 2")
    return {name: _plain(value) for name, value in read.items()}


def _plain(value: Any) -> Any:
    """YAML reads moments as such; the interface takes text with a zone."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=CITY_ZONE)).isoformat()
    return value


def _seconds(text: str | None) -> int | None:
    return None if text is None else _scaled(text, _UNITS, "a time like 90s, 30m, 2h or 1d")


def _memory(text: str | None) -> int | None:
    if text is None:
        return None
    return _scaled(text.upper().removesuffix("IB").removesuffix("B"), _SIZES, "a size like 4G")


def _scaled(text: str, units: dict[str, int], expected: str) -> int:
    match = re.fullmatch(r"(\d{1,9})([A-Za-z]?)", text.strip())
    if match is None or match[2] not in units:
        raise typer.BadParameter(f"{text!r}: expected {expected}")
    return int(match[1]) * units[match[2]]


def _pair(entry: str) -> tuple[str, str]:
    name, sign, value = entry.partition("=")
    if not sign:
        raise typer.BadParameter(f"{entry!r}: expected NAME=VALUE")
    return name, value


def _show(job: dict[str, Any], as_json: bool) -> None:
    if as_json:
        out.print_json(json.dumps(job))
        return
    out.print(f"{job['id']}  {job['name']}  {job['state']}", markup=False, highlight=False)
    out.print(job["reason"]["message"], markup=False)
    out.print(f"≤ {format_yuan(job['estimate_fen'])}", highlight=False)


def _language() -> Language:
    from suanwang.cli import language

    return language()


@contextmanager
def _city(url: str | None) -> Iterator[City]:
    chosen, key = keyring.find(url)
    with _refusals(), City(chosen, key, language=_language()) as city:
        yield city


@contextmanager
def _refusals() -> Iterator[None]:
    """A refusal is a sentence and its code on stderr, and exit status 1."""
    try:
        yield
    except RefusedByCity as refusal:
        err.print(f"{refusal.message} [{refusal.code}]", markup=False)
        for problem in refusal.errors:
            err.print(f"  {problem.get('pointer', '')}: {problem.get('message', '')}", markup=False)
        raise typer.Exit(1) from None
    except (CityError, OSError) as error:  # of the city, or of a file of one's own
        err.print(str(error), markup=False)
        raise typer.Exit(1) from None
    except ValidationError as error:
        for wrong in error.errors():
            where = ".".join(str(part) for part in wrong["loc"])
            err.print(f"{where}: {wrong['msg']}", markup=False)
        raise typer.Exit(2) from None
