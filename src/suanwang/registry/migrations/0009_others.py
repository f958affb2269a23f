from django.db import migrations


class Migration(migrations.Migration):
    """What was free of a node becomes what others use of it: another figure, so the old one goes;
    an agent's next report tells the new one."""

    dependencies = [
        ("registry", "0008_link_measurements"),
    ]

    operations = [
        migrations.RunSQL(
            "UPDATE registry_node SET free_cores = NULL, free_memory_mib = NULL,"
            " free_accelerators = NULL WHERE free_cores IS NOT NULL",
            migrations.RunSQL.noop,
        ),
        migrations.RenameField("node", "free_cores", "others_cores"),
        migrations.RenameField("node", "free_memory_mib", "others_memory_mib"),
        migrations.RenameField("node", "free_accelerators", "others_accelerators"),
    ]
