from django.db import migrations

from suanwang.people.append_only import append_only


class Migration(migrations.Migration):
    dependencies = [("metering", "0002_initial"), ("people", "0002_append_only")]
    operations = [
        append_only("metering_usagerecord"),
        append_only("metering_charge"),
        append_only("metering_invoiceline"),
        append_only("metering_payment"),
    ]
