from decimal import Decimal

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Scorer",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                (
                    "type",
                    models.CharField(
                        choices=[("WEIGHTED", "Weighted"), ("WEIGHTED_BINARY", "Weighted binary")],
                        default="WEIGHTED",
                        help_text="Which of the two tables of scorers holds this one's weights.",
                        max_length=100,
                    ),
                ),
                (
                    "exclude_from_weight_updates",
                    models.BooleanField(
                        default=False,
                        help_text="Keep these weights when the weights of all scorers are replaced.",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="WeightedScorer",
            fields=[
                (
                    "scorer_ptr",
                    models.OneToOneField(
                        auto_created=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        parent_link=True,
                        primary_key=True,
                        serialize=False,
                        to="scorer_weighted.scorer",
                    ),
                ),
                (
                    "weights",
                    models.JSONField(
                        blank=True,
                        default=dict,
                        help_text="Weight per provider, as a string or number; a provider not named here counts 0.",
                        null=True,
                    ),
                ),
                (
                    "threshold",
                    models.DecimalField(
                        decimal_places=5,
                        default=Decimal("20"),
                        help_text="Sum of weights from which on an address passes.",
                        max_digits=10,
                    ),
                ),
            ],
            bases=("scorer_weighted.scorer",),
        ),
        migrations.CreateModel(
            name="BinaryWeightedScorer",
            fields=[
                (
                    "scorer_ptr",
                    models.OneToOneField(
                        auto_created=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        parent_link=True,
                        primary_key=True,
                        serialize=False,
                        to="scorer_weighted.scorer",
                    ),
                ),
                (
                    "weights",
                    models.JSONField(
                        blank=True,
                        default=dict,
                        help_text="Weight per provider, as a string or number; a provider not named here counts 0.",
                        null=True,
                    ),
                ),
                (
                    "threshold",
                    models.DecimalField(
                        decimal_places=5,
                        default=Decimal("20"),
                        help_text="Sum of weights from which on an address passes.",
                        max_digits=10,
                    ),
                ),
            ],
            bases=("scorer_weighted.scorer",),
        ),
    ]
