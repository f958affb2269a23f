-- What the database itself refuses, whatever code inserts: an entry that does not follow from the
-- entry before it and from its transfer, or that breaks its account's limit. It runs once per
-- statement, so a batch costs one pass. Nested loops only: the plan is kept for the session and
-- must stay good while the tables grow from nothing.
CREATE FUNCTION ledger_guard_entries() RETURNS trigger LANGUAGE plpgsql
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
DECLARE
    broken text;
BEGIN
    SELECT judged.problem || ' on account ' || judged.account_id || ' version ' || judged.version
      INTO broken
      FROM (
        SELECT e.account_id, e.version, CASE
            WHEN t.id IS NULL THEN 'entry_without_transfer'
            WHEN (p.version IS NULL) <> (e.version = 1) THEN 'entry_out_of_sequence'
            WHEN e.account_id <> CASE e.side WHEN 'debit' THEN t.debit_account_id
                                             ELSE t.credit_account_id END
              OR t.ledger <> a.ledger
              OR (e.pending_fen, e.posted_fen) IS DISTINCT FROM (
                CASE t.kind WHEN 'transfer' THEN 0
                            WHEN 'pending' THEN t.amount_fen
                            ELSE -held.amount_fen END,
                CASE t.kind WHEN 'transfer' THEN t.amount_fen
                            WHEN 'post' THEN t.amount_fen
                            ELSE 0 END)
                THEN 'entry_is_not_its_transfers'
            WHEN t.pending_id IS NOT NULL AND (
                held.kind <> 'pending' OR t.amount_fen > held.amount_fen
                OR held.debit_account_id <> t.debit_account_id
                OR held.credit_account_id <> t.credit_account_id)
                THEN 'resolution_does_not_fit'
            WHEN (e.debits_pending, e.debits_posted, e.credits_pending, e.credits_posted)
                IS DISTINCT FROM (
                coalesce(p.debits_pending, 0) + CASE e.side WHEN 'debit' THEN e.pending_fen ELSE 0 END,
                coalesce(p.debits_posted, 0) + CASE e.side WHEN 'debit' THEN e.posted_fen ELSE 0 END,
                coalesce(p.credits_pending, 0) + CASE e.side WHEN 'credit' THEN e.pending_fen ELSE 0 END,
                coalesce(p.credits_posted, 0) + CASE e.side WHEN 'credit' THEN e.posted_fen ELSE 0 END)
                THEN 'balance_does_not_follow'
            WHEN a.flags & 1 <> 0 AND e.debits_pending + e.debits_posted > e.credits_posted
                THEN 'exceeds_credits'
            WHEN a.flags & 2 <> 0 AND e.credits_pending + e.credits_posted > e.debits_posted
                THEN 'exceeds_debits'
            WHEN e.hash <> sha256(coalesce(p.hash, a.hash) || t.hash || convert_to(
                e.account_id || '|' || e.version || '|' || e.side || '|' || e.pending_fen || '|'
                || e.posted_fen || '|' || e.debits_pending || '|' || e.debits_posted || '|'
                || e.credits_pending || '|' || e.credits_posted, 'UTF8'))
                THEN 'hash_does_not_follow'
            END AS problem
          FROM added e
          JOIN ledger_account a ON a.id = e.account_id
          LEFT JOIN ledger_transfer t ON t.id = e.transfer_id
          LEFT JOIN ledger_transfer held ON held.id = t.pending_id
          LEFT JOIN ledger_entry p ON p.account_id = e.account_id AND p.version = e.version - 1
      ) judged
     WHERE judged.problem IS NOT NULL
     LIMIT 1;
    IF broken IS NOT NULL THEN
        RAISE EXCEPTION 'ledger_guard: %', broken USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER ledger_guard AFTER INSERT ON ledger_entry
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_guard_entries();

-- A transfer without both its entries would move nothing: refused when the transaction commits.
CREATE FUNCTION ledger_guard_transfer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(*) FROM ledger_entry WHERE transfer_id = NEW.id) <> 2 THEN
        RAISE EXCEPTION 'ledger_guard: transfer_without_entries %', NEW.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER ledger_guard AFTER INSERT ON ledger_transfer
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION ledger_guard_transfer();
