from django.db import migrations

from suanwang.people.append_only import append_only


class Migration(migrations.Migration):
    dependencies = [("vouchers", "0002_decided_by_packages"), ("people", "0002_append_only")]
    operations = [append_only("vouchers_policypackage")]
