import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.functions.text
from django.db import migrations, models

# The version before writes the words with the dead letter: until it is gone they are put where searches look.
FOLLOW = """
ALTER TABLE deadletters_deadletter ALTER COLUMN words SET DEFAULT '';

CREATE FUNCTION deadletters_words_follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO deadletters_letterwords (letter_id, words) VALUES (NEW.id, NEW.words)
    ON CONFLICT (letter_id) DO UPDATE SET words = EXCLUDED.words;
    RETURN NULL;
END $$;

CREATE TRIGGER deadletters_words_follow AFTER INSERT OR UPDATE OF words ON deadletters_deadletter
    FOR EACH ROW WHEN (NEW.words <> '') EXECUTE FUNCTION deadletters_words_follow();
"""
UNDO = """
DROP TRIGGER deadletters_words_follow ON deadletters_deadletter;
DROP FUNCTION deadletters_words_follow;
"""


class Migration(migrations.Migration):
    dependencies = [("deadletters", "0004_tally")]
    operations = [
        migrations.CreateModel(
            name="LetterWords",
            fields=[
                (
                    "letter",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="searched",
                        serialize=False,
                        to="deadletters.deadletter",
                    ),
                ),
                ("words", models.TextField()),
            ],
            options={"verbose_name": "words of a dead letter", "verbose_name_plural": "words of dead letters"},
        ),
        migrations.AddIndex(
            model_name="letterwords",
            index=django.contrib.postgres.indexes.GinIndex(
                django.contrib.postgres.indexes.OpClass(
                    django.db.models.functions.text.Upper("words"), "gin_trgm_ops"
                ),
                name="letterwords_words",
            ),
        ),
        migrations.RunSQL(FOLLOW, UNDO),
    ]
