import django.db.models.deletion
from django.db import migrations, models

import api.fields


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("account", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Passport",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                (
                    "community",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="passports",
                        to="account.community",
                    ),
                ),
                ("address", api.fields.EthAddressField(blank=True, db_index=True, max_length=100, null=True)),
                ("requires_calculation", models.BooleanField(blank=True, null=True)),
            ],
            options={
                "unique_together": {("address", "community")},
            },
        ),
        migrations.CreateModel(
            name="Stamp",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("provider", models.CharField(db_index=True, default="", max_length=256)),
                ("credential", models.JSONField(default=dict)),
                (
                    "passport",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="stamps",
                        to="registry.passport",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Score",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("score", models.DecimalField(blank=True, decimal_places=9, max_digits=18, null=True)),
                (
                    "passport",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="score",
                        to="registry.passport",
                    ),
                ),
                ("error", models.TextField(blank=True, null=True)),
                ("last_score_timestamp", models.DateTimeField(blank=True, db_index=True, null=True)),
                (
                    "status",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("PROCESSING", "Processing"),
                            ("BULK_PROCESSING", "Bulk processing"),
                            ("DONE", "Done"),
                            ("ERROR", "Error"),
                        ],
                        db_index=True,
                        default=None,
                        max_length=20,
                        null=True,
                    ),
                ),
                ("evidence", models.JSONField(blank=True, null=True)),
                ("stamp_scores", models.JSONField(blank=True, null=True)),
                ("expiration_date", models.DateTimeField(blank=True, db_index=True, null=True)),
                ("stamps", models.JSONField(blank=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name="Event",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("FDP", "FIFO deduplication"),
                            ("LDP", "LIFO deduplication"),
                            ("SCU", "Score update"),
                        ],
                        max_length=3,
                    ),
                ),
                ("address", api.fields.EthAddressField(blank=True, default="", max_length=42)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("data", models.JSONField()),
                (
                    "community",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="events",
                        to="account.community",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        fields=["action", "address", "community", "created_at"],
                        name="registry_event_by_address",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="HashScorerLink",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("hash", models.CharField(db_index=True, max_length=100)),
                ("address", api.fields.EthAddressField(db_index=True, max_length=42)),
                ("expires_at", models.DateTimeField(db_index=True)),
                (
                    "community",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="hash_links",
                        to="account.community",
                    ),
                ),
            ],
            options={
                "unique_together": {("hash", "community")},
            },
        ),
        migrations.CreateModel(
            name="GTCStakeEvent",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                (
                    "event_type",
                    models.CharField(choices=[("SelfStake", "Self stake"), ("Xstake", "Cross stake")], max_length=15),
                ),
                ("round_id", models.IntegerField(db_index=True)),
                ("staker", api.fields.EthAddressField(db_index=True, max_length=42)),
                ("address", api.fields.EthAddressField(blank=True, db_index=True, max_length=42, null=True)),
                ("amount", models.DecimalField(decimal_places=18, max_digits=78)),
                ("staked", models.BooleanField()),
                ("block_number", models.IntegerField()),
                ("tx_hash", models.CharField(max_length=66)),
            ],
            options={
                "verbose_name": "GTC stake event",
                "indexes": [
                    models.Index(fields=["round_id", "address", "staker"], name="registry_gtc_round_addr_staker"),
                    models.Index(fields=["round_id", "staker"], name="registry_gtc_round_staker"),
                ],
            },
        ),
        migrations.CreateModel(
            name="HumanPoints",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("address", api.fields.EthAddressField(db_index=True, max_length=42)),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("SCB", "Qualified in four communities"),
                            ("HKY", "Human keys"),
                            ("PMT", "Passport mint"),
                            ("ISB", "Identity staking, bronze"),
                            ("ISS", "Identity staking, silver"),
                            ("ISG", "Identity staking, gold"),
                            ("CSB", "Community staking, beginner"),
                            ("CSE", "Community staking, experienced"),
                            ("CST", "Community staking, trusted citizen"),
                            ("HIM", "Human ID mint"),
                            ("HGO", "Government ID"),
                            ("HPH", "Phone"),
                            ("HCH", "Clean hands"),
                            ("HBI", "Biometrics"),
                            ("MTA", "MetaMask task"),
                            ("MM2", "MetaMask OG"),
                            ("SOG", "Seasoned Passport OG"),
                            ("TCO", "The chosen ones"),
                        ],
                        db_index=True,
                        max_length=3,
                    ),
                ),
                ("timestamp", models.DateTimeField(auto_now_add=True)),
                ("tx_hash", models.CharField(blank=True, default="", max_length=100)),
                (
                    "chain_id",
                    models.IntegerField(db_index=True, default=0, help_text="Chain the action took place on; 0: none."),
                ),
                ("provider", models.CharField(blank=True, db_index=True, default="", max_length=100)),
            ],
            options={
                "verbose_name_plural": "human points",
                "indexes": [
                    models.Index(fields=["address", "action"], name="registry_hp_address_action"),
                    models.Index(fields=["chain_id", "action"], name="registry_hp_chain_action"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("address", "action", "chain_id", "provider", "tx_hash"),
                        name="registry_humanpoints_once",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="HumanPointsConfig",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("SCB", "Qualified in four communities"),
                            ("HKY", "Human keys"),
                            ("PMT", "Passport mint"),
                            ("ISB", "Identity staking, bronze"),
                            ("ISS", "Identity staking, silver"),
                            ("ISG", "Identity staking, gold"),
                            ("CSB", "Community staking, beginner"),
                            ("CSE", "Community staking, experienced"),
                            ("CST", "Community staking, trusted citizen"),
                            ("HIM", "Human ID mint"),
                            ("HGO", "Government ID"),
                            ("HPH", "Phone"),
                            ("HCH", "Clean hands"),
                            ("HBI", "Biometrics"),
                            ("MTA", "MetaMask task"),
                            ("MM2", "MetaMask OG"),
                            ("SOG", "Seasoned Passport OG"),
                            ("TCO", "The chosen ones"),
                        ],
                        max_length=3,
                        unique=True,
                    ),
                ),
                ("points", models.IntegerField()),
                ("active", models.BooleanField(db_index=True, default=True)),
            ],
            options={
                "verbose_name": "human points config",
                "indexes": [models.Index(fields=["action", "active"], name="registry_hpc_action_active")],
            },
        ),
        migrations.CreateModel(
            name="HumanPointsMultiplier",
            fields=[
                ("address", api.fields.EthAddressField(max_length=42, primary_key=True, serialize=False)),
                ("multiplier", models.IntegerField(default=2)),
            ],
        ),
        migrations.CreateModel(
            name="HumanPointsCommunityQualifiedUsers",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("address", api.fields.EthAddressField(db_index=True, max_length=42)),
                (
                    "community",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="qualified_users",
                        to="account.community",
                    ),
                ),
            ],
            options={
                "verbose_name": "human points qualified user",
                "indexes": [models.Index(fields=["address"], name="registry_hpcqu_address")],
                "constraints": [
                    models.UniqueConstraint(fields=("address", "community"), name="registry_hpcqu_once_per_community")
                ],
            },
        ),
        migrations.CreateModel(
            name="StampMetadata",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("provider", models.CharField(max_length=100, unique=True)),
                ("is_beta", models.BooleanField(default=False)),
            ],
            options={
                "verbose_name_plural": "stamp metadata",
            },
        ),
        migrations.CreateModel(
            name="WeightConfiguration",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("version", models.CharField(max_length=50, unique=True)),
                ("active", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("threshold", models.FloatField()),
                ("description", models.TextField(blank=True, null=True)),
                (
                    "csv_source",
                    models.CharField(
                        blank=True,
                        help_text="Name of the file the weights came from.",
                        max_length=100,
                        null=True,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("active", True)),
                        fields=("active",),
                        name="registry_weightconfig_one_active",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="WeightConfigurationItem",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("provider", models.CharField(max_length=100)),
                ("weight", models.FloatField()),
                (
                    "weight_configuration",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="items",
                        to="registry.weightconfiguration",
                    ),
                ),
                (
                    "stamp_metadata",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="weights",
                        to="registry.stampmetadata",
                    ),
                ),
            ],
            options={
                "unique_together": {("weight_configuration", "provider")},
            },
        ),
    ]
