"""Rollouts that widen by themselves: one row each, kept for good."""

from django.db import models


class RolloutState(models.TextChoices):
    """Where a rollout is; the last three are its end."""

    RUNNING = "running", "widens by itself"
    PAUSED = "paused", "waits for a person"
    DONE = "done", "reached its last step"
    ROLLED_BACK = "rolled_back", "the guard said worse"
    ABORTED = "aborted", "a person gave the operations back to the host"


class Rollout(models.Model):
    """A plan for some operations: ``steps`` (``"shadow"``, then percentages as text), each held for ``hold_seconds``.

    ``step`` counts from 0; ``step_at`` is when its holding time began, anew after whatever interrupted it; ``note``
    says what it waits for, or why it ended.
    """

    target = models.CharField(max_length=64)
    operations = models.JSONField()
    steps = models.JSONField()
    hold_seconds = models.BigIntegerField()
    step = models.SmallIntegerField(default=0)
    step_at = models.DateTimeField()
    state = models.CharField(max_length=12, choices=RolloutState.choices)
    note = models.TextField(blank=True, default="")
    started_at = models.DateTimeField()
    started_by = models.CharField(max_length=150)
    reason = models.TextField()
    changed_at = models.DateTimeField()
    changed_by = models.CharField(max_length=150)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"rollout {self.pk} of {self.target}"
