from django.db import migrations


class Migration(migrations.Migration):
    dependencies = []
    operations = [
        migrations.RunSQL(
            f"ALTER TABLE {table} ADD COLUMN expanded text NOT NULL DEFAULT ''", f"ALTER TABLE {table} DROP COLUMN expanded"
        )
        for table in ("operations_pendingoperation", "operations_attempt", "integrations_service", "jobs_queue")
    ]
