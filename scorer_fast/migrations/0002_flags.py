from typing import Any

import django
import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q


def _must(condition: Q) -> dict[str, Any]:
    return {"condition" if django.VERSION >= (5, 1) else "check": condition}


# TRUNCATE stays possible: test runners empty tables with it.
APPEND_ONLY = """
CREATE FUNCTION scorer_fast_flaglog_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
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
    dependencies = [("scorer_fast", "0001_initial")]

    operations = [
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
            options={"verbose_name": "operation flag", "ordering": ("operation",)},
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
            name="Latch",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
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
            options={"verbose_name": "latched rollback", "ordering": ("-id",)},
        ),
        migrations.CreateModel(
            name="FlagLog",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
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
                ("changed_at", models.DateTimeField()),
                ("changed_by", models.CharField(max_length=150, verbose_name="by")),
                ("from_value", models.TextField(verbose_name="from")),
                ("to_value", models.TextField(verbose_name="to")),
                ("reason", models.TextField()),
            ],
            options={
                "verbose_name": "change of a flag",
                "verbose_name_plural": "log of flag changes",
                "ordering": ("-id",),
            },
        ),
        migrations.AddConstraint(
            model_name="operationflag",
            constraint=models.CheckConstraint(
                name="scorer_fast_flag_mode", **_must(Q(mode__in=["legacy", "shadow", "split", "fast"]))
            ),
        ),
        migrations.AddConstraint(
            model_name="operationflag",
            constraint=models.CheckConstraint(
                name="scorer_fast_flag_percent", **_must(Q(percent__gte=0) & Q(percent__lte=100))
            ),
        ),
        migrations.AddConstraint(
            model_name="latch",
            constraint=models.UniqueConstraint(
                fields=["operation"], condition=Q(lifted_at__isnull=True), name="scorer_fast_latch_open"
            ),
        ),
        migrations.AddConstraint(
            model_name="flaglog",
            constraint=models.CheckConstraint(name="scorer_fast_log_reason", **_must(Q(reason__regex=r"\S"))),
        ),
        migrations.RunSQL(APPEND_ONLY, NOT_APPEND_ONLY),
    ]
