"""What the shadow found, what both sides took, and what the guard made of it. All of it may be deleted."""

from django.db import models


class Category(models.TextChoices):
    """What a group of differences means; the guard counts ``mismatch`` alone."""

    MISMATCH = "mismatch", "mismatch: nobody asked for it"
    DELIBERATE = "deliberate", "deliberate: the contract asks for it"
    HOST_FAILED = "host_failed", "the host's own view failed (5xx)"
    HOST_RACED = "host_raced", "host raced: another request of the address explains it"
    HOST_CUT = "host_cut", "host cut: a request of the host that was cut off explains it"
    NOISE = "noise", "noise: the host differs from itself"


class Mismatch(models.Model):
    """A group of differences: one generalised field of one operation, and how it differs."""

    operation = models.CharField(max_length=64)
    path = models.CharField(max_length=200)
    kind = models.CharField(max_length=8)
    category = models.CharField(max_length=16, choices=Category.choices)
    rule = models.CharField(max_length=64, blank=True, default="", help_text="why it is deliberate")
    count = models.BigIntegerField(default=0)
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = "group of mismatches"
        verbose_name_plural = "groups of mismatches"
        ordering = ("operation", "path", "kind")
        constraints = [
            models.UniqueConstraint(
                fields=["operation", "category", "path", "kind", "rule"], name="scorer_fast_mismatch_group"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.operation} {self.path} {self.kind}"


class MismatchSample(models.Model):
    """One request of a group with both answers, redacted before it came here; a group keeps but a few."""

    mismatch = models.ForeignKey(Mismatch, on_delete=models.CASCADE, related_name="samples")
    taken_at = models.DateTimeField()
    request = models.JSONField()
    control = models.JSONField(null=True)
    candidate = models.JSONField(null=True)

    class Meta:
        verbose_name = "sample of a mismatch"
        verbose_name_plural = "samples of mismatches"
        ordering = ("id",)

    def __str__(self) -> str:
        return f"sample {self.pk}"


class ShadowCount(models.Model):
    """How many requests of an operation ended in an outcome within a minute, over all processes.

    ``callers`` is a set of hashed callers: 63 bits, so that it tells one from several and nobody's name.
    """

    operation = models.CharField(max_length=64)
    minute = models.DateTimeField()
    outcome = models.CharField(max_length=32)
    count = models.BigIntegerField(default=0)
    callers = models.BigIntegerField(default=0)

    class Meta:
        verbose_name = "shadow count"
        constraints = [
            models.UniqueConstraint(fields=["minute", "operation", "outcome"], name="scorer_fast_shadowcount_cell"),
        ]

    def __str__(self) -> str:
        return f"{self.operation} {self.outcome}"


class HistogramBucket(models.Model):
    """Requests of one side within a minute that ended in one way and whose duration fell into one bucket.

    Outcomes and buckets are those of ``cutover/figures.py``; rows of any minutes and processes add up.
    ``distinct`` counts each caller's first such request of the minute alone, the unit that the guard compares;
    ``callers`` is a set of hashed callers, as above.
    """

    operation = models.CharField(max_length=64)
    side = models.CharField(max_length=8)
    minute = models.DateTimeField()
    outcome = models.CharField(max_length=16)
    bucket = models.SmallIntegerField()
    count = models.BigIntegerField(default=0)
    distinct = models.BigIntegerField(default=0)
    callers = models.BigIntegerField(default=0)

    class Meta:
        verbose_name = "histogram bucket"
        constraints = [
            # The minute first: the index answers "since when" for all operations, and what is old lies together.
            models.UniqueConstraint(
                fields=["minute", "operation", "side", "outcome", "bucket"], name="scorer_fast_histogram_cell"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.operation} {self.side} {self.outcome} {self.bucket}"


class GuardVerdict(models.Model):
    """The guard's newest judgement of an operation, with each rule's verdict, text, value, limit and samples."""

    operation = models.CharField(max_length=64, primary_key=True)
    judged_at = models.DateTimeField()
    verdict = models.CharField(max_length=16)
    rules = models.JSONField()

    class Meta:
        verbose_name = "verdict of the guard"
        verbose_name_plural = "verdicts of the guard"

    def __str__(self) -> str:
        return f"{self.operation}: {self.verdict}"


class GuardEvidence(models.Model):
    """What the guard has seen of an operation since its flag was last changed: one step of a rollout.

    ``basis`` names the step (mode, percentage, newest line of the log); a new one starts anew, and the row of the
    old one stays as a baseline with an age. ``until`` is the minute up to which figures are counted in. ``fast`` and
    ``host`` sum up both sides; ``state`` is what the sequential test carries on.
    """

    operation = models.CharField(max_length=64)
    basis = models.CharField(max_length=64)
    mode = models.CharField(max_length=8)
    percent = models.DecimalField(max_digits=5, decimal_places=2)
    since = models.DateTimeField()
    until = models.DateTimeField()
    fast = models.JSONField(default=dict)
    host = models.JSONField(default=dict)
    state = models.JSONField(default=dict)

    class Meta:
        verbose_name = "evidence of the guard"
        verbose_name_plural = "evidence of the guard"
        constraints = [
            models.UniqueConstraint(fields=["operation", "basis"], name="scorer_fast_guardevidence_step"),
        ]

    def __str__(self) -> str:
        return f"{self.operation} {self.basis}"
