import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("scorer_fast", "0004_rescore"),
    ]

    operations = [
        migrations.CreateModel(
            name="KeptReading",
            fields=[
                ("passport_id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("verifier", models.TextField()),
                ("live_versions", django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), size=None)),
                ("stamps", models.TextField()),
                (
                    "stored_versions",
                    django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), size=None),
                ),
                ("stored_stamps", models.TextField()),
                ("nullifiers", django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), size=None)),
                ("digests", django.contrib.postgres.fields.ArrayField(base_field=models.BinaryField(), size=None)),
                ("kept_at", models.DateTimeField(db_index=True)),
            ],
            options={"verbose_name": "kept reading"},
        ),
        # Nothing is lost with it: after a crash it is empty, and the next readings fill it again.
        migrations.RunSQL(
            "ALTER TABLE scorer_fast_keptreading SET UNLOGGED", "ALTER TABLE scorer_fast_keptreading SET LOGGED"
        ),
    ]
