import django.db.models.functions.datetime
from django.db import migrations, models

PLACE = """
CREATE FUNCTION actions_place() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT concat_ws('.', system_identifier,
                     (SELECT oid FROM pg_database WHERE datname = current_database()),
                     'actions_installation'::regclass::oid,
                     left(pg_walfile_name(pg_current_wal_lsn()), 8))
    FROM pg_control_system()
$$
"""
AT_HOME = """
CREATE FUNCTION actions_at_home() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        (SELECT place = actions_place() AND settled_at IS NOT NULL FROM actions_installation ORDER BY id DESC LIMIT 1),
        true)
$$
"""
FIRST = "INSERT INTO actions_installation (place, settled_at, reason) VALUES (actions_place(), statement_timestamp(), '')"


class Migration(migrations.Migration):

    dependencies = [
        ('actions', '0005_saved_views'),
    ]

    operations = [
        migrations.CreateModel(
            name='Installation',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('place', models.CharField(max_length=120)),
                ('found_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('last_sign_at', models.DateTimeField(null=True)),
                ('settled_at', models.DateTimeField(null=True)),
                ('reason', models.TextField(blank=True, default='')),
            ],
            options={
                'verbose_name': 'installation',
                'verbose_name_plural': 'installations',
            },
        ),
        migrations.RunSQL(PLACE, "DROP FUNCTION actions_place()"),
        migrations.RunSQL(AT_HOME, "DROP FUNCTION actions_at_home()"),
        migrations.RunSQL(FIRST, migrations.RunSQL.noop),
    ]
