"""The host of 2026-07: what the embedded widget shows, and which wallet stands for a person."""

import django.db.models.deletion
from django.db import migrations, models

import api.fields


class Migration(migrations.Migration):
    dependencies = [
        ("account", "0001_initial"),
        ("registry", "0002_host_of_2026_07"),
    ]

    operations = [
        migrations.CreateModel(
            name="EmbedSectionHeader",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=255, unique=True)),
            ],
        ),
        migrations.AddField(
            model_name="customplatform",
            name="is_evm",
            field=models.BooleanField(default=False),
        ),
        migrations.CreateModel(
            name="EmbedSectionOrder",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("order", models.IntegerField(default=0, help_text="Sections come by order, then by id.")),
                (
                    "customization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="embed_sections",
                        to="account.customization",
                    ),
                ),
                (
                    "section",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="orders",
                        to="account.embedsectionheader",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("customization", "section"), name="account_embedsectionorder_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="EmbedStampPlatform",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "order",
                    models.IntegerField(default=0, help_text="Platforms of a section come by order, then by id."),
                ),
                (
                    "customization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="embed_platforms",
                        to="account.customization",
                    ),
                ),
                (
                    "platform",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="embeds",
                        to="registry.platformmetadata",
                    ),
                ),
                (
                    "section",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="platforms",
                        to="account.embedsectionheader",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("customization", "platform"), name="account_embedstampplatform_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="WalletGroupCommunityClaim",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("group_key", models.TextField()),
                ("canonical_address", api.fields.EthAddressField(db_index=True, max_length=42)),
                ("claimed_at", models.DateTimeField(auto_now_add=True)),
                (
                    "community",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="wallet_claims",
                        to="account.community",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("group_key", "community"), name="account_walletgroup_once_per_community"
                    )
                ],
            },
        ),
    ]
