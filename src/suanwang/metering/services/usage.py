"""Take what agents measured: verified link by link, counted once, quantities only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db import transaction

from suanwang.core.errors import Refused
from suanwang.core.signed import FIRST_PREVIOUS_HASH
from suanwang.jobs.models import Attempt
from suanwang.metering import rules
from suanwang.metering.effects import rate_soon
from suanwang.metering.models import RefusedUsage, UsageRecord
from suanwang.metering.pricing import allocation
from suanwang.metering.records import SentRecord, linked, read_record, signed
from suanwang.registry.models import SiteAgent


@dataclass
class _Chain:
    """The end of an agent's chain and what it already holds, while a batch is taken."""

    agent: SiteAgent
    sequence: int
    hash: str
    known: dict[UUID, UsageRecord | RefusedUsage]
    attempts: dict[UUID, Attempt]
    metered: set[tuple[UUID, str]]
    corrected: set[UUID]
    """Records that are replaced already."""
    taken: list[UsageRecord] = field(default_factory=list)
    doubted: list[RefusedUsage] = field(default_factory=list)


@transaction.atomic
def take_usage(
    agent: SiteAgent, records: Sequence[Mapping[str, object]], *, at: datetime
) -> tuple[list[str], list[dict[str, object]]]:
    """Add records to an agent's chain; answer which were accepted and why others were not.

    Safe to repeat: a record that is already there is accepted again. A link that does not fit is
    refused and changes nothing: ``usage_record_unreadable``, ``usage_record_differs``,
    ``usage_sequence_gap`` (with the expected one), ``usage_chain_broken``,
    ``usage_signature_wrong``. A good link whose content cannot be true is kept in the chain as a
    ``RefusedUsage`` for the operator: ``usage_attempt_unknown``, ``usage_metered_twice``,
    ``usage_correction_unknown`` (what it points at is not the newest record of the same use),
    ``usage_more_than_allocated``, ``usage_before_lease``, ``usage_in_the_future``,
    ``usage_period_backwards``.
    """
    SiteAgent.objects.select_for_update().get(pk=agent.pk)
    accepted: list[str] = []
    refused: list[dict[str, object]] = []
    readable: list[SentRecord] = []
    for raw in records:
        try:
            readable.append(read_record(raw))
        except Refused as refusal:
            refused.append(_refusal(str(raw.get("record_id", ""))[:36], refusal))
    chain = _open_chain(agent, readable)
    for record in readable:
        try:
            _take(chain, record, at=at)
        except Refused as refusal:
            refused.append(_refusal(str(record.record_id), refusal))
        else:
            accepted.append(str(record.record_id))
    UsageRecord.objects.bulk_create(chain.taken)
    RefusedUsage.objects.bulk_create(chain.doubted)
    if chain.taken:
        rate_soon()
    return accepted, refused


def _refusal(record_id: str, refusal: Refused) -> dict[str, object]:
    return {"record_id": record_id, "code": refusal.code, "facts": dict(refusal.facts)}


def _open_chain(agent: SiteAgent, records: Sequence[SentRecord]) -> _Chain:
    ids = [record.record_id for record in records]
    attempts = [record.attempt_id for record in records]
    known: dict[UUID, UsageRecord | RefusedUsage] = {}
    known.update(UsageRecord.objects.in_bulk(ids))
    known.update(RefusedUsage.objects.in_bulk(ids))
    ends = [
        table.objects.filter(agent=agent).order_by("-sequence").values_list("sequence", "hash")
        for table in (UsageRecord, RefusedUsage)
    ]
    heads = [head for rows in ends if (head := rows.first()) is not None]
    sequence, last_hash = max(heads, default=(0, FIRST_PREVIOUS_HASH))
    replaced = [record.corrects for record in records if record.corrects is not None]
    if replaced:
        known.update(UsageRecord.objects.in_bulk(replaced))
    return _Chain(
        agent=agent,
        sequence=sequence,
        hash=last_hash,
        known=known,
        # Without scripts and stories: thousands of records come at a time.
        attempts=Attempt.objects.select_related("job")
        .only(
            "cluster_id",
            "leased_at",
            "job__cores",
            "job__memory_mib",
            "job__accelerators",
            "job__card_milli",
        )
        .in_bulk(attempts),
        metered=set(
            UsageRecord.objects.filter(attempt__in=attempts).values_list("attempt_id", "meter")
        ),
        corrected=set(
            UsageRecord.objects.filter(corrects__in=replaced).values_list("corrects_id", flat=True)
        )
        if replaced
        else set(),
    )


def _take(chain: _Chain, record: SentRecord, *, at: datetime) -> None:
    """Put one record at the end of the chain, or refuse it."""
    before = chain.known.get(record.record_id)
    if before is not None:
        _must_be_the_same(before, record, chain.agent)
        return
    _must_fit(chain, record)
    code = _doubt(chain, record, at=at)
    chain.sequence, chain.hash = record.sequence, record.hash
    if code is None:
        row = _usage_row(chain.agent, record, at=at)
        chain.taken.append(row)
        chain.known[record.record_id] = row
        chain.metered.add((record.attempt_id, record.meter))
        if record.corrects is not None:
            chain.corrected.add(record.corrects)
        return
    facts = {"meter": record.meter, "quantity": record.quantity, "attempt": str(record.attempt_id)}
    doubted = RefusedUsage(
        record_id=record.record_id,
        agent=chain.agent,
        sequence=record.sequence,
        sent=dict(record.sent),
        previous_hash=record.previous_hash,
        hash=record.hash,
        signature=record.signature,
        code=code,
        facts=facts,
        received_at=at,
    )
    chain.doubted.append(doubted)
    chain.known[record.record_id] = doubted
    raise _by_code(code, facts)


def _must_be_the_same(
    before: UsageRecord | RefusedUsage, record: SentRecord, agent: SiteAgent
) -> None:
    same = (before.agent_id, before.hash) == (agent.pk, record.hash) and linked(record)
    if not same:
        raise Refused("usage_record_differs", record=str(record.record_id))
    if isinstance(before, RefusedUsage):
        raise _by_code(before.code, before.facts)


def _by_code(code: str, facts: Mapping[str, object]) -> Refused:
    match code:
        case "usage_attempt_unknown":
            return Refused("usage_attempt_unknown", **facts)
        case "usage_correction_unknown":
            return Refused("usage_correction_unknown", **facts)
        case "usage_metered_twice":
            return Refused("usage_metered_twice", **facts)
        case "usage_period_backwards":
            return Refused("usage_period_backwards", **facts)
        case "usage_before_lease":
            return Refused("usage_before_lease", **facts)
        case "usage_in_the_future":
            return Refused("usage_in_the_future", **facts)
        case _:
            return Refused("usage_more_than_allocated", **facts)


def _must_fit(chain: _Chain, record: SentRecord) -> None:
    if record.sequence != chain.sequence + 1:
        raise Refused("usage_sequence_gap", expected=chain.sequence + 1, sequence=record.sequence)
    if record.previous_hash != chain.hash or not linked(record):
        raise Refused("usage_chain_broken", sequence=record.sequence)
    if not signed(record.hash, record.signature, chain.agent.public_key):
        raise Refused("usage_signature_wrong", sequence=record.sequence)


def _doubt(chain: _Chain, record: SentRecord, *, at: datetime) -> str | None:
    attempt = chain.attempts.get(record.attempt_id)
    if attempt is None or attempt.cluster_id != chain.agent.cluster_id:
        return "usage_attempt_unknown"
    if record.corrects is not None:
        if not _replaces_one(chain, record):
            return "usage_correction_unknown"
    elif (record.attempt_id, record.meter) in chain.metered:
        return "usage_metered_twice"
    return rules.doubt(
        record.quantity,
        allocation(attempt.job, record.meter),
        starts=record.started_at,
        ends=record.ended_at,
        leased_at=attempt.leased_at,
        received_at=at,
    )


def _replaces_one(chain: _Chain, record: SentRecord) -> bool:
    """Whether what a correction points at is the newest record of the same use, of this agent."""
    old = chain.known.get(record.corrects) if record.corrects is not None else None
    return (
        isinstance(old, UsageRecord)
        and (old.agent_id, old.attempt_id, old.meter)
        == (chain.agent.pk, record.attempt_id, record.meter)
        and old.record_id not in chain.corrected
    )


def _usage_row(agent: SiteAgent, record: SentRecord, *, at: datetime) -> UsageRecord:
    return UsageRecord(
        record_id=record.record_id,
        agent=agent,
        sequence=record.sequence,
        corrects_id=record.corrects,
        attempt_id=record.attempt_id,
        meter=record.meter,
        quantity=record.quantity,
        started_at=record.started_at,
        ended_at=record.ended_at,
        previous_hash=record.previous_hash,
        hash=record.hash,
        signature=record.signature,
        sent=dict(record.sent),
        received_at=at,
    )
