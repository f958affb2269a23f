"""``suanwang agent``: the process inside a centre."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from suanwang.agent.home import Home

_HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help="Where the agent lives; default $SUANWANG_HOME/agent."),
]

_JsonOption = Annotated[bool, typer.Option("--json", help="For machines.")]


def register(app: typer.Typer) -> None:
    """Add the topic to the command line."""
    topic = typer.Typer(help="Run this machine's part of a centre.", no_args_is_help=True)
    topic.command()(enrol)
    topic.command()(run)
    topic.command()(check)
    topic.command()(drain)
    topic.command()(status)
    app.add_typer(topic, name="agent")


def enrol(
    url: Annotated[str, typer.Option(help="The platform's address.")],
    token: Annotated[str, typer.Option(envvar="SUANWANG_AGENT_TOKEN", help="The one-time token.")],
    engine: Annotated[
        str | None,
        typer.Option(help="Write an engine.yaml for local, slurm, kubernetes or ray, explained."),
    ] = None,
    home: _HomeOption = None,
) -> None:
    """Make a key, hand its public half in with the token, and remember the name given.

    The platform's own key comes back and is pinned: no other platform can give this agent orders.
    """
    from suanwang.agent.client import PlatformClient, PlatformRefused, PlatformUnavailable
    from suanwang.agent.engine_file import commented
    from suanwang.agent.home import Identity
    from suanwang.agent.yaml_file import FileWrong

    where = _home(home)
    try:
        written = None if engine is None else commented(engine)
        client = PlatformClient(url, where.key())
        answer = client.enrol(token)
    except (FileWrong, PlatformRefused, PlatformUnavailable, ValueError, OSError) as error:
        typer.echo(f"not enrolled: {error}", err=True)
        raise typer.Exit(1) from None
    where.remember(
        Identity(
            url=url,
            agent_id=str(answer.agent_id),
            cluster_id=str(answer.cluster_id),
            platform_key=answer.platform_key,
        )
    )
    typer.echo(f"enrolled as {answer.agent_id}; start it with: suanwang agent run")
    if written is not None:
        if where.write_new(where.engine_file, written):
            typer.echo(f"fill in {where.engine_file}, then: suanwang agent check")
        else:
            typer.echo(f"{where.engine_file} was there already and stays as it is")


def run(
    home: _HomeOption = None,
    cores: Annotated[
        int | None, typer.Option(min=1, help="Offer at most so many; for engine local.")
    ] = None,
    memory_mib: Annotated[
        int | None, typer.Option(min=16, help="Offer at most so much; for engine local.")
    ] = None,
    read_only: Annotated[
        list[Path] | None,
        typer.Option(help="A further folder every job may read; for engine local."),
    ] = None,
    stop_jobs: Annotated[
        bool, typer.Option("--stop-jobs", help="End the jobs when this agent is stopped.")
    ] = False,
    tied_to: Annotated[
        int | None, typer.Option(help="End, with all jobs, when this process is gone.")
    ] = None,
    sandbox: Annotated[
        str | None, typer.Option(help="auto, or session to do without; for engine local.")
    ] = None,
    wait_seconds: Annotated[
        int, typer.Option(min=0, max=25, help="How long to wait at the platform's door.")
    ] = 20,
) -> None:
    """Take work and run it until stopped. Jobs go on without the agent, unless told otherwise.

    What it runs on is said in engine.yaml in its home; without one it is this machine.
    """
    import logging
    import signal
    import sys

    # httpx has a command line of its own, and with it come rich and pygments where those are: six
    # MiB an agent has no use for.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]

    from suanwang.agent.engine_file import read_choice
    from suanwang.agent.home import AlreadyRunning, NotEnrolled
    from suanwang.agent.process import Agent
    from suanwang.agent.yaml_file import FileWrong
    from suanwang.engines.port import EngineUnavailable

    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", force=True
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    where = _home(home)
    said = {
        "cores": cores,
        "memory_mib": memory_mib,
        "read_only": [str(path.resolve()) for path in read_only] if read_only else None,
        "sandbox": sandbox,
    }
    try:
        where.identity()
        choice = read_choice(where.engine_file).with_local(said, tied_to)
        lock = where.lock()
        engine = choice.open_patiently(where.engine)
        agent = Agent(
            where, engine, lock, stop_jobs=stop_jobs, tied_to=tied_to, wait_seconds=wait_seconds
        )
    except NotEnrolled:
        typer.echo(f"no identity in {where.root}; run: suanwang agent enrol", err=True)
        raise typer.Exit(1) from None
    except AlreadyRunning:
        typer.echo(f"an agent already runs in {where.root}", err=True)
        raise typer.Exit(1) from None
    except (FileWrong, EngineUnavailable) as error:
        typer.echo(f"{where.engine_file}: {error}", err=True)
        raise typer.Exit(1) from None
    for note in engine.capabilities().notes:
        logging.getLogger("suanwang.agent").warning("isolation: %s", note)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.stop())
    agent.run()


def check(home: _HomeOption = None, as_json: _JsonOption = False) -> None:
    """Try the engine, the clock, the rights, the folder and the network, and say what to fix.

    Ends with 0 if all is well or only doubtful, with 1 if something is wrong.
    """
    from suanwang.agent.check import as_json as plain
    from suanwang.agent.check import findings, worst
    from suanwang.cli import language

    where = _home(home)
    if not where.root.is_dir():
        typer.echo(f"not enrolled ({where.root})", err=True)
        raise typer.Exit(1)
    found = list(findings(where))
    if as_json:
        typer.echo(json.dumps([plain(one) for one in found], ensure_ascii=False, indent=2))
    else:
        number = int(language() == "zh")
        for one in found:
            mark = {"good": "ok", "doubtful": "??", "wrong": "!!"}[one.level]
            typer.echo(f"{mark}  {one.subject:<12} {one.said[number]}")
            if one.fix[number]:
                typer.echo(f"    {'':<12} → {one.fix[number]}")
    raise typer.Exit(int(worst(found) == "wrong"))


def drain(
    home: _HomeOption = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take new work again.")] = False,
) -> None:
    """Take no new work; what runs goes on to its end. Holds over restarts, until undone."""
    where = _home(home)
    if undo:
        where.drain_mark.unlink(missing_ok=True)
        typer.echo("new work is taken again")
        return
    where.write_new(where.drain_mark, "")
    typer.echo("no new work is taken; see how it empties: suanwang agent status")


def status(home: _HomeOption = None, as_json: _JsonOption = False) -> None:
    """Who this agent is, what it runs, what it still owes the platform, what was refused."""
    from suanwang.agent.home import NotEnrolled
    from suanwang.agent.spool import Spool

    where = _home(home)
    try:
        identity = where.identity()
    except NotEnrolled:
        typer.echo(f"not enrolled ({where.root})")
        raise typer.Exit(1) from None
    facts: dict[str, Any] = {
        "agent": identity.agent_id,
        "platform": identity.url,
        "pinned": bool(identity.platform_key),
        "running": _runs(where),
        "draining": where.drain_mark.exists(),
    }
    if where.spool.exists():
        spool = Spool(where.spool)
        facts |= spool.summary()
        spool.close()
        facts["drain_ordered"] = facts.get("drain_ordered") == "yes"
    if as_json:
        typer.echo(json.dumps(facts, ensure_ascii=False, indent=2))
        return
    typer.echo(f"agent         {facts['agent']}")
    typer.echo(f"platform      {facts['platform']}")
    typer.echo(f"running       {'yes' if facts['running'] else 'no'}")
    if "open_attempts" not in facts:
        typer.echo("it has not run yet")
        return
    if facts["draining"] or facts["drain_ordered"]:
        by = "here" if facts["draining"] else "by the platform"
        typer.echo(f"draining      no new work, ordered {by}")
    if facts.get("site_policy_wrong"):
        typer.echo(f"site.yaml     no new work, it is wrong: {facts['site_policy_wrong']}")
    if facts.get("engine_wrong"):
        typer.echo(f"engine        does not answer: {facts['engine_wrong']}")
    if facts.get("unknown_models"):
        typer.echo(f"not offered   cards the catalogue does not have: {facts['unknown_models']}")
    typer.echo(f"last report   {facts.get('last_report', 'never')}")
    typer.echo(f"isolation     {facts.get('isolation', 'unknown')}")
    typer.echo(f"attempts      {facts['open_attempts']} open")
    typer.echo(f"owed          {facts['events_owed']} states, {facts['usage_owed']} usage records")
    for refusal in facts["refusals"]:
        typer.echo(f"refused       {refusal['at']}  {refusal['code']}  {refusal['about']}")


def _home(given: Path | None) -> Home:
    from suanwang.agent.home import Home

    return Home(given.resolve()) if given is not None else Home.default()


def _runs(where: Home) -> bool:
    from suanwang.agent.home import AlreadyRunning

    try:
        os.close(where.lock())
    except AlreadyRunning:
        return True
    return False
