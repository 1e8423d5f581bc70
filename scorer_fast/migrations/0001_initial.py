from typing import Any

import django
import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

from ._postgresql import PostgreSQL


def _must(condition: Q) -> dict[str, Any]:
    """A check constraint's argument: Django 5.1 renamed it, and 4.2 knows the old name alone."""
    return {"condition" if django.VERSION >= (5, 1) else "check": condition}


# TRUNCATE stays possible: test runners empty tables with it.
APPEND_ONLY = """
CREATE FUNCTION scorer_fast_flaglog_refuse() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    RAISE EXCEPTION 'scorer_fast_flaglog is append-only: % refused', TG_OP USING ERRCODE = 'integrity_constraint_violation';
END
$$;
CREATE TRIGGER scorer_fast_flaglog_append_only
BEFORE UPDATE OR DELETE ON scorer_fast_flaglog
FOR EACH STATEMENT EXECUTE FUNCTION scorer_fast_flaglog_refuse();
"""
NOT_APPEND_ONLY = """
DROP TRIGGER scorer_fast_flaglog_append_only ON scorer_fast_flaglog;
DROP FUNCTION scorer_fast_flaglog_refuse();
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = []

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
            name="KeptReading",
            fields=[
                ("passport_id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("token", models.BinaryField(max_length=32)),
                ("reading", models.TextField()),
                ("others", django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), size=None)),
                ("verified", django.contrib.postgres.fields.ArrayField(base_field=models.BinaryField(), size=None)),
                ("kept_at", models.DateTimeField(db_index=True)),
            ],
            options={
                "verbose_name": "kept reading",
            },
        ),
        migrations.CreateModel(
            name="KillSwitch",
            fields=[
                ("target", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("active", models.BooleanField(default=True)),
                ("updated_at", models.DateTimeField(editable=False)),
                ("updated_by", models.CharField(editable=False, max_length=150)),
                ("reason", models.TextField()),
            ],
            options={
                "verbose_name": "kill switch",
                "verbose_name_plural": "kill switches",
                "ordering": ("target",),
            },
        ),
        migrations.CreateModel(
            name="VerifiedCredential",
            fields=[
                ("digest", models.BinaryField(max_length=32, primary_key=True, serialize=False)),
                ("expires_at", models.DateTimeField(db_index=True)),
                ("verified_at", models.DateTimeField()),
            ],
            options={
                "verbose_name": "verified credential",
            },
        ),
        migrations.CreateModel(
            name="HistogramBucket",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
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
            name="Latch",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("operation", models.CharField(max_length=64)),
                ("rule", models.CharField(max_length=64)),
                ("value", models.CharField(max_length=200)),
                ("limit", models.CharField(max_length=200)),
                ("window", models.CharField(max_length=200)),
                ("sample", models.BigIntegerField()),
                ("created_at", models.DateTimeField()),
                ("lifted_at", models.DateTimeField(blank=True, null=True)),
                ("lifted_by", models.CharField(blank=True, default="", max_length=150)),
                ("lift_reason", models.TextField(blank=True, default="")),
            ],
            options={
                "verbose_name": "latched rollback",
                "ordering": ("-id",),
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("lifted_at__isnull", True)),
                        fields=("operation",),
                        name="scorer_fast_latch_open",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Mismatch",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
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
                ("rule", models.CharField(blank=True, default="", help_text="why it is deliberate", max_length=64)),
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
                        fields=("operation", "category", "path", "kind", "rule"), name="scorer_fast_mismatch_group"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="MismatchSample",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("taken_at", models.DateTimeField()),
                ("request", models.JSONField()),
                ("control", models.JSONField(null=True)),
                ("candidate", models.JSONField(null=True)),
                (
                    "mismatch",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="samples", to="scorer_fast.mismatch"
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
            name="OperationFlag",
            fields=[
                ("operation", models.CharField(max_length=64, primary_key=True, serialize=False)),
                (
                    "mode",
                    models.CharField(
                        choices=[
                            ("legacy", "legacy: the host's own view"),
                            ("shadow", "shadow: the host's own view, and the fast path is compared with it"),
                            ("split", "split: the fast path for a percentage of subjects"),
                            ("fast", "fast: the fast path"),
                        ],
                        default="legacy",
                        max_length=8,
                    ),
                ),
                ("percent", models.DecimalField(decimal_places=2, default=0, max_digits=5)),
                (
                    "allow",
                    models.TextField(
                        blank=True,
                        default="",
                        help_text="addresses the fast path always answers in mode split, one a line",
                    ),
                ),
                (
                    "deny",
                    models.TextField(
                        blank=True,
                        default="",
                        help_text="addresses the host always answers in modes split and fast, one a line",
                    ),
                ),
                ("updated_at", models.DateTimeField(editable=False)),
                ("updated_by", models.CharField(editable=False, max_length=150)),
            ],
            options={
                "verbose_name": "operation flag",
                "ordering": ("operation",),
                "constraints": [
                    models.CheckConstraint(
                        **_must(models.Q(("mode__in", ["legacy", "shadow", "split", "fast"]))),
                        name="scorer_fast_flag_mode",
                    ),
                    models.CheckConstraint(
                        **_must(models.Q(("percent__gte", 0), ("percent__lte", 100))), name="scorer_fast_flag_percent"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="RescoreRun",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
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
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
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
            name="ShadowCount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
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
        migrations.CreateModel(
            name="FlagLog",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("changed_at", models.DateTimeField()),
                ("changed_by", models.CharField(max_length=150, verbose_name="by")),
                ("from_value", models.TextField(verbose_name="from")),
                ("to_value", models.TextField(verbose_name="to")),
                ("reason", models.TextField()),
                (
                    "operation",
                    models.ForeignKey(
                        db_column="operation",
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="log",
                        to="scorer_fast.operationflag",
                    ),
                ),
            ],
            options={
                "verbose_name": "change of a flag",
                "verbose_name_plural": "log of flag changes",
                "ordering": ("-id",),
                "constraints": [
                    models.CheckConstraint(**_must(models.Q(("reason__regex", "\\S"))), name="scorer_fast_log_reason")
                ],
            },
        ),
        migrations.CreateModel(
            name="RescoreBatch",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.BigIntegerField()),
                ("passport_ids", models.JSONField()),
                ("tries", models.IntegerField(default=0)),
                ("done", models.BooleanField(default=False)),
                ("scored", models.IntegerField(default=0)),
                ("unchanged", models.IntegerField(default=0)),
                ("failed", models.IntegerField(default=0)),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="batches", to="scorer_fast.rescorerun"
                    ),
                ),
            ],
            options={
                "verbose_name": "batch of a bulk rescoring",
                "verbose_name_plural": "batches of bulk rescorings",
                "indexes": [
                    models.Index(
                        condition=models.Q(("done", False)), fields=["run", "number"], name="scorer_fast_rescore_todo"
                    )
                ],
            },
        ),
        PostgreSQL(APPEND_ONLY, NOT_APPEND_ONLY),
        # Nothing is lost with it: after a crash it is empty, and the next readings fill it again.
        PostgreSQL(
            "ALTER TABLE scorer_fast_keptreading SET UNLOGGED", "ALTER TABLE scorer_fast_keptreading SET LOGGED"
        ),
    ]
