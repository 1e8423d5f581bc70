from decimal import Decimal

import django.db.models.deletion
from django.db import migrations, models

import api.fields


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Profile",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("handle", models.CharField(max_length=255, unique=True)),
                ("data", models.JSONField(default=dict)),
                ("github_id", models.BigIntegerField(blank=True, db_index=True, null=True)),
                ("notes", models.TextField(blank=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name="Grant",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("hidden", models.BooleanField(db_index=True, default=False)),
                ("active", models.BooleanField(db_index=True, default=True)),
                ("is_clr_eligible", models.BooleanField(default=True)),
                ("data", models.JSONField(default=dict)),
                (
                    "admin_profile",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="grants_led",
                        to="cgrants.profile",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Subscription",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("data", models.JSONField(default=dict)),
                (
                    "contributor_profile",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="subscriptions",
                        to="cgrants.profile",
                    ),
                ),
                (
                    "grant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="subscriptions",
                        to="cgrants.grant",
                    ),
                ),
                ("is_mainnet", models.BooleanField(default=True)),
            ],
        ),
        migrations.CreateModel(
            name="Contribution",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("data", models.JSONField(default=dict)),
                (
                    "subscription",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="contributions",
                        to="cgrants.subscription",
                    ),
                ),
                ("success", models.BooleanField(default=True)),
                (
                    "amount_per_period_usdt",
                    models.DecimalField(decimal_places=18, default=Decimal("0"), max_digits=64),
                ),
            ],
        ),
        migrations.CreateModel(
            name="GrantContributionIndex",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("round_num", models.IntegerField(blank=True, null=True)),
                (
                    "amount",
                    models.DecimalField(db_index=True, decimal_places=18, default=Decimal("0"), max_digits=64),
                ),
                (
                    "contribution",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="index_rows",
                        to="cgrants.contribution",
                    ),
                ),
                (
                    "grant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="index_rows",
                        to="cgrants.grant",
                    ),
                ),
                (
                    "profile",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="index_rows",
                        to="cgrants.profile",
                    ),
                ),
                (
                    "contributor_address",
                    api.fields.EthAddressField(blank=True, db_index=True, max_length=100, null=True),
                ),
            ],
            options={
                "verbose_name_plural": "grant contribution index",
            },
        ),
        migrations.CreateModel(
            name="ProtocolContributions",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("ext_id", models.CharField(max_length=66, unique=True)),
                ("contributor", api.fields.EthAddressField(db_index=True, max_length=100)),
                ("round", models.CharField(db_index=True, max_length=100)),
                ("project", models.CharField(db_index=True, max_length=100)),
                (
                    "amount",
                    models.DecimalField(db_index=True, decimal_places=18, default=Decimal("0"), max_digits=64),
                ),
                ("data", models.JSONField(default=dict)),
            ],
            options={
                "verbose_name_plural": "protocol contributions",
            },
        ),
        migrations.CreateModel(
            name="SquelchedAccounts",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("address", api.fields.EthAddressField(blank=True, db_index=True, max_length=100, null=True)),
                ("score_when_squelched", models.DecimalField(decimal_places=18, max_digits=64)),
                ("sybil_signal", models.BooleanField(default=False)),
                ("round_number", models.CharField(blank=True, default="", max_length=100)),
            ],
            options={
                "verbose_name_plural": "squelched accounts",
            },
        ),
        migrations.CreateModel(
            name="RoundMapping",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("round_number", models.CharField(max_length=100)),
                ("round_eth_address", api.fields.EthAddressField(db_index=True, max_length=100)),
            ],
            options={
                "unique_together": {("round_number", "round_eth_address")},
            },
        ),
    ]
