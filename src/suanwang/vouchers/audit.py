"""The promises of vouchers held against every row. Reads only."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

from suanwang import policy
from suanwang.core.errors import SuanwangError
from suanwang.core.findings import SHOWN_MAX, Check, Finding, Words
from suanwang.metering.held import held
from suanwang.metering.rules import city_day
from suanwang.vouchers import audit_sql as sql
from suanwang.vouchers import certificate
from suanwang.vouchers.audit_choice import check_highest
from suanwang.vouchers.models import Claim, PolicyPackage, Voucher
from suanwang.vouchers.platform_key import public_key
from suanwang.vouchers.policy_in_force import by_hash

ARTICLE_5 = "baoding-2024: 5"


def checks() -> tuple[Check, ...]:
    """All checks of this room, in the order they are best read."""
    return (
        check_numbers,
        check_certificates,
        check_packages,
        check_decisions,
        check_reserves,
        check_approvals_counted,
        check_highest,
        check_lines_once,
        check_lines_paid,
    )


def check_numbers() -> Finding:
    """granted = available + reserved + redeemed + expired, and each is what the claims say."""
    return held(
        "voucher_numbers_add_up",
        Words(
            zh="每张算力券：面额＝可用＋已冻结＋已兑付＋已失效，且与兑付申请一致。",
            en="Of every voucher: face = available + reserved + redeemed + expired, as its claims.",
        ),
        sql.COUNT_VOUCHERS,
        sql.WRONG_NUMBERS,
        ARTICLE_5,
    )


def check_certificates() -> Finding:
    """Every certificate is the platform's and says what the voucher is."""
    checked, broken, key = 0, [], public_key()
    for voucher in Voucher.objects.order_by("number").iterator(chunk_size=2000):
        checked += 1
        if not certificate.genuine(voucher.stated, voucher.signature, key):
            broken.append(f"voucher {voucher.number}: its certificate is not signed by us")
        elif _stated(voucher) != {name: voucher.stated[name] for name in _stated(voucher)}:
            broken.append(f"voucher {voucher.number}: is not what its certificate says")
    return Finding(
        "certificates_are_genuine",
        Words(
            zh="每张电子权益凭证签名有效，且与算力券一致。",
            en="Every certificate is signed by the platform and says what the voucher is.",
        ),
        checked,
        broken[:SHOWN_MAX],
    )


def _stated(voucher: Voucher) -> dict[str, object]:
    return {
        "number": voucher.number,
        "face_fen": voucher.face_fen,
        "policy": voucher.policy,
        "measure": voucher.measure,
        "package_hash": voucher.package_hash,
        "year": voucher.year,
    }


def check_packages() -> Finding:
    """A policy that something was decided by is still what it was."""
    checked, broken = 0, []
    for row in PolicyPackage.objects.order_by("pk"):
        checked += 1
        try:
            same = policy.load_published(json.dumps(row.published)).content_hash == row.hash
        except SuanwangError:
            same = False
        if not same:
            broken.append(f"package {row.hash[:12]} of {row.name}: is not what its hash says")
    return Finding(
        "packages_keep_their_content",
        Words(
            zh="作出决定所依据的政策文本与其哈希一致。",
            en="The policies that decisions rest on are what their hashes say.",
        ),
        checked,
        broken[:SHOWN_MAX],
    )


def check_decisions() -> Finding:
    """Invariant 11: the same rules, day and facts give the same amount and the same reasons."""
    checked, broken = 0, []
    for claim in Claim.objects.select_related("voucher").order_by("number").iterator(1000):
        checked += 1
        wrong = _decided_otherwise(claim)
        if wrong:
            broken.append(f"claim {claim.number}: {wrong}")
    return Finding(
        "claims_are_decided_again_alike",
        Words(
            zh="每笔兑付按当时的政策与事实重新计算，金额与理由相同。",
            en="Every claim decided again by its policy and facts has the same amount and reasons.",
        ),
        checked,
        broken[:SHOWN_MAX],
        ARTICLE_5,
    )


def _decided_otherwise(claim: Claim) -> str | None:
    facts: dict[str, Any] = claim.facts
    if claim.package_id is None:
        return "nobody kept the policy it was decided by"
    if facts.get("filed_on") != city_day(claim.filed_at).isoformat():
        return "was decided for another day than it was filed"
    if facts.get("paid_fee_fen") != claim.paid_fee_fen:
        return "was decided for other fees than it stands on"
    try:
        again = by_hash(claim.package_id).decide(
            claim.voucher.measure, facts, on=date.fromisoformat(facts["filed_on"])
        )
    except (SuanwangError, PolicyPackage.DoesNotExist) as refusal:
        return f"cannot be decided again: {refusal}"
    if not again.eligible or again.amount_fen != claim.amount_fen:
        return f"{claim.amount_fen} fen, decided again {again.amount_fen}"
    if _trace(again.as_json()) != _trace(claim.decision):
        return "the reasons that were given are not those of the policy"
    return None


_TRACED = {
    "steps": ("name", "article", "value"),
    "conditions": ("name", "article", "met"),
    "caps": ("name", "limit_fen", "cut_fen"),
}


def _trace(decision: dict[str, Any]) -> dict[str, Any]:
    """What a decision rests on, without its words: those may be put better one day."""
    trace: dict[str, Any] = {
        name: decision.get(name) for name in ("amount_fen", "eligible", "package_hash", "facts")
    }
    for part, names in _TRACED.items():
        trace[part] = [[row.get(name) for name in names] for row in decision.get(part, [])]
    return trace


def check_reserves() -> Finding:
    """Each state of a claim has its one state in the ledger."""
    return held(
        "claims_stand_in_the_ledger",
        Words(
            zh="每笔兑付申请的状态与账簿中的冻结一致。",
            en="Every claim has its reserve in the ledger: open, posted or released as it stands.",
        ),
        sql.COUNT_CLAIMS,
        sql.WRONG_RESERVES,
    )


def check_approvals_counted() -> Finding:
    """Invariant 4, from the side of the claims."""
    return held(
        "approvals_count_against_the_cap",
        Words(
            zh="每笔核准金额都计入单位年度上限。",
            en="Every approved amount was counted against the unit's cap of the year.",
        ),
        sql.COUNT_CLAIMS,
        sql.UNCOUNTED_APPROVALS,
        ARTICLE_5,
    )


def check_lines_once() -> Finding:
    """Invariant 10: one fee, one award."""
    return held(
        "a_fee_is_claimed_once",
        Words(
            zh="没有一条账单明细同时处于两个有效的兑付申请中。",
            en="No line of an invoice stands under two live claims.",
        ),
        sql.COUNT_LINES,
        sql.CLAIMED_TWICE,
        ARTICLE_5,
    )


def check_lines_paid() -> Finding:
    """Invariant 9: first paid in full, then claimed."""
    return held(
        "claimed_fees_were_paid_first",
        Words(
            zh="兑付申请所依据的账单均属本单位且先已付清，金额相符。",
            en="Claims stand on own invoices that were fully paid before, for their very fees.",
        ),
        sql.COUNT_LINES,
        sql.UNPAID_LINES,
        ARTICLE_5,
    )
