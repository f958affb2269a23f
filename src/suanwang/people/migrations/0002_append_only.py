from django.db import migrations

from suanwang.people.append_only import CREATE_FUNCTION, append_only


class Migration(migrations.Migration):
    dependencies = [("people", "0001_initial")]
    operations = [CREATE_FUNCTION, append_only("people_auditevent")]
