import django.contrib.postgres.indexes
import django.db.models.functions.text
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False  # the index is built while operations go on

    dependencies = [
        ('operations', '0014_lean_indexes'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='pendingoperation',
            index=django.contrib.postgres.indexes.GinIndex(django.contrib.postgres.indexes.OpClass(django.db.models.functions.text.Upper('last_error__told'), 'gin_trgm_ops'), condition=models.Q(('last_error__told__isnull', False)), name='operation_error_told'),
        ),
        # Of what a partial index holds the planner knows nothing by itself: a word that is in every error looked rare to it.
        migrations.RunSQL(
            "CREATE STATISTICS IF NOT EXISTS operation_error_told ON upper(nullif(last_error, '')) FROM operations_pendingoperation",
            "DROP STATISTICS IF EXISTS operation_error_told",
        ),
        migrations.RunSQL("ANALYZE operations_pendingoperation", migrations.RunSQL.noop),
        RemoveIndexConcurrently(
            model_name='pendingoperation',
            name='operation_failure_words',
        ),
    ]
