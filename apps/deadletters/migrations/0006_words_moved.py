from typing import Any

from django.db import connection, migrations

AT_ONCE = 5_000
COPY = """
WITH walked AS MATERIALIZED (SELECT id, words FROM deadletters_deadletter WHERE id > %s ORDER BY id LIMIT %s),
     put AS (INSERT INTO deadletters_letterwords (letter_id, words) SELECT id, words FROM walked WHERE words <> ''
             ON CONFLICT (letter_id) DO NOTHING)
SELECT id FROM walked ORDER BY id DESC LIMIT 1
"""
INDEX = """
CREATE INDEX CONCURRENTLY IF NOT EXISTS deadletter_words ON deadletters_deadletter USING gin (upper(words) gin_trgm_ops)
"""


def copy(apps: Any, schema_editor: Any) -> None:
    """Put the words of what failed before where searches look; may be broken off and begun again."""
    last: Any = "00000000-0000-0000-0000-000000000000"
    with connection.cursor() as cursor:
        while last:
            cursor.execute(COPY, [last, AT_ONCE])
            last = (cursor.fetchone() or [None])[0]


class Migration(migrations.Migration):
    atomic = False  # the words are copied, and the index goes, while work goes on

    dependencies = [("deadletters", "0005_letter_words")]
    operations = [
        migrations.RunPython(copy, migrations.RunPython.noop),
        migrations.SeparateDatabaseAndState(
            # The column stays for the version before, which finds its words a little slower from now on.
            database_operations=[
                migrations.RunSQL("DROP INDEX CONCURRENTLY IF EXISTS deadletter_words", INDEX),
            ],
            state_operations=[
                migrations.RemoveIndex(model_name="deadletter", name="deadletter_words"),
                migrations.RemoveField(model_name="deadletter", name="words"),
            ],
        ),
    ]
