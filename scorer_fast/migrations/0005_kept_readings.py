import django.contrib.postgres.fields
from django.db import migrations, models

from scorer_fast.db.functions import TRIGGERS


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
                ("generation", models.UUIDField()),
                ("kept_at", models.DateTimeField(db_index=True)),
            ],
            options={"verbose_name": "kept reading"},
        ),
        migrations.CreateModel(
            name="SettledReading",
            fields=[
                ("passport_id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("token", models.BinaryField(max_length=32)),
                ("generation", models.UUIDField()),
                ("valid_from", models.DateTimeField()),
                ("valid_until", models.DateTimeField()),
                ("has_marks", models.BooleanField()),
                ("reading", models.TextField()),
                ("kept_at", models.DateTimeField(db_index=True)),
            ],
            options={"verbose_name": "settled reading"},
        ),
        migrations.CreateModel(
            name="Generation",
            fields=[
                ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("value", models.UUIDField()),
            ],
            options={"verbose_name": "generation of remembered signatures"},
        ),
        *(migrations.RunSQL(trigger.create, trigger.drop) for trigger in TRIGGERS),
        # Nothing is lost with it: after a crash it is empty, and the next readings fill it again.
        migrations.RunSQL(
            "ALTER TABLE scorer_fast_keptreading SET UNLOGGED", "ALTER TABLE scorer_fast_keptreading SET LOGGED"
        ),
        migrations.RunSQL(
            "ALTER TABLE scorer_fast_settledreading SET UNLOGGED", "ALTER TABLE scorer_fast_settledreading SET LOGGED"
        ),
    ]
