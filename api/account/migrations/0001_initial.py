from decimal import Decimal

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import api.fields


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("scorer_weighted", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Account",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("address", api.fields.EthAddressField(db_index=True, max_length=100)),
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="account",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="AccountAPIKey",
            fields=[
                (
                    "id",
                    models.CharField(editable=False, max_length=150, primary_key=True, serialize=False, unique=True),
                ),
                ("prefix", models.CharField(editable=False, max_length=8, unique=True)),
                ("hashed_key", models.CharField(editable=False, max_length=150)),
                ("created", models.DateTimeField(auto_now_add=True, db_index=True)),
                (
                    "name",
                    models.CharField(
                        default=None,
                        help_text="A free-form name for the API key. Need not be unique. 50 characters max.",
                        max_length=50,
                    ),
                ),
                (
                    "revoked",
                    models.BooleanField(
                        blank=True,
                        default=False,
                        help_text="If the API key is revoked, clients cannot use it anymore. (This cannot be undone.)",
                    ),
                ),
                (
                    "expiry_date",
                    models.DateTimeField(
                        blank=True,
                        help_text="Once API key expires, clients cannot use it anymore.",
                        null=True,
                        verbose_name="Expires",
                    ),
                ),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="api_keys",
                        to="account.account",
                    ),
                ),
                (
                    "rate_limit",
                    models.CharField(
                        blank=True,
                        default="125/15m",
                        help_text="Requests per time, such as 125/15m; empty: no limit.",
                        max_length=20,
                        null=True,
                    ),
                ),
                ("create_scorers", models.BooleanField(default=False)),
                ("read_scores", models.BooleanField(default=True)),
                ("submit_passports", models.BooleanField(default=True)),
                (
                    "analysis_rate_limit",
                    models.CharField(
                        blank=True,
                        default="15/15m",
                        help_text="Requests per time, such as 15/15m; empty: no limit.",
                        max_length=20,
                        null=True,
                    ),
                ),
                ("historical_endpoint", models.BooleanField(default=False)),
                (
                    "embed_rate_limit",
                    models.CharField(
                        blank=True,
                        default="125/15m",
                        help_text="Requests per time through the embedded widget, such as 125/15m; empty: none set.",
                        max_length=20,
                        null=True,
                    ),
                ),
                ("hashed_key_sha256", models.CharField(blank=True, editable=False, max_length=71, null=True)),
            ],
            options={
                "verbose_name": "API key",
                "verbose_name_plural": "API keys",
                "ordering": ("-created",),
            },
        ),
        migrations.CreateModel(
            name="AccountAPIKeyAnalytics",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True, db_index=True, null=True)),
                ("path", models.CharField(max_length=1000)),
                (
                    "api_key",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="analytics",
                        to="account.accountapikey",
                    ),
                ),
                ("base_path", models.CharField(blank=True, db_index=True, max_length=200, null=True)),
                ("error", models.TextField(blank=True, db_index=True, null=True)),
                ("headers", models.JSONField(blank=True, null=True)),
                ("path_segments", models.JSONField(blank=True, db_index=True, null=True)),
                ("payload", models.JSONField(blank=True, db_index=True, null=True)),
                ("query_params", models.JSONField(blank=True, db_index=True, null=True)),
                ("response", models.JSONField(blank=True, null=True)),
                ("response_skipped", models.BooleanField(blank=True, db_index=True, null=True)),
                ("status_code", models.IntegerField(blank=True, db_index=True, null=True)),
            ],
            options={
                "verbose_name": "API key analytics",
                "verbose_name_plural": "API key analytics",
            },
        ),
        migrations.CreateModel(
            name="Community",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("name", models.CharField(max_length=100)),
                ("description", models.CharField(blank=True, default="", max_length=100)),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="communities",
                        to="account.account",
                    ),
                ),
                (
                    "scorer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="communities",
                        to="scorer_weighted.scorer",
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True, null=True)),
                (
                    "rule",
                    models.CharField(
                        choices=[("LIFO", "Last in, first out"), ("FIFO", "First in, first out")],
                        default="LIFO",
                        max_length=100,
                    ),
                ),
                ("use_case", models.CharField(blank=True, max_length=100, null=True)),
                ("deleted_at", models.DateTimeField(blank=True, null=True)),
                ("external_scorer_id", models.CharField(blank=True, max_length=42, null=True, unique=True)),
                (
                    "human_points_program",
                    models.BooleanField(
                        default=False,
                        help_text="Passing here earns human points and counts as a qualified community.",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "communities",
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("deleted_at__isnull", True)),
                        fields=("account", "name"),
                        name="account_community_live_name",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("deleted_at__isnull", False)),
                        fields=("account", "name", "deleted_at"),
                        name="account_community_deleted_name",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="AddressList",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("name", models.CharField(max_length=100, unique=True)),
            ],
        ),
        migrations.CreateModel(
            name="AddressListMember",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("address", api.fields.EthAddressField(db_index=True, max_length=100)),
                (
                    "list",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="members",
                        to="account.addresslist",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("address", "list"), name="account_addresslistmember_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="Customization",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                (
                    "path",
                    models.CharField(
                        help_text="Last part of the dashboard's address; also its id there.",
                        max_length=100,
                        unique=True,
                    ),
                ),
                ("customization_background_1", models.CharField(blank=True, max_length=7, null=True)),
                ("customization_background_2", models.CharField(blank=True, max_length=7, null=True)),
                ("customization_foreground_1", models.CharField(blank=True, max_length=7, null=True)),
                ("logo_image", models.TextField(blank=True, help_text="SVG text.", null=True)),
                ("logo_caption", models.TextField(blank=True, null=True)),
                ("logo_background", models.CharField(blank=True, max_length=10, null=True)),
                ("body_main_text", models.TextField(blank=True, null=True)),
                ("body_sub_text", models.TextField(blank=True, null=True)),
                ("body_action_text", models.TextField(blank=True, null=True)),
                ("body_action_url", models.CharField(blank=True, max_length=200, null=True)),
                (
                    "scorer",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="customization",
                        to="account.community",
                    ),
                ),
                ("use_custom_dashboard_panel", models.BooleanField(default=False)),
                ("scorer_panel_title", models.CharField(blank=True, max_length=100, null=True)),
                ("scorer_panel_text", models.TextField(blank=True, null=True)),
                ("body_display_info_tooltip", models.BooleanField(default=False)),
                ("body_info_tooltip_text", models.TextField(blank=True, null=True)),
                ("button_action_type", models.CharField(default="Simple Link", max_length=25)),
                ("customization_background_3", models.CharField(blank=True, max_length=7, null=True)),
                ("customization_foreground_2", models.CharField(blank=True, max_length=7, null=True)),
                ("show_explanation_panel", models.BooleanField(default=True)),
                ("partner_name", models.CharField(max_length=100)),
                ("custom_dashboard_panel_title", models.CharField(blank=True, max_length=255, null=True)),
                ("nav_logo", models.TextField(blank=True, help_text="SVG text.", null=True)),
                ("nav_order", models.IntegerField(default=0)),
                ("show_in_top_nav", models.BooleanField(default=False)),
            ],
        ),
        migrations.CreateModel(
            name="AllowList",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("weight", models.DecimalField(decimal_places=4, default=Decimal("0"), max_digits=7)),
                (
                    "address_list",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="allow_lists",
                        to="account.addresslist",
                    ),
                ),
                (
                    "customization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="allow_lists",
                        to="account.customization",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="CustomPlatform",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                (
                    "platform_type",
                    models.CharField(choices=[("DEVEL", "Developer list")], default="DEVEL", max_length=5),
                ),
                ("name", models.CharField(max_length=64, unique=True)),
                ("display_name", models.CharField(blank=True, max_length=64, null=True)),
                ("icon_url", models.CharField(blank=True, max_length=64, null=True)),
                ("description", models.CharField(blank=True, max_length=256, null=True)),
                ("banner_heading", models.CharField(blank=True, max_length=64, null=True)),
                ("banner_content", models.CharField(blank=True, max_length=256, null=True)),
                ("banner_cta_text", models.CharField(blank=True, max_length=256, null=True)),
                ("banner_cta_url", models.CharField(blank=True, max_length=256, null=True)),
            ],
        ),
        migrations.CreateModel(
            name="CustomCredentialRuleset",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                (
                    "credential_type",
                    models.CharField(choices=[("DEVEL", "Developer list")], default="DEVEL", max_length=5),
                ),
                ("definition", models.JSONField(help_text="Given out as it stands.")),
                ("name", models.CharField(max_length=64)),
                (
                    "provider_id",
                    models.CharField(
                        help_text="The provider that the credential will name.", max_length=256, unique=True
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="CustomCredential",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("weight", models.DecimalField(decimal_places=4, default=Decimal("0"), max_digits=7)),
                ("display_name", models.CharField(max_length=64)),
                ("description", models.CharField(blank=True, max_length=256, null=True)),
                (
                    "customization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="custom_credentials",
                        to="account.customization",
                    ),
                ),
                (
                    "platform",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="custom_credentials",
                        to="account.customplatform",
                    ),
                ),
                (
                    "ruleset",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="custom_credentials",
                        to="account.customcredentialruleset",
                    ),
                ),
            ],
        ),
    ]
