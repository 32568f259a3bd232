from importlib import import_module

from django.db import migrations

# Three triggers went over the rows of each statement, one after the other. Now one looks at each row once, and what it
# finds, a few groups, is told to all three tables. How they count is what it was.
BEFORE = [import_module(f"apps.operations.migrations.{name}") for name in ("0002_tally", "0010_flows", "0012_ended")]

PLACE = """
    service_id, queue_id, status, archived_at IS NOT NULL AS archived,
    CASE WHEN status = 'completed' AND completed_at > now() - interval '2 days'
         THEN date_bin('15 minutes', completed_at, 'epoch')
         WHEN status = 'failed' AND archived_at IS NULL AND failed_at > now() - interval '2 days'
         THEN date_bin('15 minutes', failed_at, 'epoch') END AS quarter
"""
FLOW = """
    flow AS (
        INSERT INTO operations_flow (queue_id, minute, way, change)
        SELECT queue_id, date_trunc('minute', statement_timestamp()),
               CASE WHEN sum(change) > 0 THEN 'in' ELSE 'out' END, abs(sum(change))
          FROM moved WHERE status IN ('pending', 'processing') GROUP BY 1 HAVING sum(change) <> 0),
"""
TELL = """
    tally AS (
        INSERT INTO operations_tally (service_id, queue_id, status, archived, change)
        SELECT service_id, queue_id, status, archived, sum(change)
          FROM moved GROUP BY 1, 2, 3, 4 HAVING sum(change) <> 0)
    INSERT INTO operations_ended (service_id, status, quarter, change)
    SELECT service_id, status, quarter, sum(change)
      FROM moved WHERE quarter IS NOT NULL GROUP BY 1, 2, 3 HAVING sum(change) <> 0
"""
TRIGGERS = f"""
CREATE FUNCTION operations_count_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WITH moved AS MATERIALIZED (SELECT {PLACE}, count(*) AS change FROM added GROUP BY 1, 2, 3, 4, 5),
    {FLOW} {TELL};
    RETURN NULL;
END $$;

CREATE FUNCTION operations_count_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WITH moved AS MATERIALIZED (SELECT {PLACE}, -count(*) AS change FROM gone GROUP BY 1, 2, 3, 4, 5),
    {TELL};
    RETURN NULL;
END $$;

CREATE FUNCTION operations_count_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WITH moved AS MATERIALIZED (
        SELECT service_id, queue_id, status, archived, quarter, sum(one) AS change
          FROM (SELECT {PLACE}, 1 AS one FROM added UNION ALL SELECT {PLACE}, -1 FROM gone) AS rows
         GROUP BY 1, 2, 3, 4, 5 HAVING sum(one) <> 0),
    {FLOW} {TELL};
    RETURN NULL;
END $$;

CREATE TRIGGER operations_count_insert AFTER INSERT ON operations_pendingoperation
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION operations_count_insert();
CREATE TRIGGER operations_count_delete AFTER DELETE ON operations_pendingoperation
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION operations_count_delete();
CREATE TRIGGER operations_count_update AFTER UPDATE ON operations_pendingoperation
    REFERENCING OLD TABLE AS gone NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION operations_count_update();
"""
UNDO = """
DROP TRIGGER operations_count_insert ON operations_pendingoperation;
DROP TRIGGER operations_count_delete ON operations_pendingoperation;
DROP TRIGGER operations_count_update ON operations_pendingoperation;
DROP FUNCTION operations_count_insert, operations_count_delete, operations_count_update;
DELETE FROM operations_ended;
"""  # 0012 counts anew what ended


class Migration(migrations.Migration):
    dependencies = [("operations", "0012_ended")]
    operations = [
        migrations.RunSQL(
            "".join([*(each.UNDO for each in BEFORE), TRIGGERS]), "".join([UNDO, *(each.TRIGGERS for each in BEFORE)])
        )
    ]
