from django.db import migrations

from suanwang.people.append_only import append_only


class Migration(migrations.Migration):
    dependencies = [("metering", "0004_money_details"), ("people", "0002_append_only")]
    operations = [append_only("metering_refusedusage"), append_only("metering_settlement")]
