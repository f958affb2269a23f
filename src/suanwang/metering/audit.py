"""The promises of metering held against every row, from signature to payment. Reads only."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from heapq import merge

from suanwang.core.findings import SHOWN_MAX, Check, Finding, Words
from suanwang.core.money import round_fen
from suanwang.core.signed import FIRST_PREVIOUS_HASH, record_hash
from suanwang.metering import audit_sql as sql
from suanwang.metering.held import held
from suanwang.metering.models import Charge, RefusedUsage, UsageRecord
from suanwang.metering.pricing import BY_HAND, rated_again
from suanwang.metering.records import signed
from suanwang.registry.models import SiteAgent

BY_EYE = (*BY_HAND, Charge.Basis.CORRECTED)
"""Amounts that are not the sum of their parts: what a person decided, and differences."""


def checks() -> tuple[Check, ...]:
    """All checks of this room, in the order they are best read."""
    return (
        check_usage_chains,
        check_usage_possible,
        check_amounts,
        check_settled_whole,
        check_settlements,
        check_holds,
        check_earnings,
        check_clearing,
        check_invoices,
        check_numbers,
        check_payments,
    )


def check_usage_chains() -> Finding:
    """Invariant 7, for what agents sent."""
    checked, broken = 0, []
    for agent in SiteAgent.objects.order_by("pk"):
        expected, previous = 1, FIRST_PREVIOUS_HASH
        for row in _chain(agent):
            checked += 1
            wrong = _wrong_link(row, agent, expected, previous)
            if wrong:
                broken.append(f"agent {agent.pk} record {row.sequence}: {wrong}")
            expected, previous = row.sequence + 1, row.hash
    return Finding(
        "usage_is_chained_and_signed",
        Words(
            zh="每个站点代理的用量记录序号连续、哈希衔接、签名有效，内容与所签一致。",
            en="The records of every agent are numbered without a gap, chained and signed by it.",
        ),
        checked,
        broken[:SHOWN_MAX],
    )


def _chain(agent: SiteAgent) -> Iterator[UsageRecord | RefusedUsage]:
    """Everything an agent sent, counted or refused, in its order."""
    return merge(
        UsageRecord.objects.filter(agent=agent).order_by("sequence").iterator(chunk_size=2000),
        RefusedUsage.objects.filter(agent=agent).order_by("sequence").iterator(chunk_size=2000),
        key=lambda row: row.sequence,
    )


def _wrong_link(
    row: UsageRecord | RefusedUsage, agent: SiteAgent, expected: int, previous: str
) -> str | None:
    if row.sequence != expected:
        return f"{expected} is missing"
    if row.previous_hash != previous or row.hash != record_hash(previous, row.sent):
        return "does not follow from the one before it"
    if not signed(row.hash, row.signature, agent.public_key):
        return "is not signed by this agent"
    if str(row.record_id) != row.sent["record_id"]:
        return "is stored under another id than it was sent"
    if isinstance(row, UsageRecord) and (
        row.quantity,
        row.meter,
        str(row.attempt_id),
        row.sequence,
    ) != tuple(row.sent[name] for name in ("quantity", "meter", "attempt_id", "sequence")):
        return "counts something else than what was signed"
    return None


def check_usage_possible() -> Finding:
    """Nobody is charged for more than a job was given."""
    return held(
        "usage_is_possible",
        Words(
            zh="每条用量都不超过所分配资源在该时段内的最大值。",
            en="No quantity is more than what was allocated could use in its period.",
        ),
        sql.COUNT_USAGE,
        sql.IMPOSSIBLE_USAGE,
    )


def check_amounts() -> Finding:
    """Every charge again: from the quantity and the prices, and from its own parts."""
    checked, broken = 0, []
    for charge, amount in rated_again(Charge.objects.order_by("pk")):
        checked += 1
        if amount is None:
            broken.append(f"charge {charge.pk}: no price is to be found for it any more")
        elif amount != charge.amount_fen:
            broken.append(f"charge {charge.pk}: {charge.amount_fen} fen, priced again {amount}")
        elif charge.basis not in BY_EYE and _parts(charge) != charge.amount_fen:
            broken.append(f"charge {charge.pk}: its parts do not add up to it")
    return Finding(
        "charges_follow_from_prices",
        Words(
            zh="每笔费用按用量与当时有效价格重新计算，结果相同。",
            en="Every charge comes out the same when priced again by the prices of its moment.",
        ),
        checked,
        broken[:SHOWN_MAX],
    )


def _parts(charge: Charge) -> int:
    exact = (
        Fraction(part["quantity"]) * part["price_fen"] / part["per_quantity"]
        for part in charge.parts
    )
    return round_fen(sum(exact, Fraction(0)), "half_up")


def check_settled_whole() -> Finding:
    """Fail closed: nothing of a settled job was left out as if it were free."""
    return held(
        "nothing_settled_is_unrated",
        Words(
            zh="已结算作业的用量要么已计费，要么在运营方待处理清单中。",
            en="All usage of a settled job is rated, or waits in the operator's inbox.",
        ),
        sql.COUNT_SETTLED_USAGE,
        sql.UNRATED_IN_SETTLED,
    )


def check_settlements() -> Finding:
    """sum(charges) = settlement = what left the budget = what providers earned, job by job."""
    return held(
        "charges_equal_the_ledger",
        Words(
            zh="每个已结算作业：费用合计、结算额、账簿扣款、供给方所得，四者相等。",
            en="Of every settled job: charges, settlement, what was posted and earned are equal.",
        ),
        sql.COUNT_SETTLEMENTS,
        sql.UNEVEN_SETTLEMENTS,
    )


def check_holds() -> Finding:
    """No hold was used up outside a settlement."""
    return held(
        "holds_are_posted_by_settlements",
        Words(
            zh="作业冻结额度只因结算而扣款。",
            en="The hold of a job was posted by its settlement and by nothing else.",
        ),
        sql.COUNT_SETTLEMENTS,
        sql.STRAY_POSTS,
    )


def check_earnings() -> Finding:
    """Each provider got exactly its own part."""
    return held(
        "providers_earn_their_charges",
        Words(
            zh="每个作业中，每个供给方所得等于其费用。",
            en="Of every job each provider earned exactly its own charges.",
        ),
        sql.COUNT_EARNINGS,
        sql.WRONG_EARNINGS,
    )


def check_clearing() -> Finding:
    """Money passes through clearing and never stays there."""
    return held(
        "clearing_is_empty",
        Words(
            zh="待清算账户的已入账金额进出相等。",
            en="Everything posted to the clearing account was passed on.",
        ),
        sql.COUNT_CLEARING,
        sql.CLEARING_LEFT,
    )


def check_invoices() -> Finding:
    """sum(lines) = total; each line is its charge, of the same parties, of a settled job."""
    return held(
        "invoices_equal_their_lines",
        Words(
            zh="账单总额等于明细合计，每条明细与其费用一致。",
            en="The total of an invoice is the sum of its lines, and each line is its charge.",
        ),
        sql.COUNT_INVOICES,
        sql.WRONG_INVOICES,
    )


def check_numbers() -> Finding:
    """No invoice disappeared."""
    return held(
        "invoice_numbers_have_no_gap",
        Words(
            zh="账单编号连续，没有缺号。",
            en="Invoices are numbered without a gap.",
        ),
        sql.COUNT_SERIES,
        sql.NUMBER_GAPS,
    )


def check_payments() -> Finding:
    """Paid ⇔ one payment of the whole total ⇔ one transfer from the bank to the user's budget."""
    return held(
        "payments_are_whole_and_in_the_ledger",
        Words(
            zh="已付账单恰有一笔足额付款，并恰有一笔对应的账簿转账。",
            en="A paid invoice has one payment of the whole total, and it is in the ledger.",
        ),
        sql.COUNT_PAYMENTS,
        sql.WRONG_PAYMENTS,
    )
