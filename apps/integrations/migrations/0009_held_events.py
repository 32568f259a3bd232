from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False  # the index is built while events come in

    dependencies = [
        ('integrations', '0008_events_today'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='integrationevent',
            index=models.Index(condition=models.Q(('token__isnull', False)), fields=['token'], name='event_held'),
        ),
        RemoveIndexConcurrently(
            model_name='integrationevent',
            name='event_token',
        ),
    ]
