from typing import Any

from django.db import migrations

TICK = "tick"


def make_tick(apps: Any, schema_editor: Any) -> None:
    """Let beat tick every five seconds; staff may change the row, and migrate never overwrites it."""
    IntervalSchedule = apps.get_model("django_celery_beat", "IntervalSchedule")
    PeriodicTask = apps.get_model("django_celery_beat", "PeriodicTask")
    every, _made = IntervalSchedule.objects.get_or_create(every=5, period="seconds")
    PeriodicTask.objects.get_or_create(
        name=TICK, defaults={"task": "apps.jobs.tasks.tick", "interval": every, "enabled": True}
    )


class Migration(migrations.Migration):
    dependencies = [
        ("jobs", "0001_initial"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]
    operations = [migrations.RunPython(make_tick, migrations.RunPython.noop)]
