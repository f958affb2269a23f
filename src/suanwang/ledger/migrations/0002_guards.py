from pathlib import Path

from django.db import migrations

from suanwang.people.append_only import append_only

GUARD = Path(__file__).with_suffix(".sql")
UNDO = """
DROP TRIGGER ledger_guard ON ledger_transfer;
DROP FUNCTION ledger_guard_transfer();
DROP TRIGGER ledger_guard ON ledger_entry;
DROP FUNCTION ledger_guard_entries();
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0001_initial"), ("people", "0002_append_only")]
    operations = [
        append_only("ledger_account"),
        append_only("ledger_transfer"),
        append_only("ledger_entry"),
        migrations.RunSQL(GUARD.read_text(encoding="utf-8"), UNDO),
    ]
