from django.db import models
from django.db.models import Q


class RescoreRun(models.Model):
    """One rescoring of every address of a community; a community has at most one that has not ended.

    ``addresses`` is how many there were at its start; the other counts are filled in at its end.
    """

    community_id = models.BigIntegerField()
    only_changed = models.BooleanField(default=False)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    abandoned = models.BooleanField(default=False)
    addresses = models.BigIntegerField(default=0)
    scored = models.BigIntegerField(default=0)
    unchanged = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)

    class Meta:
        verbose_name = "bulk rescoring"
        verbose_name_plural = "bulk rescorings"
        ordering = ("-id",)
        constraints = [
            models.UniqueConstraint(
                fields=["community_id"],
                condition=Q(finished_at__isnull=True),
                name="scorer_fast_rescore_open",
            ),
        ]

    def __str__(self) -> str:
        return f"rescoring {self.pk} of community {self.community_id}"


class RescoreBatch(models.Model):
    """Passports of a run that are scored together; removed when the run ends.

    ``passport_ids`` is a JSON array of those still to be scored: all of them at first, then those that somebody else
    held or changed, after so many ``tries``. Whoever works on a batch holds its row's lock.
    """

    run = models.ForeignKey(RescoreRun, on_delete=models.CASCADE, related_name="batches")
    number = models.BigIntegerField()
    passport_ids = models.JSONField()
    tries = models.IntegerField(default=0)
    done = models.BooleanField(default=False)
    scored = models.IntegerField(default=0)
    unchanged = models.IntegerField(default=0)
    failed = models.IntegerField(default=0)

    class Meta:
        verbose_name = "batch of a bulk rescoring"
        verbose_name_plural = "batches of bulk rescorings"
        indexes = [
            models.Index(fields=["run", "number"], condition=Q(done=False), name="scorer_fast_rescore_todo"),
        ]

    def __str__(self) -> str:
        return f"batch {self.number} of {self.run}"


class RescoreFailure(models.Model):
    """An address that a run could not score, and why."""

    run = models.ForeignKey(RescoreRun, on_delete=models.CASCADE, related_name="failures")
    passport_id = models.BigIntegerField()
    address = models.CharField(max_length=100)
    error = models.TextField()

    class Meta:
        verbose_name = "failure of a bulk rescoring"
        verbose_name_plural = "failures of bulk rescorings"
        ordering = ("passport_id",)

    def __str__(self) -> str:
        return f"{self.address}: {self.error}"
