"""Let the server show which statements were slowest, where it counts them and we may ask it to (S4-69)."""

from typing import Any

from django.db import migrations

MAY = """
SELECT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
   AND EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_stat_statements')
"""


def count_statements(_apps: Any, schema_editor: Any) -> None:
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(MAY)
        if cursor.fetchone()[0]:
            cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")


class Migration(migrations.Migration):
    dependencies = [("jobs", "0004_missed_runs")]
    operations = [migrations.RunPython(count_statements, migrations.RunPython.noop, elidable=True)]
