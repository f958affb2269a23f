"""The questions the voucher audit asks the database; each row of an answer is a broken promise."""

from __future__ import annotations

COUNT_VOUCHERS = "SELECT count(*) FROM vouchers_voucher"
WRONG_NUMBERS = """
    WITH standing AS (
        SELECT v.id, v.number, v.face_fen,
               coalesce(sum(t.amount_fen) FILTER (WHERE t.credit_account_id = a.id
                   AND t.kind = 'transfer'), 0) AS granted,
               coalesce(sum(t.amount_fen) FILTER (WHERE t.debit_account_id = a.id
                   AND t.kind = 'transfer'), 0) AS expired,
               coalesce(sum(t.amount_fen) FILTER (WHERE t.debit_account_id = a.id
                   AND t.kind = 'post'), 0) AS redeemed,
               coalesce(sum(t.amount_fen) FILTER (WHERE t.debit_account_id = a.id
                   AND t.kind = 'pending' AND r.id IS NULL), 0) AS reserved
          FROM vouchers_voucher v
          LEFT JOIN ledger_account a ON a.code = 'voucher' AND a.owner = v.id::text
          LEFT JOIN ledger_transfer t ON a.id IN (t.debit_account_id, t.credit_account_id)
          LEFT JOIN ledger_transfer r ON r.pending_id = t.id
         GROUP BY v.id),
    claimed AS (
        SELECT voucher_id,
               coalesce(sum(amount_fen) FILTER (WHERE state = 'filed'), 0) AS filed,
               coalesce(sum(amount_fen) FILTER (WHERE state IN ('approved', 'ordered', 'paid')), 0)
                   AS approved
          FROM vouchers_claim GROUP BY voucher_id)
    SELECT 'voucher ' || s.number || ': face ' || s.face_fen || ', granted ' || s.granted
           || ', reserved ' || s.reserved || ' for claims of ' || coalesce(c.filed, 0)
           || ', redeemed ' || s.redeemed || ' for claims of ' || coalesce(c.approved, 0)
           || ', expired ' || s.expired || ' fen'
      FROM standing s LEFT JOIN claimed c ON c.voucher_id = s.id
     WHERE s.granted <> s.face_fen
        OR s.reserved <> coalesce(c.filed, 0)
        OR s.redeemed <> coalesce(c.approved, 0)
        OR s.granted < s.reserved + s.redeemed + s.expired
"""

COUNT_LINES = "SELECT count(*) FROM vouchers_claimline"
CLAIMED_TWICE = """
    SELECT 'invoice line ' || l.invoice_line_id || ': under ' || count(*) || ' live claims'
      FROM vouchers_claimline l JOIN vouchers_claim c ON c.id = l.claim_id
     WHERE c.state IN ('filed', 'approved', 'ordered', 'paid')
     GROUP BY l.invoice_line_id HAVING count(*) > 1
    UNION ALL
    SELECT 'claim ' || c.number || ': ' || c.state || ', but its lines are '
           || CASE WHEN l.released THEN 'released' ELSE 'not released' END
      FROM vouchers_claimline l JOIN vouchers_claim c ON c.id = l.claim_id
     WHERE l.released <> (c.state IN ('rejected', 'withdrawn'))
"""
UNPAID_LINES = """
    SELECT 'claim ' || c.number || ': invoice ' || i.number || ' is ' || CASE
             WHEN i.organisation_id <> c.organisation_id THEN 'not its own'
             ELSE 'not fully paid' END
      FROM vouchers_claimline l
      JOIN vouchers_claim c ON c.id = l.claim_id
      JOIN metering_invoiceline n ON n.id = l.invoice_line_id
      JOIN metering_invoice i ON i.id = n.invoice_id
      LEFT JOIN metering_payment p ON p.invoice_id = i.id AND p.amount_fen = i.total_fen
     WHERE c.state IN ('filed', 'approved', 'ordered', 'paid')
       AND (i.status <> 'paid' OR p.id IS NULL OR i.organisation_id <> c.organisation_id
            OR p.recorded_at > c.filed_at)
    UNION ALL
    SELECT 'claim ' || c.number || ': claims more of a line than its use came to'
      FROM vouchers_claimline l
      JOIN vouchers_claim c ON c.id = l.claim_id
      JOIN metering_invoiceline n ON n.id = l.invoice_line_id
      JOIN metering_charge h ON h.id = n.charge_id
      JOIN metering_usagerecord u ON u.record_id = h.usage_id
     WHERE c.state IN ('filed', 'approved', 'ordered', 'paid')
       AND (l.fee_fen <= 0 OR l.fee_fen > n.amount_fen + (
               SELECT coalesce(sum(x.amount_fen), 0)
                 FROM metering_charge x
                 JOIN metering_usagerecord y ON y.record_id = x.usage_id
                WHERE y.attempt_id = u.attempt_id AND y.meter = u.meter
                  AND x.basis = 'corrected' AND x.id <> h.id))
    UNION ALL
    SELECT 'claim ' || c.number || ': claims a correction beside what it corrects'
      FROM vouchers_claimline l
      JOIN vouchers_claim c ON c.id = l.claim_id
      JOIN metering_invoiceline n ON n.id = l.invoice_line_id
      JOIN metering_charge h ON h.id = n.charge_id
      JOIN metering_usagerecord u ON u.record_id = h.usage_id
     WHERE c.state IN ('filed', 'approved', 'ordered', 'paid') AND h.basis = 'corrected'
       AND EXISTS (
               SELECT 1 FROM metering_usagerecord y
                 JOIN metering_charge x ON x.usage_id = y.record_id
                 JOIN metering_invoiceline m ON m.charge_id = x.id
                WHERE y.attempt_id = u.attempt_id AND y.meter = u.meter
                  AND y.sequence < u.sequence)
    UNION ALL
    SELECT 'claim ' || c.number || ': stands on ' || coalesce(sum(l.fee_fen), 0)
           || ' fen of fees, says ' || c.paid_fee_fen
      FROM vouchers_claim c LEFT JOIN vouchers_claimline l ON l.claim_id = c.id
     GROUP BY c.id HAVING c.paid_fee_fen <> coalesce(sum(l.fee_fen), 0)
"""

COUNT_CLAIMS = "SELECT count(*) FROM vouchers_claim"
WRONG_RESERVES = """
    SELECT 'claim ' || c.number || ' (' || c.state || '): its reserve is ' || CASE
             WHEN t.id IS NULL THEN 'not in the ledger'
             WHEN t.amount_fen <> c.amount_fen THEN 'of another amount'
             WHEN a.owner <> c.voucher_id::text THEN 'on another voucher'
             ELSE coalesce(r.kind || 'ed', 'open') END
      FROM vouchers_claim c
      LEFT JOIN ledger_transfer t ON t.id = c.reserve_id AND t.kind = 'pending'
      LEFT JOIN ledger_account a ON a.id = t.debit_account_id AND a.code = 'voucher'
      LEFT JOIN ledger_transfer r ON r.pending_id = t.id
     WHERE t.id IS NULL OR t.amount_fen <> c.amount_fen
        OR a.owner IS DISTINCT FROM c.voucher_id::text
        OR CASE WHEN c.state = 'filed' THEN r.id IS NOT NULL
                WHEN c.state IN ('rejected', 'withdrawn') THEN r.kind IS DISTINCT FROM 'void'
                ELSE r.kind IS DISTINCT FROM 'post' OR r.amount_fen <> c.amount_fen END
"""
UNCOUNTED_APPROVALS = """
    WITH counted AS (
        SELECT split_part(a.owner, ':', 2) AS organisation, sum(t.amount_fen) AS fen
          FROM ledger_transfer t JOIN ledger_account a ON a.id = t.debit_account_id
         WHERE t.code = 'payment_allowance' GROUP BY 1),
    approved AS (
        SELECT organisation_id::text AS organisation, sum(amount_fen) AS fen
          FROM vouchers_claim WHERE state IN ('approved', 'ordered', 'paid') GROUP BY 1)
    SELECT 'organisation ' || coalesce(c.organisation, a.organisation) || ': approved '
           || coalesce(a.fen, 0) || ', counted against its cap ' || coalesce(c.fen, 0) || ' fen'
      FROM counted c FULL JOIN approved a ON a.organisation = c.organisation
     WHERE c.fen IS DISTINCT FROM a.fen
"""
