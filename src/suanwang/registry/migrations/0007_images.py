"""Whether a cluster runs jobs in container images they name."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0006_cards_nobody_knows"),
    ]

    operations = [
        migrations.AddField(
            model_name="cluster",
            name="images",
            field=models.BooleanField(default=False),
        ),
    ]
