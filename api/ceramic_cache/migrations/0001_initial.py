import django.db.models.deletion
from django.db import migrations, models

import api.fields


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="CeramicCache",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("address", api.fields.EthAddressField(blank=True, db_index=True, max_length=100, null=True)),
                ("provider", models.CharField(db_index=True, default="", max_length=256)),
                ("stamp", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField(auto_now_add=True, db_index=True, null=True)),
                ("updated_at", models.DateTimeField(auto_now=True, db_index=True)),
                ("type", models.IntegerField(choices=[(1, "V1"), (2, "V2")], default=1)),
                ("deleted_at", models.DateTimeField(blank=True, db_index=True, default=None, null=True)),
                (
                    "compose_db_save_status",
                    models.CharField(
                        blank=True,
                        choices=[("pending", "Pending"), ("saved", "Saved"), ("failed", "Failed")],
                        db_index=True,
                        default="",
                        max_length=10,
                    ),
                ),
                (
                    "compose_db_stream_id",
                    models.CharField(blank=True, db_index=True, default="", max_length=100),
                ),
                ("expiration_date", models.DateTimeField(blank=True, db_index=True, null=True)),
                ("issuance_date", models.DateTimeField(blank=True, db_index=True, null=True)),
                ("proof_value", models.CharField(db_index=True, max_length=256)),
                (
                    "source_app",
                    models.IntegerField(blank=True, choices=[(1, "Passport"), (2, "Embed")], db_index=True, null=True),
                ),
                ("source_scorer_id", models.BigIntegerField(blank=True, db_index=True, null=True)),
            ],
            options={
                "verbose_name": "stamp",
                "unique_together": {("type", "address", "provider", "deleted_at")},
                "indexes": [models.Index(fields=["address", "deleted_at", "id"], name="ceramic_cache_address_live")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("deleted_at__isnull", True)),
                        fields=("type", "address", "provider"),
                        name="ceramic_cache_live_stamp",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("deleted_at__isnull", False)),
                        fields=("type", "address", "provider", "deleted_at"),
                        name="ceramic_cache_deleted_stamp",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="RevocationList",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("name", models.CharField(blank=True, db_index=True, max_length=256, null=True)),
                ("description", models.TextField(blank=True, null=True)),
                (
                    "csv_file",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="Name of the file the list came from.",
                        max_length=1024,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Revocation",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("proof_value", models.CharField(db_index=True, max_length=256)),
                (
                    "ceramic_cache",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="revocation",
                        to="ceramic_cache.ceramiccache",
                    ),
                ),
                (
                    "revocation_list",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="revocations",
                        to="ceramic_cache.revocationlist",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="BanList",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("name", models.CharField(blank=True, db_index=True, max_length=256, null=True)),
                ("description", models.TextField(blank=True, null=True)),
                (
                    "csv_file",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="Name of the file the list came from.",
                        max_length=1024,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Ban",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("provider", models.CharField(blank=True, db_index=True, default="", max_length=256)),
                ("hash", models.CharField(blank=True, db_index=True, default="", max_length=100)),
                ("address", api.fields.EthAddressField(blank=True, db_index=True, default="", max_length=42)),
                (
                    "end_time",
                    models.DateTimeField(blank=True, db_index=True, help_text="Empty: the ban has no end.", null=True),
                ),
                ("reason", models.TextField(blank=True, null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True, db_index=True)),
                ("last_run_revoke_matching", models.DateTimeField(blank=True, null=True)),
                (
                    "type",
                    models.CharField(
                        choices=[("account", "Account"), ("hash", "Hash"), ("single_stamp", "Single stamp")],
                        max_length=20,
                    ),
                ),
                (
                    "ban_list",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="bans",
                        to="ceramic_cache.banlist",
                    ),
                ),
            ],
        ),
    ]
