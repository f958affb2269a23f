"""The ledger's invariants held against every row, set by set. Reads only.

The checks trust nothing that the writing code computed: balances and limits are recomputed from
the log of transfers, links from the content of the rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import connection, transaction

from suanwang.core.findings import SHOWN_MAX, Check, Finding, Words
from suanwang.ledger import audit_sql as sql
from suanwang.ledger import store
from suanwang.ledger.chain import account_hash, transfer_hash

ARTICLE_5 = "baoding-2024: 5"


def checks() -> tuple[Check, ...]:
    """All checks of this room, in the order they are best read."""
    return (
        check_sums,
        check_replay,
        check_pool,
        check_allowances,
        check_limits,
        check_funded_once,
        check_resolutions,
        check_chains_whole,
        check_contents,
        check_links,
        check_guards,
    )


def check_sums() -> Finding:
    """Invariant 1."""
    return _find(
        "entries_sum_to_zero",
        Words(
            zh="每笔转账恰有一借一贷，金额相等，全部分录合计为零。",
            en="Every transfer has one debit and one credit of the same amount: all sum to zero.",
        ),
        sql.COUNT_ENTRIES,
        sql.UNEVEN_TRANSFERS,
    )


def check_replay() -> Finding:
    """Invariant 2."""
    return _find(
        "balances_equal_the_replay",
        Words(
            zh="每个账户的每个余额都等于重放转账记录的结果。",
            en="Every balance of every account equals the replay of the log of transfers.",
        ),
        sql.COUNT_ENTRIES,
        sql.UNREPLAYABLE,
    )


def check_pool() -> Finding:
    """Invariant 3."""
    return _find(
        "pool_and_vouchers_within_their_funds",
        Words(
            zh="资金池与每张算力券在任何时刻的支用加冻结都不超过其所得。",
            en="At no moment was more used or held of a pool or a voucher than was put in.",
        ),
        sql.count_limited("a.ledger = 2"),
        sql.exceeded("a.ledger = 2"),
        ARTICLE_5,
    )


def check_allowances() -> Finding:
    """Invariant 4."""
    return _find(
        "unit_year_allowances_within_their_cap",
        Words(
            zh="每个单位每年的额度在任何时刻都没有超过上限。",
            en="At no moment was a unit's allowance of a year exceeded.",
        ),
        sql.count_limited("a.ledger = 3"),
        sql.exceeded("a.ledger = 3"),
        ARTICLE_5,
    )


def check_limits() -> Finding:
    """Invariants 3 and 4 for money: what users may spend."""
    return _find(
        "money_accounts_within_their_limit",
        Words(
            zh="有限额的资金账户在任何时刻都没有透支，冻结的也计算在内。",
            en="No limited money account was ever overdrawn, counting what is pending.",
        ),
        sql.count_limited("a.ledger NOT IN (2, 3)"),
        sql.exceeded("a.ledger NOT IN (2, 3)"),
    )


def check_funded_once() -> Finding:
    """Invariants 3 and 4: a cap that is put in twice is no cap."""
    return _find(
        "caps_are_put_in_once",
        Words(
            zh="每个年度资金池和每项单位年度额度只注入一次。",
            en="Every yearly pool and every unit's yearly allowance was funded once.",
        ),
        sql.COUNT_FUNDED,
        sql.FUNDED_AGAIN,
        ARTICLE_5,
    )


def check_resolutions() -> Finding:
    """Invariant 5."""
    return _find(
        "pending_resolved_once",
        Words(
            zh="每笔冻结最多处理一次，入账不超过冻结金额，且不晚于期限。",
            en="A pending transfer was resolved at most once, for at most its amount, in time.",
        ),
        sql.COUNT_RESOLUTIONS,
        sql.WRONG_RESOLUTIONS,
    )


def check_chains_whole() -> Finding:
    """Linked transfers: all of them or none."""
    return _find(
        "linked_chains_are_whole",
        Words(
            zh="关联转账要么整组都在，要么都不在。",
            en="Of every linked chain all transfers are there.",
        ),
        sql.COUNT_LINKED,
        sql.TORN_CHAINS,
    )


def check_contents() -> Finding:
    """Invariant 6: what stands under an id is what was acknowledged under it."""
    checked, broken = 0, []
    for row in _stream(sql.ACCOUNTS):
        checked += 1
        if account_hash(store.as_account(row)) != bytes(row[-1]):
            broken.append(f"account {row[0]} is not what its hash covers")
    for row in _stream(sql.TRANSFERS):
        checked += 1
        transfer = store.as_recorded(row[:-1])
        if transfer_hash(transfer) != transfer.hash or transfer.expires_at != row[-1]:
            broken.append(f"transfer {transfer.id} is not what its hash covers")
    return Finding(
        "ids_keep_their_content",
        Words(
            zh="每个编号下的内容与登记时一致。",
            en="What stands under an id is what was recorded under it.",
        ),
        checked,
        broken[:SHOWN_MAX],
    )


def check_links() -> Finding:
    """Invariant 7: the hash chains."""
    return _find(
        "entries_are_chained",
        Words(
            zh="每个账户的分录序号连续，哈希链完整。",
            en="The entries of every account are numbered without a gap and chained by hash.",
        ),
        sql.COUNT_ENTRIES,
        sql.BROKEN_LINKS,
    )


def check_guards() -> Finding:
    """Invariant 7: the database still refuses changes."""
    return _find(
        "guards_are_armed",
        Words(
            zh="数据库中禁止改动账目的触发器都在且已启用。",
            en="The triggers that forbid changes to the books are there and enabled.",
        ),
        sql.COUNT_GUARDS,
        sql.GUARDS_DOWN,
    )


def _find(name: str, promise: Words, count: str, broken: str, article: str = "") -> Finding:
    with connection.cursor() as cursor:
        cursor.execute(count)
        (checked,) = cursor.fetchone() or (0,)
        checked = int(checked)  # SUM of bigint is numeric: a Decimal, which JSON does not know
        cursor.execute(f"{broken} LIMIT {SHOWN_MAX}")
        rows = [str(row[0]) for row in cursor.fetchall()]
    return Finding(name, promise, checked, rows, article)


def _stream(statement: str) -> Iterator[tuple[Any, ...]]:
    """Rows as the server sends them, so that a long log does not have to fit into memory."""
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        cursor.execute(statement)
        while rows := cursor.fetchmany(2000):
            yield from rows
