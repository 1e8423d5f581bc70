"""Scorers: what each stamp of a community is worth, and how much makes a person."""

from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models


def check_weights(weights: Any) -> str | None:
    """What is wrong with the weights, or None: an object of finite numbers, plain or as strings."""
    if not isinstance(weights, dict):
        return "Enter an object: a weight for each provider."
    for provider, weight in weights.items():
        try:
            if isinstance(weight, bool) or not isinstance(weight, (str, int, float)):
                raise InvalidOperation
            if not Decimal(weight).is_finite():
                raise InvalidOperation
        except InvalidOperation:
            return f"The weight of {provider} must be a number, or a number as a string."
    return None


class Scorer(models.Model):
    """What the two kinds of scorer share; the row of the kind holds the weights."""

    class Type(models.TextChoices):
        WEIGHTED = "WEIGHTED", "Weighted"
        WEIGHTED_BINARY = "WEIGHTED_BINARY", "Weighted binary"

    type = models.CharField(
        max_length=100,
        choices=Type.choices,
        default=Type.WEIGHTED,
        help_text="Which of the two tables of scorers holds this one's weights.",
    )
    exclude_from_weight_updates = models.BooleanField(
        default=False,
        help_text="Keep these weights when the weights of all scorers are replaced.",
    )

    def __str__(self) -> str:
        return f"Scorer #{self.pk} ({self.type})"


class WeightedScorer(Scorer):
    """Scores an address with the sum of its stamps' weights."""

    weights = models.JSONField(
        null=True,
        blank=True,
        default=dict,
        help_text="Weight per provider, as a string or number; a provider not named here counts 0.",
    )
    threshold = models.DecimalField(
        max_digits=10,
        decimal_places=5,
        default=Decimal("20"),
        help_text="Sum of weights from which on an address passes.",
    )

    def __str__(self) -> str:
        return f"Weighted scorer #{self.pk}, threshold {self.threshold}"

    def clean(self) -> None:
        if (problem := check_weights(self.weights)) is not None:
            raise ValidationError({"weights": problem})

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.type = Scorer.Type.WEIGHTED
        super().save(*args, **kwargs)


class BinaryWeightedScorer(Scorer):
    """Scores an address 1 when its stamps' weights reach the threshold, else 0."""

    weights = models.JSONField(
        null=True,
        blank=True,
        default=dict,
        help_text="Weight per provider, as a string or number; a provider not named here counts 0.",
    )
    threshold = models.DecimalField(
        max_digits=10,
        decimal_places=5,
        default=Decimal("20"),
        help_text="Sum of weights from which on an address passes.",
    )

    def __str__(self) -> str:
        return f"Binary weighted scorer #{self.pk}, threshold {self.threshold}"

    def clean(self) -> None:
        if (problem := check_weights(self.weights)) is not None:
            raise ValidationError({"weights": problem})

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.type = Scorer.Type.WEIGHTED_BINARY
        super().save(*args, **kwargs)
