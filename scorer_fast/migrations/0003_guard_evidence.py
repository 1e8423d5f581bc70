from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("scorer_fast", "0002_functions"),
    ]

    operations = [
        # Figures of a few days: made anew, with the minute first in the key.
        migrations.DeleteModel(name="HistogramBucket"),
        migrations.CreateModel(
            name="HistogramBucket",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("operation", models.CharField(max_length=64)),
                ("side", models.CharField(max_length=8)),
                ("minute", models.DateTimeField()),
                ("outcome", models.CharField(max_length=16)),
                ("bucket", models.SmallIntegerField()),
                ("count", models.BigIntegerField(default=0)),
                ("distinct", models.BigIntegerField(default=0)),
                ("callers", models.BigIntegerField(default=0)),
            ],
            options={
                "verbose_name": "histogram bucket",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("minute", "operation", "side", "outcome", "bucket"),
                        name="scorer_fast_histogram_cell",
                    )
                ],
            },
        ),
        migrations.DeleteModel(name="ShadowCount"),
        migrations.CreateModel(
            name="ShadowCount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("operation", models.CharField(max_length=64)),
                ("minute", models.DateTimeField()),
                ("outcome", models.CharField(max_length=32)),
                ("count", models.BigIntegerField(default=0)),
                ("callers", models.BigIntegerField(default=0)),
            ],
            options={
                "verbose_name": "shadow count",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("minute", "operation", "outcome"), name="scorer_fast_shadowcount_cell"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="GuardEvidence",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("operation", models.CharField(max_length=64)),
                ("basis", models.CharField(max_length=64)),
                ("mode", models.CharField(max_length=8)),
                ("percent", models.DecimalField(decimal_places=2, max_digits=5)),
                ("since", models.DateTimeField()),
                ("until", models.DateTimeField()),
                ("fast", models.JSONField(default=dict)),
                ("host", models.JSONField(default=dict)),
                ("state", models.JSONField(default=dict)),
            ],
            options={
                "verbose_name": "evidence of the guard",
                "verbose_name_plural": "evidence of the guard",
                "constraints": [
                    models.UniqueConstraint(fields=("operation", "basis"), name="scorer_fast_guardevidence_step")
                ],
            },
        ),
        migrations.AlterField(
            model_name="mismatch",
            name="category",
            field=models.CharField(
                choices=[
                    ("mismatch", "mismatch: nobody asked for it"),
                    ("deliberate", "deliberate: the contract asks for it"),
                    ("host_failed", "the host's own view failed (5xx)"),
                    ("host_raced", "host raced: another request of the address explains it"),
                    ("host_cut", "host cut: a request of the host that was cut off explains it"),
                    ("noise", "noise: the host differs from itself"),
                ],
                max_length=16,
            ),
        ),
    ]
