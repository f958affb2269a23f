"""The questions the money audit asks the database; each row of an answer is a broken promise."""

from __future__ import annotations

COUNT_USAGE = "SELECT count(*) FROM metering_usagerecord"
IMPOSSIBLE_USAGE = """
    SELECT 'usage ' || u.record_id || ': ' || u.quantity || ' ' || u.meter
           || ' is more than its job was given'
      FROM metering_usagerecord u
      JOIN jobs_attempt a ON a.id = u.attempt_id
      JOIN jobs_job j ON j.id = a.job_id
     WHERE u.quantity > ceil(ceil(extract(epoch FROM u.ended_at - u.started_at)) * CASE u.meter
             WHEN 'core_seconds' THEN j.cores
             WHEN 'card_seconds' THEN j.accelerators * j.card_milli / 1000.0
             ELSE j.memory_mib END)
"""

COUNT_SETTLED_USAGE = """
    SELECT count(*) FROM metering_usagerecord u
      JOIN jobs_attempt a ON a.id = u.attempt_id
      JOIN metering_settlement s ON s.job_id = a.job_id
"""
UNRATED_IN_SETTLED = """
    SELECT 'usage ' || u.record_id || ': its job is settled, but it is not rated'
      FROM metering_usagerecord u
      JOIN jobs_attempt a ON a.id = u.attempt_id
      JOIN metering_settlement s ON s.job_id = a.job_id
      LEFT JOIN metering_charge c ON c.usage_id = u.record_id
      LEFT JOIN metering_ratingproblem p ON p.usage_id = u.record_id
     WHERE c.id IS NULL AND p.id IS NULL AND a.state = 'ended' AND u.received_at < s.settled_at
"""

COUNT_SETTLEMENTS = "SELECT count(*) FROM metering_settlement"
UNEVEN_SETTLEMENTS = """
    WITH charged AS (
        SELECT job_id, sum(amount_fen) AS fen FROM metering_charge GROUP BY job_id),
    beyond AS (
        SELECT facts->>'job' AS job, sum(amount_fen) AS fen FROM ledger_transfer
         WHERE code = 'charge' AND kind = 'transfer' GROUP BY 1),
    earned AS (
        SELECT facts->>'job' AS job, sum(amount_fen) AS fen FROM ledger_transfer
         WHERE code = 'earnings' GROUP BY 1),
    credited AS (
        SELECT c.job_id, sum(c.amount_fen) AS fen
          FROM metering_charge c JOIN metering_ratingproblem p ON p.usage_id = c.usage_id
         WHERE p.resolution = 'credited' GROUP BY 1),
    given_back AS (
        SELECT facts->>'job' AS job, code, sum(amount_fen) AS fen FROM ledger_transfer
         WHERE code IN ('charge_back', 'earnings_back') GROUP BY 1, 2)
    SELECT 'job ' || s.job_id || ': settled ' || s.amount_fen || ', charged '
           || coalesce(c.fen, 0) || ', posted ' || coalesce(p.amount_fen, 0) + coalesce(b.fen, 0)
           || ', earned ' || coalesce(e.fen, 0) || ' fen'
      FROM metering_settlement s
      JOIN jobs_job j ON j.id = s.job_id
      LEFT JOIN charged c ON c.job_id = s.job_id
      LEFT JOIN ledger_transfer p ON p.pending_id = j.hold_id AND p.kind = 'post'
      LEFT JOIN beyond b ON b.job = s.job_id::text
      LEFT JOIN earned e ON e.job = s.job_id::text
      LEFT JOIN credited k ON k.job_id = s.job_id
      LEFT JOIN given_back g ON g.job = s.job_id::text AND g.code = 'charge_back'
      LEFT JOIN given_back h ON h.job = s.job_id::text AND h.code = 'earnings_back'
     WHERE s.amount_fen + coalesce(k.fen, 0) <> coalesce(c.fen, 0)
        OR coalesce(k.fen, 0) <> -coalesce(g.fen, 0)
        OR coalesce(k.fen, 0) <> -coalesce(h.fen, 0)
        OR s.amount_fen <> coalesce(p.amount_fen, 0) + coalesce(b.fen, 0)
        OR s.amount_fen <> coalesce(e.fen, 0)
"""
STRAY_POSTS = """
    SELECT 'transfer ' || p.id || ': the hold of job ' || j.id || ' was posted without settling it'
      FROM ledger_transfer p
      JOIN jobs_job j ON j.hold_id = p.pending_id
      LEFT JOIN metering_settlement s ON s.job_id = j.id
     WHERE p.kind = 'post' AND s.job_id IS NULL
"""

COUNT_EARNINGS = "SELECT count(*) FROM ledger_transfer WHERE code = 'earnings'"
WRONG_EARNINGS = """
    WITH charged AS (
        SELECT c.job_id::text AS job, c.provider_id::text AS provider, sum(c.amount_fen) AS fen
          FROM metering_charge c JOIN metering_settlement s ON s.job_id = c.job_id
         GROUP BY 1, 2 HAVING sum(c.amount_fen) > 0),
    earned AS (
        SELECT t.facts->>'job' AS job, a.owner AS provider,
               sum(CASE t.code WHEN 'earnings' THEN t.amount_fen ELSE -t.amount_fen END) AS fen
          FROM ledger_transfer t JOIN ledger_account a
            ON a.id = CASE t.code WHEN 'earnings' THEN t.credit_account_id
                                  ELSE t.debit_account_id END
         WHERE t.code IN ('earnings', 'earnings_back') GROUP BY 1, 2)
    SELECT 'job ' || coalesce(c.job, e.job) || ', provider ' || coalesce(c.provider, e.provider)
           || ': charged ' || coalesce(c.fen, 0) || ', earned ' || coalesce(e.fen, 0) || ' fen'
      FROM charged c FULL JOIN earned e ON e.job = c.job AND e.provider = c.provider
     WHERE coalesce(c.fen, 0) <> coalesce(e.fen, 0)
"""

COUNT_CLEARING = """
    SELECT count(*) FROM ledger_transfer t JOIN ledger_account a
        ON a.id IN (t.debit_account_id, t.credit_account_id) WHERE a.code = 'clearing'
"""
CLEARING_LEFT = """
    SELECT 'clearing: ' || sum(CASE WHEN t.credit_account_id = a.id THEN t.amount_fen
                                    ELSE -t.amount_fen END) || ' fen were posted to nobody'
      FROM ledger_transfer t JOIN ledger_account a
        ON a.id IN (t.debit_account_id, t.credit_account_id)
     WHERE a.code = 'clearing' AND t.kind IN ('transfer', 'post')
     GROUP BY a.id
    HAVING sum(CASE WHEN t.credit_account_id = a.id THEN t.amount_fen ELSE -t.amount_fen END) <> 0
"""

COUNT_INVOICES = "SELECT count(*) FROM metering_invoice"
WRONG_INVOICES = """
    SELECT 'invoice ' || i.number || ': total ' || i.total_fen || ', lines '
           || coalesce(sum(l.amount_fen), 0) || ' fen'
      FROM metering_invoice i LEFT JOIN metering_invoiceline l ON l.invoice_id = i.id
     GROUP BY i.id HAVING i.total_fen <> coalesce(sum(l.amount_fen), 0)
    UNION ALL
    SELECT 'invoice ' || i.number || ' line ' || l.position || ': not the charge it stands for'
      FROM metering_invoiceline l
      JOIN metering_invoice i ON i.id = l.invoice_id
      JOIN metering_charge c ON c.id = l.charge_id
      LEFT JOIN metering_settlement s ON s.job_id = c.job_id
     WHERE l.amount_fen <> c.amount_fen OR i.organisation_id <> c.organisation_id
        OR i.provider_id <> c.provider_id OR s.job_id IS NULL
"""

COUNT_SERIES = "SELECT coalesce(sum(last), 0) FROM metering_numberseries WHERE name LIKE 'F%'"
NUMBER_GAPS = """
    SELECT 'series ' || n.name || ': ' || n.last || ' numbers given, ' || count(i.id) || ' invoices'
      FROM metering_numberseries n
      LEFT JOIN metering_invoice i ON i.number LIKE n.name || '-%'
     WHERE n.name LIKE 'F%' GROUP BY n.name, n.last HAVING count(i.id) <> n.last
"""

COUNT_PAYMENTS = "SELECT count(*) FROM metering_payment"
WRONG_PAYMENTS = """
    SELECT 'invoice ' || i.number || ': ' || CASE
             WHEN p.id IS NULL THEN 'is called paid, but nothing was paid'
             WHEN i.status <> 'paid' THEN 'was paid, but is not called so'
             WHEN p.amount_fen <> i.total_fen THEN 'was not paid in full'
             WHEN t.id IS NULL THEN 'its payment is not in the ledger'
             ELSE 'its payment is another one in the ledger' END
      FROM metering_invoice i
      LEFT JOIN metering_payment p ON p.invoice_id = i.id
      LEFT JOIN ledger_transfer t ON t.id = p.transfer_id
      LEFT JOIN ledger_account debit ON debit.id = t.debit_account_id
      LEFT JOIN ledger_account credit ON credit.id = t.credit_account_id
     WHERE (i.status = 'paid') <> (p.id IS NOT NULL)
        OR (p.id IS NOT NULL AND (p.amount_fen <> i.total_fen OR t.id IS NULL
            OR t.amount_fen <> p.amount_fen OR t.kind <> 'transfer' OR debit.code <> 'bank'
            OR credit.code <> 'spend' OR credit.owner <> i.organisation_id::text))
    UNION ALL
    SELECT 'transfer ' || t.id || ': a payment in the ledger that no invoice knows'
      FROM ledger_transfer t LEFT JOIN metering_payment p ON p.transfer_id = t.id
     WHERE t.code = 'payment' AND p.id IS NULL
"""
