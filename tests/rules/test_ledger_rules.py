"""The ledger's decisions, held against a second, plain ledger over batches made to break them."""

from __future__ import annotations

import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from importlib import resources
from random import Random
from types import ModuleType
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from suanwang.ledger import chart, rules
from suanwang.ledger.chain import account_hash, entry_hash
from suanwang.ledger.terms import (
    AccountFlag,
    AccountResult,
    AccountSpec,
    Balance,
    Entry,
    Head,
    TransferResult,
    TransferSpec,
)

from .ledger_model import Mischief, PlainLedger, city

START = datetime(2026, 1, 1, tzinfo=UTC)


class Memory:
    """The state that ``decide`` reads, kept in memory as the database would keep it."""

    def __init__(self, accounts: list[AccountSpec], under_test: Any = rules) -> None:
        self.rules = under_test
        self.accounts = {account.id: account for account in accounts}
        self.heads = {a.id: Head(0, account_hash(a), Balance()) for a in accounts}
        self.transfers: dict[Any, Any] = {}
        self.resolutions: dict[Any, Any] = {}
        self.entries: list[Entry] = []

    def submit(self, batch: list[TransferSpec], at: datetime) -> list[str]:
        state = self.rules.State(self.accounts, self.heads, self.transfers, self.resolutions)
        outcome = self.rules.decide(state, batch, at=at)
        for transfer in outcome.transfers:
            self.transfers[transfer.id] = transfer
            if transfer.pending_id:
                self.resolutions[transfer.pending_id] = transfer.kind
        for entry in outcome.entries:
            self.heads[entry.account] = Head(entry.version, entry.hash, entry.balance)
        self.entries += outcome.entries
        return [str(result) for result in outcome.results]

    def assert_sound(self) -> None:
        """Every invariant of a ledger that can be seen from its rows."""
        last = {a.id: Head(0, account_hash(a), Balance()) for a in self.accounts.values()}
        sums: Counter[str] = Counter()
        for entry in self.entries:
            before = last[entry.account]
            assert entry.version == before.version + 1
            assert entry.hash == entry_hash(
                before.hash,
                self.transfers[entry.transfer].hash,
                entry.account,
                entry.version,
                entry.side,
                entry.pending_fen,
                entry.posted_fen,
                entry.balance,
            )
            sign = 1 if entry.side == "debit" else -1
            sums["posted"] += sign * entry.posted_fen
            sums["pending"] += sign * entry.pending_fen
            assert min(entry.balance) >= 0
            flags, (dp, do, cp, co) = self.accounts[entry.account].flags, entry.balance
            assert not (flags & 1 and dp + do > co)
            assert not (flags & 2 and cp + co > do)
            last[entry.account] = Head(entry.version, entry.hash, entry.balance)
        assert not any(sums.values())
        assert last == self.heads


class TwoLedgers(RuleBasedStateMachine):
    """Both ledgers get the same batches and must give the same answers and balances."""

    def __init__(self) -> None:
        super().__init__()
        self.at = START
        accounts = city()
        self.real, self.plain = Memory(accounts), PlainLedger({a.id: a for a in accounts})
        self.mischief = Mischief(Random(0), accounts)

    @rule(random=st.randoms(use_true_random=False))
    def a_batch(self, random: Random) -> None:
        self.mischief.random = random
        batch = self.mischief.batch(8)
        assert self.real.submit(batch, self.at) == self.plain.submit(batch, self.at)

    @rule(seconds=st.sampled_from([1, 59, 60, 3600]))
    def time_passes(self, seconds: int) -> None:
        self.at += timedelta(seconds=seconds)

    @invariant()
    def balances_are_those_of_the_list(self) -> None:
        for account, head in self.real.heads.items():
            assert head.balance == self.plain.balance(account)

    def teardown(self) -> None:
        self.real.assert_sound()


TwoLedgers.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
test_the_rules_answer_as_the_plain_ledger_does = TwoLedgers.TestCase


def differs(under_test: Any, *, seeds: int, batches: int = 25) -> str | None:
    """What two ledgers first disagree on over seeded mischief, or None."""
    for seed in range(seeds):
        accounts, at = city(), START
        real, plain = Memory(accounts, under_test), PlainLedger({a.id: a for a in accounts})
        mischief = Mischief(Random(seed), accounts)
        for _ in range(batches):
            at += timedelta(seconds=mischief.random.choice([0, 1, 30, 60]))
            batch = mischief.batch(8)
            expected = plain.submit(batch, at)
            try:
                said = real.submit(batch, at)
            except LookupError as error:
                return f"{error!r} instead of {expected}"
            if said != expected:
                return f"{said} instead of {expected}"
            if any(h.balance != plain.balance(a) for a, h in real.heads.items()):
                return "a balance"
        try:
            real.assert_sound()
        except AssertionError:
            return "an invariant"
    return None


def test_the_mischief_brings_out_nearly_every_answer() -> None:
    seen: Counter[str] = Counter()
    for seed in range(100):
        accounts, at = city(), START
        plain, mischief = PlainLedger({a.id: a for a in accounts}), None
        mischief = Mischief(Random(seed), accounts)
        for _ in range(25):
            at += timedelta(seconds=mischief.random.choice([0, 1, 30, 60]))
            seen.update(plain.submit(mischief.batch(8), at))
    missing = {str(result) for result in TransferResult} - seen.keys()
    # Balances near 2**63 need amounts no batch of fen reaches; they have a test of their own.
    assert missing <= {"overflows_debits", "overflows_credits"}
    assert seen["created"] > 1000


MUTANTS = [
    ("checks", "balance.debits_posted + balance.debits_pending > balance.credits_posted",
     "balance.debits_posted > balance.credits_posted"),
    ("checks", "balance.debits_posted + balance.debits_pending > balance.credits_posted",
     "balance.debits_posted + balance.debits_pending > balance.credits_posted + 1"),
    ("checks", "balance.debits_posted + balance.debits_pending > balance.credits_posted",
     "balance.debits_posted + balance.debits_pending > balance.credits_posted"
     " + balance.credits_pending"),
    ("checks", "balance.credits_posted + balance.credits_pending > balance.debits_posted",
     "balance.credits_posted > balance.debits_posted"),
    ("checks", "if spec.amount_fen > pending.amount_fen and spec.amount_fen != POST_ALL:",
     "if False:"),
    ("checks", "if spec.amount_fen > pending.amount_fen and spec.amount_fen != POST_ALL:",
     "if spec.amount_fen > pending.amount_fen + 1 and spec.amount_fen != POST_ALL:"),
    ("checks", "at >= pending.expires_at", "at > pending.expires_at"),
    ("checks", 'return -pending.amount_fen, transfer.amount_fen if transfer.kind == "post" else 0',
     'return -transfer.amount_fen, transfer.amount_fen if transfer.kind == "post" else 0'),
    ("checks", 'return -pending.amount_fen, transfer.amount_fen if transfer.kind == "post" else 0',
     "return -pending.amount_fen, pending.amount_fen"),
    ("checks", 'if resolved == "post":', 'if resolved == "never":'),
    ("checks", 'if resolved == "void":', 'if resolved == "never":'),
    ("checks", 'if resolved == "expire":', 'if resolved == "never":'),
    ("checks", "if amount != recorded.amount_fen:", "if False:"),
    ("checks", "if dict(spec.facts) != dict(recorded.facts):", "if False:"),
    ("checks", "if debit.ledger != credit.ledger:", "if False:"),
    ("checks", "elif spec.amount_fen <= 0:", "elif spec.amount_fen < 0:"),
    ("checks", "if spec.debit_account == spec.credit_account:", "if False:"),
    ("rules", "            del self._known[transfer.id]\n", ""),
    ("rules", "                del self._resolved[transfer.pending_id]\n",
     "                pass\n"),
    ("rules", "self._heads[entry.account] = self._heads_before.pop()",
     "self._heads_before.pop()"),
    ("rules", "            self._undo(mark)\n", ""),
    ("rules", "            self._resolved[transfer.pending_id] = transfer.kind\n",
     "            pass\n"),
    ("rules", "len(set(results)) == 1 and ", ""),
    ("rules", "if spec.linked and position == len(chain) - 1:", "if False:"),
    ("rules", "if not spec.linked or end == len(specs):", "if True:"),
    ("rules", "version = before.version + 1", "version = before.version + 2"),
    ("rules", "self._heads[account] = Head(version, link, balance)",
     "self._heads[account] = Head(version, before.hash, balance)"),
]  # fmt: skip


def mutated(module: str, old: str, new: str) -> ModuleType:
    """The rules with one piece of their source changed; nothing of it stays behind."""
    names = [f"suanwang.ledger.{part}" for part in ("checks", "rules")]
    saved = {name: sys.modules[name] for name in names}
    folder = resources.files("suanwang.ledger")
    try:
        for name in names:
            source = (folder / f"{name.rpartition('.')[2]}.py").read_text(encoding="utf-8")
            if name.endswith(module):
                assert source.count(old) == 1, f"the mutant no longer fits: {old}"
                source = source.replace(old, new)
            fresh = ModuleType(name)
            sys.modules[name] = fresh
            exec(compile(source, name, "exec"), fresh.__dict__)  # noqa: S102
        return fresh
    finally:
        sys.modules.update(saved)


def test_the_rules_agree_with_the_plain_ledger_over_seeded_mischief() -> None:
    assert differs(rules, seeds=120) is None


@pytest.mark.parametrize(("module", "old", "new"), MUTANTS)
def test_a_slip_in_the_rules_would_be_noticed(module: str, old: str, new: str) -> None:
    assert differs(mutated(module, old, new), seeds=120) is not None


def test_sums_beyond_what_a_row_holds_are_refused() -> None:
    accounts = city()
    source, voucher = accounts[0], accounts[2]
    real = Memory(accounts)
    full = Balance(0, 2**63 - 1, 0, 0)
    real.heads[source.id] = Head(1, b"x", full)
    move = TransferSpec(chart.NAMESPACE, source.id, voucher.id, 1, 1, "x")
    assert real.submit([move], START) == ["overflows_debits"]
    real.heads[source.id] = Head(1, b"x", Balance(0, 2**63 - 2, 0, 0))
    real.heads[voucher.id] = Head(1, b"x", Balance(0, 0, 1, 2**63 - 2))
    assert real.submit([move], START) == ["overflows_credits"]


def test_an_account_is_the_same_only_with_the_same_ledger_code_flags_and_owner() -> None:
    account = chart.pool("test", 2026)
    other = AccountSpec(account.id, account.code, 2, account.flags, account.owner, "other title")
    assert rules.account_result(other, account) is AccountResult.EXISTS
    both = AccountFlag(3)
    wrong = {
        AccountResult.ID_MUST_NOT_BE_ZERO: AccountSpec(
            type(account.id)(int=0), "a", 1, AccountFlag(0), "", ""
        ),
        AccountResult.LEDGER_MUST_NOT_BE_ZERO: AccountSpec(
            account.id, "a", 0, AccountFlag(0), "", ""
        ),
        AccountResult.CODE_MUST_NOT_BE_EMPTY: AccountSpec(
            account.id, "", 1, AccountFlag(0), "", ""
        ),
        AccountResult.FLAGS_ARE_MUTUALLY_EXCLUSIVE: AccountSpec(account.id, "a", 1, both, "", ""),
    }
    assert {rules.account_result(spec, None) for spec in wrong.values()} == wrong.keys()


def test_no_float_gets_near_an_amount_and_facts_are_text() -> None:
    pool, source = chart.pool("test", 2026), chart.appropriation("test", 2026)
    for amount in (1.0, True, "1"):
        with pytest.raises(TypeError):
            TransferSpec(pool.id, source.id, pool.id, amount, 2, "x")  # type: ignore[arg-type]
    for facts in ({"n": 1}, {1: "n"}, {"n": None}):
        with pytest.raises(TypeError):
            TransferSpec(pool.id, source.id, pool.id, 1, 2, "x", facts=facts)  # type: ignore[arg-type]


def test_every_answer_that_is_not_good_has_its_words_in_both_languages() -> None:
    text = (resources.files("suanwang.ledger") / "refusals.yaml").read_text(encoding="utf-8")
    words = yaml.safe_load(text)
    bad = {f"ledger_{result}" for result in TransferResult if not result.good}
    assert {code for code in words if code.startswith("ledger_")} == bad
    assert all(set(both) == {"zh", "en"} for both in words.values())
