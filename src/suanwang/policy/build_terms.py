"""Reading what a policy says beside its rules: pools, recovery, stages, and the funding table."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from fractions import Fraction
from itertools import pairwise

from suanwang.policy.parts import DivisionRow, FundingRule, Series
from suanwang.policy.reader import Reader
from suanwang.policy.terms import REFUNDS, STAGES, WHEN_DRY, Pool, Recovery, Stage

Parameters = Mapping[str, Series]
SELF, ABOVE = "self", "above"
"""Which division stands for a level: the applicant's own, or the one its row names as above it."""


def read_pools(
    policy: Reader, parameters: Parameters, facts: Mapping[str, object]
) -> dict[str, Pool]:
    """The pools of ``policy.yaml`` by name."""
    pools = {}
    for name, entry in policy.named("pools"):
        arrival = entry.maybe("arrival")
        if arrival and arrival.text() not in facts:
            arrival.wrong("policy_name_unknown", name=arrival.value)
        pools[name] = Pool(
            name=name,
            label=entry.at("label").words(),
            article=entry.at("article").text(),
            year_fen=_parameter(entry, "year_fen", parameters, "number"),
            carry_over=_parameter(entry, "carry_over", parameters, "bool"),
            when_dry=_choice(entry, "when_dry", parameters, WHEN_DRY),
            last_year=_parameter(entry, "last_year", parameters, "bool", needed=False),
            arrival=arrival.text() if arrival else "",
            path=entry.path,
        )
        entry.closed()
    return pools


def read_recovery(policy: Reader, parameters: Parameters) -> Recovery | None:
    """How paid money comes back, if the policy says so."""
    entry = policy.maybe("recovery")
    if entry is None:
        return None
    recovery = Recovery(
        article=entry.at("article").text(),
        block_years=_parameter(entry, "block_years", parameters, "number"),
        refunds=_choice(entry, "refunds", parameters, REFUNDS),
    )
    entry.closed()
    return recovery


def read_stages(measure: Reader) -> tuple[Stage, ...]:
    """What a claim must pass between filing and payment. Names are checked with the package."""
    stages = []
    for entry in measure.some("procedure"):
        days = entry.maybe("days")
        stages.append(
            Stage(
                name=entry.at("stage").one_of(*STAGES),
                label=entry.at("label").words(),
                article=entry.at("article").text(),
                by=entry.at("by").text(),
                days=days.text() if days else "",
                path=entry.path,
            )
        )
        entry.closed()
    return tuple(stages)


def _parameter(
    entry: Reader, key: str, parameters: Parameters, kind: str, *, needed: bool = True
) -> str:
    if not needed and not entry.has(key):
        return ""
    part = entry.at(key)
    name = part.text()
    series = parameters.get(name)
    if series is None:
        part.wrong("policy_name_unknown", name=name)
    elif series.type.kind != kind:
        part.wrong("policy_type_wrong", expected=kind, found=series.type.shown)
    return name


def _choice(entry: Reader, key: str, parameters: Parameters, known: tuple[str, ...]) -> str:
    """A parameter whose readings are all ones the engine carries out."""
    name = _parameter(entry, key, parameters, "choice")
    series = parameters.get(name)
    for code in series.readings if series else ():
        if code not in known:
            entry.at(key).wrong("policy_code_unknown", found=code, choice=" | ".join(known))
    return name


def read_levels(divisions: Reader) -> dict[str, str]:
    """Which division bears the part of each level: a code, ``self`` or ``above``."""
    return {level: who.text() for level, who in divisions.named("levels")}


def read_divisions(reader: Reader, levels: Mapping[str, str]) -> dict[str, DivisionRow]:
    """The funding table: its rules, and the row of every division."""
    rules = {name: _funding(name, entry, levels) for name, entry in reader.at("funding").entries()}
    rows: dict[str, DivisionRow] = {}
    for entry in reader.at("units").items():
        code = entry.at("code").text()
        above = entry.maybe("above")
        rows[code] = DivisionRow(
            code=code,
            name=entry.at("name").words(),
            kind=entry.at("kind").text(),
            in_scope=entry.at("in_scope").truth(),
            terms=_terms(entry.at("funding"), rules),
            above=above.text() if above else "",
        )
        entry.closed()
    return rows


def _terms(
    entry: Reader, rules: Mapping[str, FundingRule]
) -> tuple[tuple[date, FundingRule | None], ...]:
    """One rule for all days, or a list of rules each from a day on."""
    if not isinstance(entry.value, list):
        return ((date.min, rules.get(entry.one_of(*rules, "none"))),)
    terms = []
    for item in entry.items():
        terms.append((item.at("from").day(), rules.get(item.at("rule").one_of(*rules, "none"))))
        item.closed()
    for (earlier, _), (later, _) in pairwise(terms):
        if later <= earlier:
            entry.wrong("policy_values_out_of_order", name="funding", since=later)
    return tuple(terms) or ((date.min, None),)


def _funding(name: str, entry: Reader, levels: Mapping[str, str]) -> FundingRule:
    """A rule by shares (``1/2``), by ratio (``1 : 1``) or as a stack of parts of the award."""
    shares = {level: share.exact() for level, share in entry.named("shares")}
    ratio = {level: part.exact() for level, part in entry.named("ratio")}
    stack = tuple((level, step.text()) for level, step in entry.named("stack"))
    if ratio and (whole := sum(ratio.values())) > 0:
        shares = {level: part / whole for level, part in ratio.items()}
    if shares and sum(shares.values()) != 1:
        entry.wrong("policy_shares_not_whole", found=sum(shares.values()))
    confirmed = entry.at("status").one_of("confirmed", "to_confirm") == "confirmed"
    if confirmed == (not shares and not stack):
        entry.wrong("policy_entry_missing", entry="shares | ratio | stack")
    for level in (*shares, *(level for level, _ in stack)):
        if level not in levels:
            entry.wrong("policy_name_unknown", name=level)
    if min((*shares.values(), Fraction(0))) < 0:
        entry.wrong("policy_shares_not_whole", found=min(shares.values()))
    rule = FundingRule(
        name=name,
        label=entry.at("label").words(),
        article=entry.at("article").text(),
        status="confirmed" if confirmed else "to_confirm",
        shares=shares,
        stack=stack,
        source=entry.at("source").text(),
    )
    entry.closed()
    return rule
