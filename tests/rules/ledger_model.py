"""A second ledger that is slow and plain, and a generator of batches that tries to break one.

The plain ledger keeps only the list of transfers it accepted and works every balance out from it,
each time. It shares the words of the real one, and none of its rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from uuid import UUID

from suanwang.ledger.terms import (
    POST_ALL,
    AccountFlag,
    AccountSpec,
    Balance,
    TransferSpec,
)

NIL = UUID(int=0)
TEN_TRILLION_YUAN = 10**15


@dataclass
class Accepted:
    """A transfer in the plain ledger's list, with everything filled in."""

    spec: TransferSpec
    at: datetime


@dataclass
class PlainLedger:
    """What a careful clerk with a list would do."""

    accounts: dict[UUID, AccountSpec]
    accepted: list[Accepted] = field(default_factory=list)

    def submit(self, batch: Sequence[TransferSpec], at: datetime) -> list[str]:
        answers: list[str] = []
        rest = list(batch)
        while rest:
            size = next((n for n, s in enumerate(rest, 1) if not s.linked), len(rest))
            chain, rest = rest[:size], rest[size:]
            answers += self._chain(chain, at)
        return answers

    def _chain(self, chain: list[TransferSpec], at: datetime) -> list[str]:
        kept = list(self.accepted)
        answers: list[str] = []
        for number, spec in enumerate(chain, 1):
            open_end = number == len(chain) and spec.linked
            answers.append("linked_event_chain_open" if open_end else self._one(spec, at))
            if answers[-1] not in ("created", "exists"):
                break
        if answers in (["created"] * len(chain), ["exists"] * len(chain)):
            return answers
        self.accepted = kept
        answers = ["linked_event_failed" if a == "created" else a for a in answers]
        return answers + ["linked_event_failed"] * (len(chain) - len(answers))

    def find(self, id_: UUID | None) -> Accepted | None:
        return next((a for a in self.accepted if a.spec.id == id_), None)

    def resolution(self, id_: UUID) -> Accepted | None:
        return next((a for a in self.accepted if a.spec.pending_id == id_), None)

    def balance(self, account: UUID) -> Balance:
        totals = {"debit": [0, 0], "credit": [0, 0]}
        for one in self.accepted:
            for side, named in (
                ("debit", one.spec.debit_account),
                ("credit", one.spec.credit_account),
            ):
                if named != account:
                    continue
                if one.spec.kind == "pending" and self.resolution(one.spec.id) is None:
                    totals[side][0] += one.spec.amount_fen
                if one.spec.kind in ("transfer", "post"):
                    totals[side][1] += one.spec.amount_fen
        return Balance(*totals["debit"], *totals["credit"])

    def _one(self, spec: TransferSpec, at: datetime) -> str:
        if spec.id == NIL:
            return "id_must_not_be_zero"
        before = self.find(spec.id)
        if before is not None:
            return self._same(spec, before.spec)
        problem = self._malformed(spec) or (
            self._cannot_resolve(spec, at)
            if spec.kind in ("post", "void", "expire")
            else self._cannot_move(spec)
        )
        if problem:
            return problem
        self.accepted.append(Accepted(self._filled(spec), at))
        return "created"

    def _filled(self, spec: TransferSpec) -> TransferSpec:
        held = self.find(spec.pending_id)
        if held is None:
            return spec
        whole = spec.kind == "post" and spec.amount_fen == POST_ALL
        return replace(
            spec,
            debit_account=held.spec.debit_account,
            credit_account=held.spec.credit_account,
            ledger=held.spec.ledger,
            code=spec.code or held.spec.code,
            amount_fen=held.spec.amount_fen if whole else spec.amount_fen,
        )

    def _same(self, spec: TransferSpec, before: TransferSpec) -> str:
        held = self.find(spec.pending_id)
        if held is not None and spec.kind in ("post", "void", "expire"):
            spec = replace(
                spec,
                debit_account=spec.debit_account or held.spec.debit_account,
                credit_account=spec.credit_account or held.spec.credit_account,
                ledger=spec.ledger or held.spec.ledger,
                code=spec.code or held.spec.code,
                amount_fen=held.spec.amount_fen if spec.amount_fen == POST_ALL else spec.amount_fen,
            )
        differences = {
            "flags": (spec.kind, spec.linked) != (before.kind, before.linked),
            "pending_id": spec.pending_id != before.pending_id,
            "timeout": spec.timeout_seconds != before.timeout_seconds,
            "debit_account": spec.debit_account != before.debit_account,
            "credit_account": spec.credit_account != before.credit_account,
            "amount": spec.amount_fen != before.amount_fen,
            "facts": spec.facts != before.facts,
            "ledger": spec.ledger != before.ledger,
            "code": spec.code != before.code,
        }
        first = next((name for name, differs in differences.items() if differs), None)
        return f"exists_with_different_{first}" if first else "exists"

    def _malformed(self, spec: TransferSpec) -> str | None:
        releasing = spec.kind in ("void", "expire")
        resolving = releasing or spec.kind == "post"
        everything = spec.kind == "post" and spec.amount_fen == POST_ALL
        table = [
            (
                spec.kind not in ("transfer", "pending", "post", "void", "expire"),
                "kind_is_unknown",
            ),
            (
                spec.timeout_seconds != 0 and spec.kind != "pending",
                "timeout_reserved_for_pending_transfer",
            ),
            (spec.timeout_seconds < 0, "timeout_must_not_be_negative"),
            (spec.timeout_seconds > 3660 * 86400, "timeout_is_too_large"),
            (releasing and spec.amount_fen != 0, "amount_must_be_zero"),
            (not releasing and spec.amount_fen < 1, "amount_must_be_positive"),
            (spec.amount_fen > TEN_TRILLION_YUAN and not everything, "amount_is_too_large"),
            (resolving and spec.pending_id in (None, NIL), "pending_id_must_be_named"),
            (resolving and spec.pending_id == spec.id, "pending_id_must_be_different"),
            (not resolving and spec.pending_id is not None, "pending_id_must_be_empty"),
            (not resolving and spec.debit_account in (None, NIL), "debit_account_must_be_named"),
            (not resolving and spec.credit_account in (None, NIL), "credit_account_must_be_named"),
            (
                not resolving and spec.debit_account == spec.credit_account,
                "accounts_must_be_different",
            ),
            (not resolving and spec.ledger <= 0, "ledger_must_not_be_zero"),
            (not resolving and spec.code == "", "code_must_not_be_empty"),
        ]
        return next((name for wrong, name in table if wrong), None)

    def _cannot_resolve(self, spec: TransferSpec, at: datetime) -> str | None:
        held = self.find(spec.pending_id)
        if held is None:
            return "pending_transfer_not_found"
        if held.spec.kind != "pending":
            return "pending_transfer_not_pending"
        if spec.debit_account and spec.debit_account != held.spec.debit_account:
            return "pending_transfer_has_different_debit_account"
        if spec.credit_account and spec.credit_account != held.spec.credit_account:
            return "pending_transfer_has_different_credit_account"
        if spec.ledger and spec.ledger != held.spec.ledger:
            return "pending_transfer_has_different_ledger"
        if spec.amount_fen != POST_ALL and spec.amount_fen > held.spec.amount_fen:
            return "exceeds_pending_transfer_amount"
        already = self.resolution(held.spec.id)
        if already is not None:
            return {
                "post": "pending_transfer_already_posted",
                "void": "pending_transfer_already_voided",
                "expire": "pending_transfer_expired",
            }[already.spec.kind]
        timeout = held.spec.timeout_seconds
        over = timeout > 0 and held.at + timedelta(seconds=timeout) <= at
        if over:
            return None if spec.kind == "expire" else "pending_transfer_expired"
        return "pending_transfer_not_expired" if spec.kind == "expire" else None

    def _cannot_move(self, spec: TransferSpec) -> str | None:
        assert spec.debit_account and spec.credit_account
        debit = self.accounts.get(spec.debit_account)
        credit = self.accounts.get(spec.credit_account)
        if debit is None:
            return "debit_account_not_found"
        if credit is None:
            return "credit_account_not_found"
        if debit.ledger != credit.ledger:
            return "accounts_must_have_the_same_ledger"
        if spec.ledger != debit.ledger:
            return "transfer_must_have_the_same_ledger_as_accounts"
        payer, payee = self.balance(debit.id), self.balance(credit.id)
        if debit.flags == AccountFlag.DEBITS_MUST_NOT_EXCEED_CREDITS:
            free = payer.credits_posted - payer.debits_posted - payer.debits_pending
            if spec.amount_fen > free:
                return "exceeds_credits"
        if credit.flags == AccountFlag.CREDITS_MUST_NOT_EXCEED_DEBITS:
            room = payee.debits_posted - payee.credits_posted - payee.credits_pending
            if spec.amount_fen > room:
                return "exceeds_debits"
        return None


@dataclass
class Mischief:
    """Proposes batches: mostly sensible, often repeated, wrong, too much, too late, torn."""

    random: Random
    accounts: list[AccountSpec]
    proposed: list[TransferSpec] = field(default_factory=list)

    def batch(self, size_max: int) -> list[TransferSpec]:
        batch: list[TransferSpec] = []
        for _ in range(self.random.randint(1, size_max)):
            spec = self._spec()
            if self._chance(18):
                spec = replace(spec, linked=True)
            self.proposed.append(spec)
            batch.append(spec)
        if self._chance(15) and self.proposed:
            start = self.random.randrange(len(self.proposed))
            batch += self.proposed[start : start + 4]
        return batch

    def _chance(self, percent: int) -> bool:
        return self.random.randint(1, 100) <= percent

    def _id(self) -> UUID:
        return UUID(int=self.random.getrandbits(128) | 1)

    def _spec(self) -> TransferSpec:
        dice = self.random.randint(1, 100)
        if self.proposed and dice <= 12:
            return self.random.choice(self.proposed)
        if self.proposed and dice <= 22:
            return self._changed(self.random.choice(self.proposed[-40:]))
        if self.proposed and dice <= 55:
            return self._resolution()
        if dice <= 63:
            return self._changed(self._movement())
        return self._movement()

    def _movement(self) -> TransferSpec:
        sources = [account for account in self.accounts if account.code == "source"]
        debit = self.random.choice(sources if self._chance(45) else self.accounts)
        credit = self.random.choice(
            [a for a in self.accounts if a.ledger == debit.ledger and a is not debit]
        )
        pending = self._chance(50)
        return TransferSpec(
            self._id(),
            debit.id,
            credit.id,
            self.random.choice([1, 2, 5, 10, 50, 100, 101]),
            debit.ledger,
            "move",
            "pending" if pending else "transfer",
            timeout_seconds=self.random.choice([0, 0, 60, 3600]) if pending else 0,
            facts={"why": "测试"} if self._chance(20) else {},
        )

    def _resolution(self) -> TransferSpec:
        pending = [s for s in self.proposed if s.kind == "pending"][-12:]
        target = self.random.choice(pending if pending and self._chance(92) else self.proposed)
        amount = target.amount_fen
        kind = self.random.choice(["post", "post", "post", "void", "expire"])
        amounts = [POST_ALL, amount, max(amount - 1, 1), amount + 1, 2 * amount, 1, 0]
        return TransferSpec(
            self._id(),
            target.debit_account if self._chance(20) else None,
            target.credit_account if self._chance(20) else None,
            self.random.choice(amounts) if kind == "post" or self._chance(5) else 0,
            target.ledger if self._chance(20) else 0,
            self.random.choice(["", "settle"]),
            kind,  # type: ignore[arg-type]
            target.id if self._chance(96) else self._id(),
        )

    def _changed(self, spec: TransferSpec) -> TransferSpec:
        """The same with one thing wrong or different."""
        account = self.random.choice([*(a.id for a in self.accounts), self._id(), NIL, None])
        changes: list[dict[str, object]] = [
            {"id": NIL},
            {"id": spec.pending_id or spec.id},
            {"debit_account": account},
            {"credit_account": account},
            {"credit_account": spec.debit_account},
            {"amount_fen": spec.amount_fen + 1},
            {"amount_fen": self.random.choice([0, -1, TEN_TRILLION_YUAN + 1, POST_ALL])},
            {"ledger": self.random.choice([0, 1, 2, -1])},
            {"code": self.random.choice(["", "other"])},
            {"kind": self.random.choice(["transfer", "pending", "post", "void", "expire", "gift"])},
            {"pending_id": self.random.choice([self._id(), NIL, spec.id, None])},
            {"timeout_seconds": self.random.choice([-1, 1, 60, 10**9])},
            {"linked": not spec.linked},
            {"facts": {"why": "another"}},
        ]
        return replace(spec, **self.random.choice(changes))  # type: ignore[arg-type]


def city() -> list[AccountSpec]:
    """A few accounts of two ledgers with every limit, so that batches collide often."""
    none, no_overdraft, no_excess = AccountFlag(0), AccountFlag(1), AccountFlag(2)
    return [
        AccountSpec(UUID(int=ledger * 100 + number), code, ledger, flags, "test", "")
        for ledger in (1, 2)
        for number, (code, flags) in enumerate(
            [
                ("source", none),
                ("pool", no_overdraft),
                ("voucher", no_overdraft),
                ("owed", no_excess),
            ],
            1,
        )
    ]
