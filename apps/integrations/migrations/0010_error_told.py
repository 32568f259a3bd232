import django.contrib.postgres.indexes
import django.db.models.functions.text
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False  # the index is built while events come in

    dependencies = [
        ('integrations', '0009_held_events'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='integrationevent',
            index=django.contrib.postgres.indexes.GinIndex(django.contrib.postgres.indexes.OpClass(django.db.models.functions.text.Upper('last_error__told'), 'gin_trgm_ops'), condition=models.Q(('last_error__told__isnull', False)), name='event_error_told'),
        ),
        # Of what a partial index holds the planner knows nothing by itself: a word that is in every error looked rare to it.
        migrations.RunSQL(
            "CREATE STATISTICS IF NOT EXISTS event_error_told ON upper(nullif(last_error, '')) FROM integrations_integrationevent",
            "DROP STATISTICS IF EXISTS event_error_told",
        ),
        migrations.RunSQL("ANALYZE integrations_integrationevent", migrations.RunSQL.noop),
        RemoveIndexConcurrently(
            model_name='integrationevent',
            name='event_error_words',
        ),
    ]
