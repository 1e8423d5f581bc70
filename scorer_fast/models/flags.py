"""Who answers each operation, what stops the fast path, and the log of every change."""

from typing import Any

import django
from django.db import models
from django.db.models import Q


def _must(condition: Q) -> dict[str, Any]:
    """A check constraint's argument: Django 5.1 renamed it, and 4.2 knows the old name alone."""
    return {"condition" if django.VERSION >= (5, 1) else "check": condition}


class Mode(models.TextChoices):
    """Who answers an operation."""

    LEGACY = "legacy", "The host answers"
    SHADOW = "shadow", "The host answers, and the fast path is compared with it"
    SPLIT = "split", "The fast path answers a percentage of subjects"
    FAST = "fast", "The fast path answers"


class OperationFlag(models.Model):
    """The flag of one operation; an operation without a row is ``legacy``.

    ``percent`` counts in mode ``split`` alone, in hundredths of a percent (10,000 buckets);
    ``allow`` and ``deny`` hold lower-case addresses, one a line.
    """

    operation = models.CharField(max_length=64, primary_key=True)
    mode = models.CharField(max_length=8, choices=Mode.choices, default=Mode.LEGACY)
    percent = models.DecimalField(max_digits=5, decimal_places=2, default=0)
    allow = models.TextField(
        blank=True, default="", help_text="addresses the fast path always answers in mode split, one a line"
    )
    deny = models.TextField(
        blank=True,
        default="",
        help_text="addresses the host always answers in modes split and fast, one a line",
    )
    updated_at = models.DateTimeField(editable=False)
    updated_by = models.CharField(max_length=150, editable=False)

    class Meta:
        verbose_name = "operation flag"
        ordering = ("operation",)
        constraints = [
            models.CheckConstraint(
                name="scorer_fast_flag_mode", **_must(Q(mode__in=["legacy", "shadow", "split", "fast"]))
            ),
            models.CheckConstraint(name="scorer_fast_flag_percent", **_must(Q(percent__gte=0) & Q(percent__lte=100))),
        ]

    def __str__(self) -> str:
        return self.operation


class KillSwitch(models.Model):
    """While ``active``, the host answers ``target``: one operation, or ``all`` of them."""

    target = models.CharField(max_length=64, primary_key=True)
    active = models.BooleanField(default=True)
    updated_at = models.DateTimeField(editable=False)
    updated_by = models.CharField(max_length=150, editable=False)
    reason = models.TextField()

    class Meta:
        verbose_name = "kill switch"
        verbose_name_plural = "kill switches"
        ordering = ("target",)

    def __str__(self) -> str:
        return self.target


class Latch(models.Model):
    """An operation rolled back to the host by a guard's rule, until a person lifts it with a reason.

    ``value``, ``limit`` and ``window`` (with their units) and ``sample`` (requests) are what the rule saw.
    """

    operation = models.CharField(max_length=64)
    rule = models.CharField(max_length=64)
    value = models.CharField(max_length=200)
    limit = models.CharField(max_length=200)
    window = models.CharField(max_length=200)
    sample = models.BigIntegerField()
    created_at = models.DateTimeField()
    lifted_at = models.DateTimeField(null=True, blank=True)
    lifted_by = models.CharField(max_length=150, blank=True, default="")
    lift_reason = models.TextField(blank=True, default="")

    class Meta:
        verbose_name = "latched rollback"
        ordering = ("-id",)
        constraints = [
            models.UniqueConstraint(
                fields=["operation"], condition=Q(lifted_at__isnull=True), name="scorer_fast_latch_open"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.operation}: {self.rule}"


class FlagLog(models.Model):
    """One change of a flag, a kill switch or a latch; the database refuses to change or delete a line.

    ``operation`` holds an operation's id or ``all``: no row needs to be there.
    """

    operation = models.ForeignKey(
        OperationFlag,
        on_delete=models.DO_NOTHING,
        db_column="operation",
        db_constraint=False,
        related_name="log",
    )
    changed_at = models.DateTimeField()
    changed_by = models.CharField("who", max_length=150)
    from_value = models.TextField("from")
    to_value = models.TextField("to")
    reason = models.TextField()

    class Meta:
        verbose_name = "change of a flag"
        verbose_name_plural = "changes of flags"
        ordering = ("-id",)
        constraints = [
            models.CheckConstraint(name="scorer_fast_log_reason", **_must(Q(reason__regex=r"\S"))),
        ]

    def __str__(self) -> str:
        return f"{self.operation_id}: {self.from_value} → {self.to_value}"
