"""``suanwang policy``: read, check, ask, print, prove and try out a policy, from the shell."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from suanwang.core.clock import CITY_ZONE
from suanwang.core.errors import Refused
from suanwang.core.money import format_yuan
from suanwang.core.refusals import Language, catalogue

if TYPE_CHECKING:
    from suanwang.policy import Package

WORDS: dict[Language, dict[str, str]] = {
    "zh": {
        "yes": "符合条件", "no": "不符合条件", "amount": "金额", "steps": "计算", "caps": "上限",
        "conditions": "条件", "needs": "须", "off": "差", "cut": "削减", "if": "若符合条件则为",
        "default": "按默认口径，未经主管部门确认", "hash": "政策包哈希", "clean": "没有错误",
    },
    "en": {
        "yes": "eligible", "no": "not eligible", "amount": "amount", "steps": "working",
        "caps": "caps", "conditions": "conditions", "needs": "needs", "off": "off by",
        "cut": "cut", "if": "if it were eligible",
        "default": "by default, not confirmed by the competent department",
        "hash": "package hash", "table": "condition|must be|article", "clean": "no mistakes",
    },
}  # fmt: skip

Package_ = Annotated[str, typer.Argument(metavar="PACKAGE", help="A folder, or a package's name.")]


def register(app: typer.Typer) -> None:
    """Add ``policy`` and its commands."""
    policy = typer.Typer(no_args_is_help=True, help="The policy as rules: decide, check, print.")
    policy.command("list")(list_)
    policy.command("print")(print_)
    for command in (check, decide, prove, mutate, simulate, publish):
        policy.command()(command)
    app.add_typer(policy, name="policy")


def list_() -> None:
    """The packages there are: name, validity, measures, hash, title."""
    from suanwang import policy

    for folder in policy.packages(home()):
        package = policy.load(folder)
        typer.echo(
            f"{package.name:<22} {package.valid_from} – {package.valid_to}  "
            f"{len(package.measures):>2}  {package.content_hash[:12]}  {package.title[language()]}"
        )


def check(packages: Annotated[list[str] | None, typer.Argument(metavar="PACKAGE")] = None) -> None:
    """Report every mistake of a package, or of all, with file and line; status 1 if any."""
    from suanwang import policy
    from suanwang.policy.check import check as check_package

    folders = [folder_of(name) for name in packages or []] or policy.packages(home())
    wrong = 0
    for folder in folders:
        _, mistakes = check_package(folder)
        for mistake in mistakes:
            words = catalogue()[mistake.code][language()].format(**mistake.facts)
            typer.echo(f"{mistake.place}: {words} [{mistake.code}]")
        wrong += len(mistakes)
        if not mistakes:
            typer.echo(f"{folder.name}: {WORDS[language()]['clean']}")
    raise typer.Exit(code=1 if wrong else 0)


def decide(
    package: Package_,
    facts: Annotated[Path, typer.Option(help="A JSON file of facts; - reads standard input.")],
    measure: Annotated[str, typer.Option(help="The measure, such as 5c.")] = "",
    on: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The whole decision as JSON.")] = False,
) -> None:
    """Decide a case and say why. The file holds the facts, or {measure, on, facts}."""
    from suanwang import policy

    given = read_facts(facts)
    asked = measure or str(given.get("measure", ""))
    day = on.date() if on else _day(given)
    if not asked:
        raise Refused("policy_measure_missing")
    known = given.get("facts", given)
    decision = policy.load(folder_of(package)).decide(asked, known, on=day)
    if as_json:
        typer.echo(json.dumps(decision.as_json(), ensure_ascii=False, indent=2))
        return
    for line in _lines(decision.as_json(), language()):
        typer.echo(line)


def print_(
    package: Package_,
    measure: Annotated[str, typer.Option(help="One measure; all without it.")] = "",
    tongue: Annotated[str, typer.Option("--language", help="zh or en.")] = "",
    on: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day.")] = None,
) -> None:
    """Print measures as a sentence, a formula and a decision table."""
    from rich.console import Console
    from rich.table import Table

    from suanwang import policy
    from suanwang.policy.printing import print_measure

    spoken: Language = "zh" if (tongue or language()) == "zh" else "en"
    wanted = policy.load(folder_of(package))
    console = Console()
    for name in [measure] if measure else wanted.measures:
        printed = print_measure(wanted, name, spoken, _day_of(wanted, on))
        console.print(f"{name}  {printed.article}", style="bold", highlight=False)
        console.print(printed.sentence, highlight=False, markup=False)
        for line in printed.formula:
            console.print(f"  {line}", highlight=False, markup=False)
        table = Table(*WORDS[spoken]["table"].split("|"))
        for row in printed.table:
            table.add_row(row.asked, row.holds, row.article)
        table.add_row("→", printed.outcome, "")
        console.print(table)
        for line in printed.terms:
            console.print(f"  {line}", highlight=False, markup=False)


def prove(
    package: Package_,
    on: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day.")] = None,
) -> None:
    """Prove every promise of a package for every case; status 1 and the case if one fails."""
    from suanwang import policy
    from suanwang.policy.prove import prove as proofs

    wanted = policy.load(folder_of(package))
    failed = 0
    for proof in proofs(wanted, _day_of(wanted, on)):
        mark = {"holds": "✓", "broken": "✗"}.get(proof.verdict, "?")
        typer.echo(f"{mark} {proof.measure:<8} {proof.label[language()]}  ({proof.name})")
        if proof.verdict != "holds":
            failed += 1
            typer.echo(f"    {proof.verdict} {json.dumps(dict(proof.counterexample))}")
    raise typer.Exit(code=1 if failed else 0)


def mutate(
    package: Package_,
    on: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day.")] = None,
) -> None:
    """Make every small slip in turn; print the share that a case or a proof catches."""
    from collections import Counter

    from suanwang import policy
    from suanwang.policy.mutate import mutate as slips

    wanted = policy.load(folder_of(package))
    made: Counter[str] = Counter()
    caught: Counter[str] = Counter()
    for judged in slips(wanted, _day_of(wanted, on)):
        kind = judged.mutant.kind
        made[kind] += 1
        caught[kind] += bool(judged.caught_by)
        if not judged.caught_by:
            place = ".".join(map(str, judged.mutant.path))
            typer.echo(f"✗ {kind}  {place}: {judged.mutant.before} → {judged.mutant.after}")
    for kind, count in made.most_common():
        typer.echo(f"{kind:<18} {caught[kind]:>4} / {count}")
    total = caught.total() / max(1, made.total())
    typer.echo(f"{caught.total()} / {made.total()} = {total:.1%}")
    raise typer.Exit(code=0 if caught.total() == made.total() else 1)


def simulate(
    package: Package_,
    population: Annotated[str, typer.Option(help="A CSV of facts, or synthetic:N.")],
    change: Annotated[
        list[str] | None, typer.Option("--set", help="A parameter: voucher.use_ratio=0.4")
    ] = None,
    on: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day.")] = None,
    to: Annotated[Path | None, typer.Option("--csv", help="Write the table here too.")] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a report with charts here, in one file.")
    ] = None,
    tongue: Annotated[str, typer.Option("--lang", help="zh or en.")] = "",
) -> None:
    """What if? Compare today's rules with changed ones over a population and a year."""
    from suanwang import policy
    from suanwang.cli.what_if import population_of, report
    from suanwang.policy.what_if import changes_of, csv_text, what_if

    wanted = policy.load(folder_of(package))
    day = _day_of(wanted, on)
    units = population_of(wanted, population, day)
    found = what_if(wanted, changes_of(wanted, change or []), units, day)
    spoken: Language = "zh" if (tongue or language()) == "zh" else "en"
    for line in report(found, spoken):
        typer.echo(line)
    if to is not None:
        to.write_text(csv_text(found), encoding="utf-8", newline="")
    if html is not None:
        from suanwang.policy.what_if_html import page

        html.write_text(page(found, spoken), encoding="utf-8")


def publish(
    package: Package_,
    to: Annotated[Path | None, typer.Option(help="A file; standard output without it.")] = None,
) -> None:
    """The package as open data: JSON with its content hash and the schema of its facts."""
    from suanwang import policy
    from suanwang.policy.publish import publish_text

    text = publish_text(policy.load(folder_of(package)))
    if to is None:
        typer.echo(text, nl=False)
    else:
        to.write_text(text, encoding="utf-8")


def _day_of(package: Package, on: datetime | None) -> date:
    """The day asked for; else today, or the nearest day on which the policy is in force."""
    day = on.date() if on else datetime.now(CITY_ZONE).date()
    return day if on else min(max(day, package.valid_from), package.valid_to)


def _day(given: Mapping[str, Any]) -> date:
    try:
        if "on" in given:
            return date.fromisoformat(str(given["on"]))
        return datetime.now(CITY_ZONE).date()
    except ValueError:
        raise Refused("policy_day_unreadable", found=str(given["on"])[:40]) from None


def _lines(decision: dict[str, Any], tongue: Language) -> list[str]:
    """A decision for the terminal."""
    words = WORDS[tongue]

    def article(part: Mapping[str, Any]) -> str:
        return str(decision["articles"].get(part["article"], {}).get(tongue, part["article"]))

    verdict = words["yes"] if decision["eligible"] else words["no"]
    lines = [f"{decision['measure']}  {decision['title'][tongue]}  ({article(decision)})"]
    lines.append(f"{verdict}; {words['amount']} {format_yuan(decision['amount_fen'])}")
    if not decision["eligible"]:
        lines.append(f"  {words['if']}: {format_yuan(decision['amount_if_eligible_fen'])}")
    lines.append(words["conditions"])
    for condition in decision["conditions"]:
        mark = "✓" if condition["met"] else "✗"
        lines.append(f"  {mark} {condition['label'][tongue]}  ({article(condition)})")
        for gap in condition["gaps"]:
            off = f", {words['off']} {gap['by']} {gap['unit']}" if gap["by"] is not None else ""
            needed = f"{words['needs']} {gap['sign']} {gap['needs']}"
            lines.append(f"      {gap['has']} = {gap['has_value']}; {needed}{off}")
    lines.append(words["steps"])
    for step in decision["steps"]:
        inputs = ", ".join(f"{name} = {value}" for name, value in step["inputs"].items())
        lines.append(f"  {step['label'][tongue]} = {step['value']}  ({article(step)})")
        lines.append(f"      {step['formula']}    [{inputs}]")
    lines.append(words["caps"])
    for cap in decision["caps"]:
        cut = f"; {words['cut']} {format_yuan(cap['cut_fen'])}" if cap["cut_fen"] else ""
        lines.append(f"  {cap['label'][tongue]}: {format_yuan(cap['limit_fen'])}{cut}")
    lines.append(words["default"])
    for parameter in decision["unconfirmed"]:
        lines.append(
            f"  {parameter['decision']:<4} {parameter['label'][tongue]}: {parameter['value']}"
        )
    lines.append(f"{words['hash']} {decision['package_hash']}")
    return lines


def read_facts(path: Path) -> dict[str, Any]:
    """Facts from JSON; decimals stay as written, never floats."""
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
        given = json.loads(text, parse_float=str, parse_constant=str)
    except (OSError, ValueError) as wrong:
        raise Refused("policy_facts_unreadable", file=str(path), problem=str(wrong)) from wrong
    if not isinstance(given, dict) or not isinstance(given.get("facts", {}), dict):
        raise Refused("policy_facts_unreadable", file=str(path), problem="not a JSON object")
    return given


def home() -> Path:
    """Where the packages are: set, of this checkout, or shipped in the wheel."""
    if told := os.environ.get("SUANWANG_POLICIES_DIR"):
        return Path(told)
    of_checkout = Path(__file__).parents[3] / "policies"
    return of_checkout if of_checkout.is_dir() else Path(__file__).parents[1] / "_policies"


def folder_of(name: str) -> Path:
    """The folder of a package given by name or by path."""
    return Path(name) if (Path(name) / "policy.yaml").is_file() else home() / name


def language() -> Language:
    """The language of this terminal."""
    from suanwang.cli import language as of_terminal

    return of_terminal()
