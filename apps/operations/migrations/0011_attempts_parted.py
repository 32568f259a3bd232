import django.db.models.deletion
from django.db import migrations, models

from apps.jobs.catalogue import Parted
from apps.jobs.parting import parting


class Migration(migrations.Migration):
    dependencies = [("operations", "0010_flows")]
    operations = [
        migrations.AlterField(
            model_name="attempt",
            name="operation",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="attempt_set",
                to="operations.pendingoperation",
                verbose_name="operation",
            ),
        ),
        parting(Parted("operations_attempt", "at", "day", ahead=7)),
    ]
