"""``suanwang agent``: the process inside a centre."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from suanwang.agent.home import Home

_HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help="Where the agent lives; default $SUANWANG_HOME/agent."),
]


def register(app: typer.Typer) -> None:
    """Add the topic to the command line."""
    topic = typer.Typer(help="Run this machine's part of a centre.", no_args_is_help=True)
    topic.command()(enrol)
    topic.command()(run)
    topic.command()(status)
    app.add_typer(topic, name="agent")


def enrol(
    url: Annotated[str, typer.Option(help="The platform's address.")],
    token: Annotated[str, typer.Option(envvar="SUANWANG_AGENT_TOKEN", help="The one-time token.")],
    home: _HomeOption = None,
) -> None:
    """Make a key, hand its public half in with the token, and remember the name given."""
    from suanwang.agent.client import PlatformClient, PlatformRefused, PlatformUnavailable
    from suanwang.agent.home import Identity

    where = _home(home)
    try:
        client = PlatformClient(url, where.key())
        answer = client.enrol(token)
    except (PlatformRefused, PlatformUnavailable, ValueError, OSError) as error:
        typer.echo(f"not enrolled: {error}", err=True)
        raise typer.Exit(1) from None
    where.remember(
        Identity(url=url, agent_id=str(answer.agent_id), cluster_id=str(answer.cluster_id))
    )
    typer.echo(f"enrolled as {answer.agent_id}; start it with: suanwang agent run")


def run(
    home: _HomeOption = None,
    cores: Annotated[int | None, typer.Option(min=1, help="Offer at most so many.")] = None,
    memory_mib: Annotated[int | None, typer.Option(min=16, help="Offer at most so much.")] = None,
    read_only: Annotated[
        list[Path] | None, typer.Option(help="A further folder every job may read.")
    ] = None,
    stop_jobs: Annotated[
        bool, typer.Option("--stop-jobs", help="End the jobs when this agent is stopped.")
    ] = False,
    tied_to: Annotated[
        int | None, typer.Option(help="End, with all jobs, when this process is gone.")
    ] = None,
    sandbox: Annotated[str, typer.Option(help="auto, or session to do without.")] = "auto",
    wait_seconds: Annotated[
        int, typer.Option(min=0, max=25, help="How long to wait at the platform's door.")
    ] = 20,
) -> None:
    """Take work and run it until stopped. Jobs go on without the agent, unless told otherwise."""
    import logging
    import signal

    from suanwang.agent.home import AlreadyRunning, NotEnrolled
    from suanwang.agent.process import Agent
    from suanwang.engines.local.build import LocalSettings
    from suanwang.engines.local.engine import LocalEngine

    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", force=True
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    where = _home(home)
    settings = LocalSettings(
        where.engine,
        cores=cores,
        memory_mib=memory_mib,
        read_only=tuple(str(path.resolve()) for path in read_only or ()),
        tied_to=tied_to,
        sandbox=sandbox,
    )
    try:
        where.identity()
        engine = LocalEngine(settings)
        agent = Agent(
            where, engine, stop_jobs=stop_jobs, tied_to=tied_to, wait_seconds=wait_seconds
        )
    except NotEnrolled:
        typer.echo(f"no identity in {where.root}; run: suanwang agent enrol", err=True)
        raise typer.Exit(1) from None
    except AlreadyRunning:
        typer.echo(f"an agent already runs in {where.root}", err=True)
        raise typer.Exit(1) from None
    for note in engine.capabilities().notes:
        logging.getLogger("suanwang.agent").warning("isolation: %s", note)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.stop())
    agent.run()


def status(home: _HomeOption = None) -> None:
    """Who this agent is, what it runs, what it still owes the platform, what was refused."""
    from suanwang.agent.home import NotEnrolled
    from suanwang.agent.spool import Spool

    where = _home(home)
    try:
        identity = where.identity()
    except NotEnrolled:
        typer.echo(f"not enrolled ({where.root})")
        raise typer.Exit(1) from None
    typer.echo(f"agent         {identity.agent_id}")
    typer.echo(f"platform      {identity.url}")
    typer.echo(f"running       {'yes' if _runs(where) else 'no'}")
    if not where.spool.exists():
        typer.echo("it has not run yet")
        return
    spool = Spool(where.spool)
    facts = spool.summary()
    spool.close()
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
