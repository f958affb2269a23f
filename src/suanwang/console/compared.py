"""Why one policy pays and not another: a stored comparison in the reader's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from suanwang.console.language import short
from suanwang.console.why import localised
from suanwang.core.errors import SuanwangError
from suanwang.core.refusals import explain

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Policy:
    """One policy beside a claim."""

    name: str
    policy: str
    title: str
    article: str
    lead: str
    whole_fen: int
    """What it would give for all the lines together."""
    taken_fen: int | None
    """What it gives in the choice that was made; None if no line went to it."""
    reasons: list[str]
    """Why it gives nothing."""
    cut_by: list[tuple[str, int]]
    unconfirmed: int


@dataclass(frozen=True)
class Line:
    """One line, and what each policy would give for it alone."""

    number: str
    fee_fen: int
    alone: list[int]
    chosen: str
    own: bool


@dataclass(frozen=True)
class Compared:
    """All policies beside a claim, the claim's own first; lines only if several give something."""

    policies: list[Policy]
    columns: list[str]
    lines: list[Line]
    exact: bool
    contested: bool


def compared(kept: Json | None) -> Compared | None:
    """The comparison that was kept with a claim; None where there is none."""
    if not kept or not kept.get("offers"):
        return None
    live = [one for one in kept["offers"] if one["amount_fen"]]
    titles = {one["name"]: localised(one["policy_title"]) for one in kept["offers"]}
    used = {line["chosen"] for line in kept["lines"]} or {kept["own"]}
    return Compared(
        policies=[_policy(one, kept, used) for one in kept["offers"]],
        columns=[titles[one["name"]] for one in live],
        lines=[
            Line(
                number=line["number"],
                fee_fen=line["fee_fen"],
                alone=[line["alone"][one["name"]] for one in live],
                chosen=titles[line["chosen"]],
                own=line["chosen"] == kept["own"],
            )
            for line in kept["lines"]
        ],
        exact=kept["exact"],
        contested=len(live) > 1,
    )


def _policy(one: Json, kept: Json, used: set[str]) -> Policy:
    refusal = one["refusal"]
    reasons = [localised(condition["label"]) for condition in one["unmet"]]
    if refusal:
        reasons = [explain(SuanwangError(refusal["code"], **refusal["facts"]), short())]
    return Policy(
        name=one["name"],
        policy=localised(one["policy_title"]),
        title=localised(one["title"]),
        article=localised(one["article"]),
        lead=localised(one["lead"]),
        whole_fen=one["amount_fen"],
        taken_fen=kept["awards"].get(one["name"], 0) if one["name"] in used else None,
        reasons=reasons,
        cut_by=[(localised(cut["label"]), cut["cut_fen"]) for cut in one["cuts"]],
        unconfirmed=one["unconfirmed"],
    )
