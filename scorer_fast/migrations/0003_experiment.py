import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("scorer_fast", "0002_flags"),
    ]

    operations = [
        migrations.CreateModel(
            name="GuardVerdict",
            fields=[
                ("operation", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("judged_at", models.DateTimeField()),
                ("verdict", models.CharField(max_length=16)),
                ("rules", models.JSONField()),
            ],
            options={
                "verbose_name": "verdict of the guard",
                "verbose_name_plural": "verdicts of the guard",
            },
        ),
        migrations.CreateModel(
            name="HistogramBucket",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("operation", models.CharField(max_length=64)),
                ("side", models.CharField(max_length=8)),
                ("minute", models.DateTimeField()),
                ("bucket", models.SmallIntegerField()),
                ("count", models.BigIntegerField(default=0)),
                ("errors", models.BigIntegerField(default=0)),
            ],
            options={
                "verbose_name": "histogram bucket",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("operation", "side", "minute", "bucket"), name="scorer_fast_histogram_cell"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Mismatch",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("operation", models.CharField(max_length=64)),
                ("path", models.CharField(max_length=200)),
                ("kind", models.CharField(max_length=8)),
                (
                    "category",
                    models.CharField(
                        choices=[
                            ("mismatch", "mismatch: nobody asked for it"),
                            ("deliberate", "deliberate: the contract asks for it"),
                            ("host_failed", "the host's own view failed (5xx)"),
                            ("noise", "noise: the host differs from itself"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "rule",
                    models.CharField(blank=True, default="", help_text="why it is deliberate", max_length=64),
                ),
                ("count", models.BigIntegerField(default=0)),
                ("first_seen", models.DateTimeField()),
                ("last_seen", models.DateTimeField(db_index=True)),
            ],
            options={
                "verbose_name": "group of mismatches",
                "verbose_name_plural": "groups of mismatches",
                "ordering": ("operation", "path", "kind"),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("operation", "category", "path", "kind", "rule"),
                        name="scorer_fast_mismatch_group",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="MismatchSample",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("taken_at", models.DateTimeField()),
                ("request", models.JSONField()),
                ("control", models.JSONField(null=True)),
                ("candidate", models.JSONField(null=True)),
                (
                    "mismatch",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="samples",
                        to="scorer_fast.mismatch",
                    ),
                ),
            ],
            options={
                "verbose_name": "sample of a mismatch",
                "verbose_name_plural": "samples of mismatches",
                "ordering": ("id",),
            },
        ),
        migrations.CreateModel(
            name="ShadowCount",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("operation", models.CharField(max_length=64)),
                ("minute", models.DateTimeField()),
                ("outcome", models.CharField(max_length=32)),
                ("count", models.BigIntegerField(default=0)),
            ],
            options={
                "verbose_name": "shadow count",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("operation", "minute", "outcome"), name="scorer_fast_shadowcount_cell"
                    )
                ],
            },
        ),
    ]
