import django.contrib.postgres.indexes
import django.db.models.functions.text
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False  # the indexes are built while operations go on

    dependencies = [
        ('operations', '0013_counted_at_once'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='pendingoperation',
            index=models.Index(condition=models.Q(('token__isnull', False)), fields=['token'], name='operation_held'),
        ),
        AddIndexConcurrently(
            model_name='pendingoperation',
            index=django.contrib.postgres.indexes.GinIndex(django.contrib.postgres.indexes.OpClass(django.db.models.functions.text.Upper('last_error'), 'gin_trgm_ops'), condition=models.Q(('last_error', ''), _negated=True), name='operation_failure_words'),
        ),
        RemoveIndexConcurrently(
            model_name='pendingoperation',
            name='operation_token',
        ),
        RemoveIndexConcurrently(
            model_name='pendingoperation',
            name='operation_error_words',
        ),
    ]
