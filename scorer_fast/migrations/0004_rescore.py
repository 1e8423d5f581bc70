import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("scorer_fast", "0003_experiment"),
    ]

    operations = [
        migrations.CreateModel(
            name="RescoreRun",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("community_id", models.BigIntegerField()),
                ("only_changed", models.BooleanField(default=False)),
                ("started_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("abandoned", models.BooleanField(default=False)),
                ("addresses", models.BigIntegerField(default=0)),
                ("scored", models.BigIntegerField(default=0)),
                ("unchanged", models.BigIntegerField(default=0)),
                ("failed", models.BigIntegerField(default=0)),
            ],
            options={
                "verbose_name": "bulk rescoring",
                "verbose_name_plural": "bulk rescorings",
                "ordering": ("-id",),
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("finished_at__isnull", True)),
                        fields=("community_id",),
                        name="scorer_fast_rescore_open",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="RescoreFailure",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("passport_id", models.BigIntegerField()),
                ("address", models.CharField(max_length=100)),
                ("error", models.TextField()),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="failures",
                        to="scorer_fast.rescorerun",
                    ),
                ),
            ],
            options={
                "verbose_name": "failure of a bulk rescoring",
                "verbose_name_plural": "failures of bulk rescorings",
                "ordering": ("passport_id",),
            },
        ),
        migrations.CreateModel(
            name="RescoreBatch",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("number", models.BigIntegerField()),
                ("passport_ids", models.JSONField()),
                ("together", models.BooleanField(default=True)),
                ("done", models.BooleanField(default=False)),
                ("scored", models.IntegerField(default=0)),
                ("unchanged", models.IntegerField(default=0)),
                ("failed", models.IntegerField(default=0)),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="batches",
                        to="scorer_fast.rescorerun",
                    ),
                ),
            ],
            options={
                "verbose_name": "batch of a bulk rescoring",
                "verbose_name_plural": "batches of bulk rescorings",
                "indexes": [
                    models.Index(
                        condition=models.Q(("done", False)),
                        fields=["run", "number"],
                        name="scorer_fast_rescore_todo",
                    )
                ],
            },
        ),
    ]
