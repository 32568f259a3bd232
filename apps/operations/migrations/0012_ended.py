import django.db.models.deletion
from django.db import migrations, models

ENDED = """
    SELECT service_id, status,
           date_bin('15 minutes', CASE status WHEN 'completed' THEN completed_at ELSE failed_at END, 'epoch') AS quarter
      FROM {rows}
     WHERE status = 'completed' AND completed_at > now() - interval '2 days'
        OR status = 'failed' AND archived_at IS NULL AND failed_at > now() - interval '2 days'
"""
ADDED, GONE, THERE = (ENDED.format(rows=rows) for rows in ("added", "gone", "operations_pendingoperation"))
INTO = "INSERT INTO operations_ended (service_id, status, quarter, change)"
TRIGGERS = f"""
CREATE FUNCTION operations_ended_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {INTO} SELECT service_id, status, quarter, count(*) FROM ({ADDED}) AS ended GROUP BY 1, 2, 3;
    RETURN NULL;
END $$;

CREATE FUNCTION operations_ended_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {INTO} SELECT service_id, status, quarter, -count(*) FROM ({GONE}) AS ended GROUP BY 1, 2, 3;
    RETURN NULL;
END $$;

CREATE FUNCTION operations_ended_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {INTO} SELECT service_id, status, quarter, sum(one)
      FROM (SELECT *, 1 AS one FROM ({ADDED}) AS now UNION ALL SELECT *, -1 FROM ({GONE}) AS before) AS ended
     GROUP BY 1, 2, 3 HAVING sum(one) <> 0;
    RETURN NULL;
END $$;

CREATE TRIGGER operations_ended_insert AFTER INSERT ON operations_pendingoperation
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION operations_ended_insert();
CREATE TRIGGER operations_ended_delete AFTER DELETE ON operations_pendingoperation
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION operations_ended_delete();
CREATE TRIGGER operations_ended_update AFTER UPDATE ON operations_pendingoperation
    REFERENCING OLD TABLE AS gone NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION operations_ended_update();

{INTO} SELECT service_id, status, quarter, count(*) FROM ({THERE}) AS ended GROUP BY 1, 2, 3;
"""

UNDO = """
DROP TRIGGER operations_ended_insert ON operations_pendingoperation;
DROP TRIGGER operations_ended_delete ON operations_pendingoperation;
DROP TRIGGER operations_ended_update ON operations_pendingoperation;
DROP FUNCTION operations_ended_insert, operations_ended_delete, operations_ended_update;
"""


class Migration(migrations.Migration):
    dependencies = [("integrations", "0008_events_today"), ("operations", "0011_attempts_parted")]
    operations = [
        migrations.CreateModel(
            name="Ended",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("status", models.CharField(max_length=20)),
                ("quarter", models.DateTimeField()),
                ("change", models.BigIntegerField()),
                (
                    "service",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="integrations.service",
                    ),
                ),
            ],
            options={"verbose_name": "tally of ends", "verbose_name_plural": "tallies of ends"},
        ),
        migrations.RunSQL(TRIGGERS, UNDO),
    ]
