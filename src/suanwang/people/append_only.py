"""Tables whose rows are written once: the database itself refuses to change or remove them."""

from __future__ import annotations

from django.db.migrations import RunSQL

CREATE_FUNCTION = RunSQL(
    """
    CREATE FUNCTION suanwang_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'append_only: % on % is refused', TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'integrity_constraint_violation';
    END $$
    """,
    "DROP FUNCTION suanwang_append_only()",
)


def append_only(table: str) -> RunSQL:
    """The migration step that lets rows into a table and never lets them change or leave."""
    return RunSQL(
        f"""
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION suanwang_append_only();
        CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION suanwang_append_only();
        """,
        f"""
        DROP TRIGGER append_only ON {table};
        DROP TRIGGER append_only_whole ON {table};
        """,
    )
