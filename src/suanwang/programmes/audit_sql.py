"""The questions the audit of programmes asks; each row of an answer is a broken promise."""

from __future__ import annotations

COUNT_APPLICATIONS = "SELECT count(*) FROM programmes_application"
WRONG_GRANTS = """
    SELECT 'application ' || a.number || ': ' || CASE
             WHEN v.id IS NULL THEN 'granted, but there is no voucher'
             WHEN v.face_fen > a.asked_fen THEN 'got more than it asked'
             WHEN v.holder_id <> a.organisation_id THEN 'another organisation got the voucher'
             ELSE 'has a voucher without a grant' END
      FROM programmes_application a LEFT JOIN vouchers_voucher v ON v.id = a.voucher_id
     WHERE (a.state = 'granted') <> (v.id IS NOT NULL)
        OR v.face_fen > a.asked_fen OR v.holder_id <> a.organisation_id
    UNION ALL
    SELECT 'voucher ' || v.number || ': nobody applied for it'
      FROM vouchers_voucher v LEFT JOIN programmes_application a ON a.voucher_id = v.id
     WHERE a.id IS NULL
"""

COUNT_ORDERS = "SELECT count(*) FROM programmes_paymentorder"
UNEVEN_SHARES = """
    SELECT 'order ' || o.number || ': claim ' || c.amount_fen || ', order ' || o.amount_fen
           || ', shares ' || coalesce(sum(s.amount_fen), 0) || ' fen'
      FROM programmes_paymentorder o
      JOIN vouchers_claim c ON c.id = o.claim_id
      LEFT JOIN programmes_paymentshare s ON s.order_id = o.id
     GROUP BY o.id, c.id
    HAVING o.amount_fen <> coalesce(sum(s.amount_fen), 0) OR o.amount_fen <> c.amount_fen
"""
PAID_WITHOUT_RIGHT = """
    SELECT 'order ' || o.number || ': ' || CASE
             WHEN c.reviewed_at IS NULL OR c.reviewed_at > o.ordered_at
               THEN 'its claim was not approved before'
             WHEN c.state NOT IN ('ordered', 'paid') THEN 'its claim is ' || c.state
             ELSE 'an invoice of its claim is not fully paid' END
      FROM programmes_paymentorder o
      JOIN vouchers_claim c ON c.id = o.claim_id
     WHERE o.state <> 'returned'
       AND (c.reviewed_at IS NULL OR c.reviewed_at > o.ordered_at
            OR c.state NOT IN ('ordered', 'paid')
            OR EXISTS (
                SELECT 1 FROM vouchers_claimline l
                  JOIN metering_invoiceline n ON n.id = l.invoice_line_id
                  JOIN metering_invoice i ON i.id = n.invoice_id
                  LEFT JOIN metering_payment p ON p.invoice_id = i.id AND p.amount_fen = i.total_fen
                 WHERE l.claim_id = c.id AND (p.id IS NULL OR p.recorded_at > o.ordered_at)))
    UNION ALL
    SELECT 'claim ' || c.number || ': ' || c.state || ' without an order'
      FROM vouchers_claim c
     WHERE c.state IN ('ordered', 'paid') AND NOT EXISTS (
        SELECT 1 FROM programmes_paymentorder o
         WHERE o.claim_id = c.id AND o.state = CASE c.state WHEN 'paid' THEN 'paid'
                                                            ELSE 'ordered' END)
"""

COUNT_SHARES = "SELECT count(*) FROM programmes_paymentshare"
WRONG_SHARES = """
    SELECT 'order ' || o.number || ' ' || s.level || ': ' || CASE
             WHEN t.id IS NULL THEN 'is not in the ledger'
             WHEN t.amount_fen <> s.amount_fen THEN 'is another amount in the ledger'
             WHEN debit.owner NOT LIKE '%:' || s.division || ':%' THEN 'burdens another budget'
             ELSE 'receipt "' || s.receipt || '", order ' || o.state || ', in the ledger '
                  || coalesce(r.kind, 'open') END
      FROM programmes_paymentshare s
      JOIN programmes_paymentorder o ON o.id = s.order_id
      JOIN vouchers_claim c ON c.id = o.claim_id
      LEFT JOIN ledger_transfer t ON t.id = s.transfer_id AND t.kind = 'pending'
      LEFT JOIN ledger_account debit ON debit.id = t.debit_account_id AND debit.code = 'fiscal'
      LEFT JOIN ledger_account credit ON credit.id = t.credit_account_id
            AND credit.code = 'subsidy'
      LEFT JOIN ledger_transfer r ON r.pending_id = t.id
     WHERE t.id IS NULL OR t.amount_fen <> s.amount_fen
        OR debit.owner IS NULL OR debit.owner NOT LIKE '%:' || s.division || ':%'
        OR credit.owner IS DISTINCT FROM c.organisation_id::text
        OR CASE WHEN s.receipt <> '' THEN r.kind IS DISTINCT FROM 'post'
                    OR r.amount_fen <> s.amount_fen
                WHEN o.state = 'returned' THEN r.kind IS DISTINCT FROM 'void'
                ELSE r.id IS NOT NULL END
        OR (o.state = 'paid' AND s.receipt = '')
        OR (s.receipt <> '' AND s.receipted_at IS NULL)
    UNION ALL
    SELECT 'order ' || o.number || ': every share is paid, but the order is ' || o.state
      FROM programmes_paymentorder o
     WHERE o.state <> 'paid'
       AND EXISTS (SELECT 1 FROM programmes_paymentshare s WHERE s.order_id = o.id)
       AND NOT EXISTS (
           SELECT 1 FROM programmes_paymentshare s WHERE s.order_id = o.id AND s.receipt = '')
"""

COUNT_DUTIES = "SELECT count(*) FROM vouchers_voucher"
MIXED_DUTIES = """
    WITH done AS (
        SELECT id AS voucher, granted_by_id AS person, 'grant' AS duty FROM vouchers_voucher
         UNION
        SELECT voucher_id, reviewed_by_id, 'review' FROM vouchers_claim
         WHERE reviewed_by_id IS NOT NULL
         UNION
        SELECT c.voucher_id, o.ordered_by_id, 'pay' FROM programmes_paymentorder o
          JOIN vouchers_claim c ON c.id = o.claim_id
         UNION
        SELECT c.voucher_id, s.receipted_by_id, 'pay' FROM programmes_paymentshare s
          JOIN programmes_paymentorder o ON o.id = s.order_id
          JOIN vouchers_claim c ON c.id = o.claim_id WHERE s.receipted_by_id IS NOT NULL)
    SELECT 'voucher ' || v.number || ': one person did ' || string_agg(d.duty, ' and ')
      FROM done d JOIN vouchers_voucher v ON v.id = d.voucher
     GROUP BY v.number, d.person HAVING count(*) > 1
"""
