"""Best, highest, not twice, held against every claim: compared again it comes out the same."""

from __future__ import annotations

from datetime import date
from typing import Any

from suanwang.core.errors import SuanwangError
from suanwang.core.findings import SHOWN_MAX, Finding, Words
from suanwang.policy.decision import verdict
from suanwang.policy.overlap import Offer
from suanwang.vouchers.choice import FEE
from suanwang.vouchers.dealing import deal
from suanwang.vouchers.models import Claim, PolicyPackage
from suanwang.vouchers.policy_in_force import by_hash

Json = dict[str, Any]


def check_highest() -> Finding:
    """Of the policies that overlap on a fee line exactly one pays, and it is the highest (A30)."""
    checked, broken = 0, []
    claims = Claim.objects.exclude(comparison={}).select_related("voucher")
    for claim in claims.order_by("number").iterator(1000):
        checked += 1
        try:
            wrong = _wrong(claim)
        except (SuanwangError, PolicyPackage.DoesNotExist, KeyError, TypeError, ValueError) as why:
            wrong = f"cannot be compared again: {why!r}"
        if wrong:
            broken.append(f"claim {claim.number}: {wrong}")
    return Finding(
        "the_highest_of_overlapping_policies_pays",
        Words(
            zh="每条费用明细在有重叠的政策中只由最高的一项支持，重新比较结果相同。",
            en="Of policies that overlap on a fee line only the highest pays; compared again, too.",
        ),
        checked,
        broken[:SHOWN_MAX],
        "baoding-2024: funding clause",
    )


def _wrong(claim: Claim) -> str | None:
    kept: Json = claim.comparison
    own = f"{claim.voucher.policy}/{claim.voucher.measure}"
    on = date.fromisoformat(kept["on"])
    if kept["own"] != own or kept["offers"][0]["name"] != own:
        return "was compared for another policy than it is paid by"
    if kept["offers"][0]["package_hash"] != claim.package_id:
        return "was compared by other rules than it was decided by"
    if kept["on"] != claim.facts.get("filed_on"):
        return "was compared for another day than it was filed"
    live: list[Offer] = []
    for one in kept["offers"]:
        if wrong := _said_otherwise(one, on):
            return wrong
        if one["amount_fen"]:
            rest = {name: value for name, value in one["facts"].items() if name != FEE}
            live.append(Offer(by_hash(one["package_hash"]), one["measure"], rest, FEE))
    stands_on = {
        str(line): fee for line, fee in claim.lines.values_list("invoice_line_id", "fee_fen")
    }
    if len(live) < 2:
        return None if [offer.name for offer in live] == [own] else "another policy gives more"
    fees = {line["line"]: line["fee_fen"] for line in kept["lines"]}
    if any(sum(fees.values()) != one["facts"][FEE] for one in kept["offers"] if one["amount_fen"]):
        return "was compared for other fees than those of its lines"
    dealt = {line["line"]: line["chosen"] for line in kept["lines"]}
    sums = {offer.name: 0 for offer in live}
    for line, name in dealt.items():
        sums[name] += fees[line]
    if kept["awards"] != {offer.name: offer.award(sums[offer.name], on) for offer in live}:
        return "the policies give other amounts for its lines"
    if sum(deal(live, fees, on)[1].values()) > sum(kept["awards"].values()):
        return "its lines get more by another choice of policies"
    if {line: fees[line] for line, name in dealt.items() if name == own} != stands_on:
        return "stands on a line that another policy supports better"
    return None


def _said_otherwise(one: Json, on: date) -> str | None:
    """Whether a policy, asked again, says something else than what was kept."""
    try:
        amount, unmet = verdict(by_hash(one["package_hash"]), one["measure"], one["facts"], on)
    except SuanwangError as refusal:
        same = one["refusal"] is not None and one["refusal"]["code"] == refusal.code
        return None if same else f"{one['name']} cannot be asked again: {refusal}"
    if one["refusal"] is not None and one["facts"]:
        return f"{one['name']} gives an answer after all"
    if (amount, list(unmet)) != (one["amount_fen"], [entry["name"] for entry in one["unmet"]]):
        return f"{one['name']} gives {amount} fen, and not {one['amount_fen']}"
    return None
