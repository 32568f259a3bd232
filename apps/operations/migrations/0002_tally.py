from django.db import migrations

TRIGGERS = """
CREATE FUNCTION operations_tally_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO operations_tally (service_id, queue_id, status, archived, change)
    SELECT service_id, queue_id, status, archived_at IS NOT NULL, count(*)
      FROM added GROUP BY 1, 2, 3, 4;
    RETURN NULL;
END $$;

CREATE FUNCTION operations_tally_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO operations_tally (service_id, queue_id, status, archived, change)
    SELECT service_id, queue_id, status, archived_at IS NOT NULL, -count(*)
      FROM gone GROUP BY 1, 2, 3, 4;
    RETURN NULL;
END $$;

CREATE FUNCTION operations_tally_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO operations_tally (service_id, queue_id, status, archived, change)
    SELECT service_id, queue_id, status, archived, sum(one)
      FROM (SELECT service_id, queue_id, status, archived_at IS NOT NULL AS archived, 1 AS one FROM added
            UNION ALL
            SELECT service_id, queue_id, status, archived_at IS NOT NULL, -1 FROM gone) AS moved
     GROUP BY 1, 2, 3, 4 HAVING sum(one) <> 0;
    RETURN NULL;
END $$;

CREATE TRIGGER operations_tally_insert AFTER INSERT ON operations_pendingoperation
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION operations_tally_insert();
CREATE TRIGGER operations_tally_delete AFTER DELETE ON operations_pendingoperation
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION operations_tally_delete();
CREATE TRIGGER operations_tally_update AFTER UPDATE ON operations_pendingoperation
    REFERENCING OLD TABLE AS gone NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION operations_tally_update();
"""

UNDO = """
DROP TRIGGER operations_tally_insert ON operations_pendingoperation;
DROP TRIGGER operations_tally_delete ON operations_pendingoperation;
DROP TRIGGER operations_tally_update ON operations_pendingoperation;
DROP FUNCTION operations_tally_insert, operations_tally_delete, operations_tally_update;
"""


class Migration(migrations.Migration):
    dependencies = [("operations", "0001_initial")]
    operations = [migrations.RunSQL(TRIGGERS, UNDO)]
