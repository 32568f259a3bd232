from django.db import migrations


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("expansion", "0001_column")]
    operations = [
        migrations.RunSQL(
            "CREATE INDEX CONCURRENTLY operation_expanded ON operations_pendingoperation (expanded, id)",
            "DROP INDEX CONCURRENTLY operation_expanded",
        )
    ]
