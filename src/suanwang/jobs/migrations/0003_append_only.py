from django.db import migrations

from suanwang.people.append_only import append_only


class Migration(migrations.Migration):
    dependencies = [("jobs", "0002_initial"), ("people", "0002_append_only")]
    operations = [append_only("jobs_jobevent")]
