from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False  # the index is built while operations go on

    dependencies = [
        ('integrations', '0008_events_today'),
        ('jobs', '0002_tick'),
        ('operations', '0008_events'),
    ]

    operations = [
        migrations.AddField(
            model_name='pendingoperation',
            name='restored_at',
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name='restored at'),
        ),
        AddIndexConcurrently(
            model_name='pendingoperation',
            index=models.Index(condition=models.Q(('restored_at__isnull', False)), fields=['id'], name='operation_restored'),
        ),
    ]
