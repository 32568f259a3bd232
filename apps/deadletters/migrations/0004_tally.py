from typing import Any

from django.db import migrations

from apps.actions.models import new_id

NAMES = "status, fingerprint, title, error_type, entity_type, service, tenant"

TRIGGERS = f"""
CREATE FUNCTION deadletters_tally_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO deadletters_tally ({NAMES}, change)
    SELECT {NAMES}, count(*) FROM added GROUP BY 1, 2, 3, 4, 5, 6, 7;
    RETURN NULL;
END $$;

CREATE FUNCTION deadletters_tally_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO deadletters_tally ({NAMES}, change)
    SELECT {NAMES}, -count(*) FROM gone GROUP BY 1, 2, 3, 4, 5, 6, 7;
    RETURN NULL;
END $$;

CREATE FUNCTION deadletters_tally_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO deadletters_tally ({NAMES}, change)
    SELECT {NAMES}, sum(one)
      FROM (SELECT {NAMES}, 1 AS one FROM added UNION ALL SELECT {NAMES}, -1 FROM gone) AS moved
     GROUP BY 1, 2, 3, 4, 5, 6, 7 HAVING sum(one) <> 0;
    RETURN NULL;
END $$;

CREATE TRIGGER deadletters_tally_insert AFTER INSERT ON deadletters_deadletter
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION deadletters_tally_insert();
CREATE TRIGGER deadletters_tally_delete AFTER DELETE ON deadletters_deadletter
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION deadletters_tally_delete();
CREATE TRIGGER deadletters_tally_update AFTER UPDATE ON deadletters_deadletter
    REFERENCING OLD TABLE AS gone NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION deadletters_tally_update();
"""

UNDO = """
DROP TRIGGER deadletters_tally_insert ON deadletters_deadletter;
DROP TRIGGER deadletters_tally_delete ON deadletters_deadletter;
DROP TRIGGER deadletters_tally_update ON deadletters_deadletter;
DROP FUNCTION deadletters_tally_insert, deadletters_tally_delete, deadletters_tally_update;
"""

# What failed before is counted, and found by the words of its error.
BEFORE = f"""
UPDATE deadletters_deadletter SET words = concat_ws(E'\\n', left(message, 2000), nullif(entity_id, ''));
INSERT INTO deadletters_tally ({NAMES}, change)
SELECT {NAMES}, count(*) FROM deadletters_deadletter GROUP BY 1, 2, 3, 4, 5, 6, 7;
"""


def make_families(apps: Any, schema_editor: Any) -> None:
    """Make the family of each dead letter that was there before."""
    family, letters = apps.get_model("deadletters", "FailureFamily"), apps.get_model("deadletters", "DeadLetter").objects
    shared = ("fingerprint", "source_kind", "title", "service", "error_type", "failure_class", "message")
    for letter in letters.order_by("fingerprint", "id").distinct("fingerprint").values(*shared, "created_at"):
        family.objects.create(id=new_id(), first_seen_at=letter.pop("created_at"), **letter)


class Migration(migrations.Migration):
    dependencies = [("deadletters", "0003_families")]
    operations = [
        migrations.RunPython(make_families, migrations.RunPython.noop),
        migrations.RunSQL(BEFORE, migrations.RunSQL.noop),
        migrations.RunSQL(TRIGGERS, UNDO),
    ]
