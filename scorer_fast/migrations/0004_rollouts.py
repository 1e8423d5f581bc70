from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("scorer_fast", "0003_guard_evidence"),
    ]

    operations = [
        migrations.CreateModel(
            name="Rollout",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("target", models.CharField(max_length=64)),
                ("operations", models.JSONField()),
                ("steps", models.JSONField()),
                ("hold_seconds", models.BigIntegerField()),
                ("step", models.SmallIntegerField(default=0)),
                ("step_at", models.DateTimeField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("running", "widens by itself"),
                            ("paused", "waits for a person"),
                            ("done", "reached its last step"),
                            ("rolled_back", "the guard said worse"),
                            ("aborted", "a person gave the operations back to the host"),
                        ],
                        max_length=12,
                    ),
                ),
                ("note", models.TextField(blank=True, default="")),
                ("started_at", models.DateTimeField()),
                ("started_by", models.CharField(max_length=150)),
                ("reason", models.TextField()),
                ("changed_at", models.DateTimeField()),
                ("changed_by", models.CharField(max_length=150)),
            ],
            options={
                "ordering": ("-id",),
            },
        ),
        migrations.CreateModel(
            name="Console",
            fields=[],
            options={
                "verbose_name": "console",
                "verbose_name_plural": "Console: who answers what",
                "permissions": (("kill_console", "Can kill and release operations"),),
                "proxy": True,
                "default_permissions": ("view", "change"),
                "indexes": [],
                "constraints": [],
            },
            bases=("scorer_fast.operationflag",),
        ),
        migrations.AlterModelOptions(
            name="flaglog",
            options={
                "ordering": ("-id",),
                "verbose_name": "change of a flag",
                "verbose_name_plural": "changes of flags",
            },
        ),
        migrations.AlterField(
            model_name="flaglog",
            name="changed_by",
            field=models.CharField(max_length=150, verbose_name="who"),
        ),
        migrations.AlterField(
            model_name="operationflag",
            name="mode",
            field=models.CharField(
                choices=[
                    ("legacy", "The host answers"),
                    ("shadow", "The host answers, and the fast path is compared with it"),
                    ("split", "The fast path answers a percentage of subjects"),
                    ("fast", "The fast path answers"),
                ],
                default="legacy",
                max_length=8,
            ),
        ),
    ]
