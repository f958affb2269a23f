"""The audit's questions to the database. Each gives one text column: which row, and what is wrong.

``_MOVES`` is what the log of transfers says each entry should be; nothing in it comes from the
entries but their order.
"""

from __future__ import annotations

from suanwang.ledger.store import TRANSFER_COLUMNS

ACCOUNTS = "SELECT id, code, ledger, flags, owner, title, hash FROM ledger_account"
TRANSFERS = f"SELECT {TRANSFER_COLUMNS}, expires_at FROM ledger_transfer"  # noqa: S608

COUNT_ENTRIES = "SELECT count(*) FROM ledger_entry"
COUNT_RESOLUTIONS = "SELECT count(*) FROM ledger_transfer WHERE pending_id IS NOT NULL"
COUNT_LINKED = "SELECT count(*) FROM ledger_transfer WHERE chain IS NOT NULL"

_EFFECT = """
    SELECT t.id, t.debit_account_id, t.credit_account_id,
           CASE t.kind WHEN 'transfer' THEN 0 WHEN 'pending' THEN t.amount_fen
                       ELSE -held.amount_fen END AS pending_fen,
           CASE WHEN t.kind IN ('transfer', 'post') THEN t.amount_fen ELSE 0 END AS posted_fen
      FROM ledger_transfer t LEFT JOIN ledger_transfer held ON held.id = t.pending_id
"""

UNEVEN_TRANSFERS = f"""
    WITH effect AS ({_EFFECT}),
    pairs AS (
        SELECT e.transfer_id, count(*) AS entries,
               count(*) FILTER (WHERE side = 'debit') AS debits,
               sum(CASE side WHEN 'debit' THEN posted_fen ELSE -posted_fen END) AS posted,
               sum(CASE side WHEN 'debit' THEN pending_fen ELSE -pending_fen END) AS pending,
               max(pending_fen) AS pending_fen, max(posted_fen) AS posted_fen,
               max(account_id::text) FILTER (WHERE side = 'debit') AS debit,
               max(account_id::text) FILTER (WHERE side = 'credit') AS credit
          FROM ledger_entry e GROUP BY e.transfer_id
    )
    SELECT 'transfer ' || coalesce(x.id, p.transfer_id) || ': ' || CASE
             WHEN x.id IS NULL THEN 'entries without a transfer'
             WHEN p.entries IS DISTINCT FROM 2 OR p.debits <> 1 THEN 'not one debit and one credit'
             WHEN p.posted <> 0 OR p.pending <> 0 THEN 'debit and credit differ'
             ELSE 'entries are not of its amount and accounts' END
      FROM effect x FULL JOIN pairs p ON p.transfer_id = x.id
     WHERE x.id IS NULL OR p.entries IS DISTINCT FROM 2 OR p.debits <> 1
        OR p.posted <> 0 OR p.pending <> 0
        OR (p.pending_fen, p.posted_fen) IS DISTINCT FROM (x.pending_fen, x.posted_fen)
        OR p.debit <> x.debit_account_id::text OR p.credit <> x.credit_account_id::text
"""  # noqa: S608

_SUMS = """
    SELECT e.account_id, e.version, e.debits_pending, e.debits_posted,
           e.credits_pending, e.credits_posted,
           sum(CASE WHEN x.debit_account_id = e.account_id THEN x.pending_fen ELSE 0 END)
               OVER w AS dp,
           sum(CASE WHEN x.debit_account_id = e.account_id THEN x.posted_fen ELSE 0 END)
               OVER w AS dd,
           sum(CASE WHEN x.credit_account_id = e.account_id THEN x.pending_fen ELSE 0 END)
               OVER w AS cp,
           sum(CASE WHEN x.credit_account_id = e.account_id THEN x.posted_fen ELSE 0 END)
               OVER w AS cc
      FROM ledger_entry e JOIN effect x ON x.id = e.transfer_id
    WINDOW w AS (PARTITION BY e.account_id ORDER BY e.version ROWS UNBOUNDED PRECEDING)
"""

UNREPLAYABLE = f"""
    WITH effect AS ({_EFFECT}),
    running AS ({_SUMS}),
    replayed AS (
        SELECT account_id, sum(dp) AS dp, sum(dd) AS dd, sum(cp) AS cp, sum(cc) AS cc FROM (
            SELECT debit_account_id AS account_id, pending_fen AS dp, posted_fen AS dd,
                   0::bigint AS cp, 0::bigint AS cc FROM effect
            UNION ALL
            SELECT credit_account_id, 0, 0, pending_fen, posted_fen FROM effect
        ) sides GROUP BY account_id
    ),
    heads AS (
        SELECT DISTINCT ON (account_id) account_id, debits_pending, debits_posted,
               credits_pending, credits_posted
          FROM ledger_entry ORDER BY account_id, version DESC
    )
    SELECT 'account ' || account_id || ' version ' || version || ': the balance is not the sum of '
           || 'its transfers'
      FROM running
     WHERE (dp, dd, cp, cc)
           IS DISTINCT FROM (debits_pending, debits_posted, credits_pending, credits_posted)
    UNION ALL
    SELECT 'account ' || coalesce(r.account_id, h.account_id)
           || ': the newest balance is not the replay of the log'
      FROM replayed r FULL JOIN heads h ON h.account_id = r.account_id
     WHERE (r.dp, r.dd, r.cp, r.cc) IS DISTINCT FROM
           (h.debits_pending, h.debits_posted, h.credits_pending, h.credits_posted)
"""  # noqa: S608


def count_limited(which: str) -> str:
    """How many entries of limited accounts there are."""
    return f"""
        SELECT count(*) FROM ledger_entry e JOIN ledger_account a ON a.id = e.account_id
         WHERE a.flags <> 0 AND {which}
    """  # noqa: S608


def exceeded(which: str) -> str:
    """Entries after which an account was beyond its limit, by the log of transfers."""
    return f"""
        WITH effect AS ({_EFFECT}),
        running AS ({_SUMS})
        SELECT 'account ' || r.account_id || ' (' || a.code || ' of ' || a.owner || ') version '
               || r.version || ': ' || CASE a.flags
                    WHEN 1 THEN (r.dd + r.dp) || ' fen used or held of ' || r.cc
                    ELSE (r.cc + r.cp) || ' fen received or awaited of ' || r.dd END
          FROM running r JOIN ledger_account a ON a.id = r.account_id
         WHERE {which}
           AND ((a.flags & 1 <> 0 AND r.dd + r.dp > r.cc)
             OR (a.flags & 2 <> 0 AND r.cc + r.cp > r.dd))
    """  # noqa: S608


_FUNDING = """
      FROM ledger_transfer t
      JOIN ledger_account source ON source.id = t.debit_account_id
      JOIN ledger_account target ON target.id = t.credit_account_id
     WHERE (source.code, target.code) IN (
        ('appropriation', 'pool'), ('cap', 'issue_allowance'), ('cap', 'payment_allowance'))
"""
COUNT_FUNDED = f"SELECT count(*) {_FUNDING}"
FUNDED_AGAIN = f"""
    SELECT 'account ' || target.id || ' (' || target.code || ' of ' || target.owner || '): funded '
           || count(*) || ' times'
    {_FUNDING} GROUP BY target.id HAVING count(*) > 1
"""

WRONG_RESOLUTIONS = """
    SELECT 'transfer ' || pending_id || ': resolved ' || count(*) || ' times'
      FROM ledger_transfer WHERE pending_id IS NOT NULL GROUP BY pending_id HAVING count(*) > 1
    UNION ALL
    SELECT 'transfer ' || t.id || ': ' || CASE
             WHEN held.kind <> 'pending' THEN 'what it resolves was not pending'
             WHEN t.amount_fen > held.amount_fen THEN 'posts more than was pending'
             WHEN t.kind = 'expire' THEN 'expired before its time'
             WHEN t.at >= held.expires_at THEN 'resolved after its time'
             ELSE 'is between other accounts than what it resolves' END
      FROM ledger_transfer t JOIN ledger_transfer held ON held.id = t.pending_id
     WHERE held.kind <> 'pending' OR t.amount_fen > held.amount_fen
        OR (t.debit_account_id, t.credit_account_id, t.ledger)
           IS DISTINCT FROM (held.debit_account_id, held.credit_account_id, held.ledger)
        OR (t.kind = 'expire' AND (held.expires_at IS NULL OR t.at < held.expires_at))
        OR (t.kind <> 'expire' AND t.at >= held.expires_at)
"""

TORN_CHAINS = """
    SELECT 'chain ' || chain || ': ' || count(*) || ' of its transfers are there'
      FROM ledger_transfer WHERE chain IS NOT NULL
     GROUP BY chain
    HAVING min(chain_position) <> 0 OR max(chain_position) <> count(*) - 1
        OR count(DISTINCT chain_position) <> count(*)
        OR count(*) FILTER (WHERE NOT linked) <> 1
        OR bool_or(linked) FILTER (WHERE chain_position = 0) IS NOT TRUE
"""

BROKEN_LINKS = """
    SELECT 'account ' || account_id || ' version ' || version || ': ' || CASE
             WHEN version <> number THEN 'entry ' || number || ' is missing'
             ELSE 'the hash does not follow' END
      FROM (
        SELECT e.*, t.hash AS transfer_hash,
               row_number() OVER w AS number, coalesce(lag(e.hash) OVER w, a.hash) AS previous
          FROM ledger_entry e
          JOIN ledger_account a ON a.id = e.account_id
          LEFT JOIN ledger_transfer t ON t.id = e.transfer_id
        WINDOW w AS (PARTITION BY e.account_id ORDER BY e.version)
      ) e
     WHERE version <> number OR hash IS DISTINCT FROM sha256(
            previous || transfer_hash || convert_to(
                account_id || '|' || version || '|' || side || '|' || pending_fen || '|'
                || posted_fen || '|' || debits_pending || '|' || debits_posted || '|'
                || credits_pending || '|' || credits_posted, 'UTF8'))
"""

_GUARDS = """
    (VALUES ('ledger_account', 'append_only'), ('ledger_account', 'append_only_whole'),
            ('ledger_transfer', 'append_only'), ('ledger_transfer', 'append_only_whole'),
            ('ledger_entry', 'append_only'), ('ledger_entry', 'append_only_whole'),
            ('ledger_transfer', 'ledger_guard'), ('ledger_entry', 'ledger_guard')
    ) AS wanted (relation, name)
"""
COUNT_GUARDS = f"SELECT count(*) FROM {_GUARDS}"  # noqa: S608
GUARDS_DOWN = f"""
    SELECT 'trigger ' || wanted.name || ' on ' || wanted.relation || ': '
           || CASE WHEN g.oid IS NULL THEN 'missing' ELSE 'disabled' END
      FROM {_GUARDS}
      LEFT JOIN pg_trigger g
        ON g.tgrelid = to_regclass(wanted.relation) AND g.tgname = wanted.name
     WHERE g.oid IS NULL OR g.tgenabled NOT IN ('O', 'A')
"""  # noqa: S608
