"""Accounts, their API keys and communities, and what a community shows and counts of its own."""

import hashlib
import re
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.crypto import constant_time_compare
from rest_framework_api_key.models import AbstractAPIKey, BaseAPIKeyManager

from api.fields import EthAddressField
from api.scorer_weighted.models import Scorer

SHA256_PREFIX = "sha256$"
RATE = re.compile(r"\d+/\d*[smhd]")
RATE_FIELDS = ("rate_limit", "analysis_rate_limit", "embed_rate_limit")


def hash_key_sha256(key: str) -> str:
    """`sha256$` and the hex SHA-256 of a whole key (71 characters)."""
    return SHA256_PREFIX + hashlib.sha256(key.encode()).hexdigest()


class Account(models.Model):
    """A user of the developer portal: owns API keys and communities."""

    address = EthAddressField(max_length=100, db_index=True)
    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="account")

    def __str__(self) -> str:
        return f"Account #{self.pk} {self.address}"


class AccountAPIKeyManager(BaseAPIKeyManager):
    """Keys made here carry their SHA-256 from the start, so that no side ever hashes them slowly."""

    def assign_key(self, obj: Any) -> str:
        key = super().assign_key(obj)
        obj.hashed_key_sha256 = hash_key_sha256(key)
        return key


class AccountAPIKey(AbstractAPIKey):
    """An API key: prefix and hashes of it, never the key; `id` is `prefix.hashed_key` as first written."""

    objects = AccountAPIKeyManager()

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="api_keys")
    rate_limit = models.CharField(
        max_length=20,
        null=True,
        blank=True,
        default="125/15m",
        help_text="Requests per time, such as 125/15m; empty: no limit.",
    )
    create_scorers = models.BooleanField(default=False)
    read_scores = models.BooleanField(default=True)
    submit_passports = models.BooleanField(default=True)
    analysis_rate_limit = models.CharField(
        max_length=20,
        null=True,
        blank=True,
        default="15/15m",
        help_text="Requests per time, such as 15/15m; empty: no limit.",
    )
    historical_endpoint = models.BooleanField(default=False)
    embed_rate_limit = models.CharField(
        max_length=20,
        null=True,
        blank=True,
        default="125/15m",
        help_text="Requests per time through the embedded widget, such as 125/15m; empty: none set.",
    )
    hashed_key_sha256 = models.CharField(max_length=71, null=True, blank=True, editable=False)

    class Meta(AbstractAPIKey.Meta):
        verbose_name = "API key"
        verbose_name_plural = "API keys"

    def clean(self) -> None:
        super().clean()
        errors = {
            name: "Enter a count and a time, such as 125/15m (s, m, h or d)."
            for name in RATE_FIELDS
            if (rate := getattr(self, name)) and not RATE.fullmatch(rate)
        }
        if errors:
            raise ValidationError(errors)

    def is_valid(self, key: str) -> bool:
        """Whether `key` is this key. Fills in its SHA-256; `hashed_key` stays: the host reads it too."""
        if self.hashed_key_sha256:
            return constant_time_compare(self.hashed_key_sha256, hash_key_sha256(key))
        if self.hashed_key.startswith(SHA256_PREFIX):
            return constant_time_compare(self.hashed_key, hash_key_sha256(key))
        valid = type(self).objects.key_generator.verify(key, self.hashed_key)
        if valid:
            self.hashed_key_sha256 = hash_key_sha256(key)
            self.save(update_fields=["hashed_key_sha256"])
        return valid


class AccountAPIKeyAnalytics(models.Model):
    """One call made with an API key: what was asked, what was answered."""

    created_at = models.DateTimeField(auto_now_add=True, null=True, blank=True, db_index=True)
    path = models.CharField(max_length=1000)
    api_key = models.ForeignKey(AccountAPIKey, on_delete=models.CASCADE, related_name="analytics")
    base_path = models.CharField(max_length=200, null=True, blank=True, db_index=True)
    error = models.TextField(null=True, blank=True, db_index=True)
    headers = models.JSONField(null=True, blank=True)
    path_segments = models.JSONField(null=True, blank=True, db_index=True)
    payload = models.JSONField(null=True, blank=True, db_index=True)
    query_params = models.JSONField(null=True, blank=True, db_index=True)
    response = models.JSONField(null=True, blank=True)
    response_skipped = models.BooleanField(null=True, blank=True, db_index=True)
    status_code = models.IntegerField(null=True, blank=True, db_index=True)

    class Meta:
        verbose_name = "API key analytics"
        verbose_name_plural = "API key analytics"

    def __str__(self) -> str:
        return f"{self.path} ({self.status_code})"


class Community(models.Model):
    """A scorer as its clients know it: `scorer_id` in a path is the id of this row."""

    class Rule(models.TextChoices):
        LIFO = "LIFO", "Last in, first out"
        FIFO = "FIFO", "First in, first out"

    name = models.CharField(max_length=100)
    description = models.CharField(max_length=100, blank=True, default="")
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="communities")
    scorer = models.ForeignKey(Scorer, on_delete=models.PROTECT, related_name="communities")
    created_at = models.DateTimeField(auto_now_add=True, null=True, blank=True)
    rule = models.CharField(max_length=100, choices=Rule.choices, default=Rule.LIFO)
    use_case = models.CharField(max_length=100, null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)
    external_scorer_id = models.CharField(max_length=42, null=True, blank=True, unique=True)
    human_points_program = models.BooleanField(
        default=False, help_text="Passing here earns human points and counts as a qualified community."
    )

    class Meta:
        verbose_name_plural = "communities"
        constraints = [
            models.UniqueConstraint(
                fields=["account", "name"],
                condition=models.Q(deleted_at__isnull=True),
                name="account_community_live_name",
            ),
            models.UniqueConstraint(
                fields=["account", "name", "deleted_at"],
                condition=models.Q(deleted_at__isnull=False),
                name="account_community_deleted_name",
            ),
        ]

    def __str__(self) -> str:
        return f"Community #{self.pk} {self.name}"


class AddressList(models.Model):
    """A named list of addresses; its name is what requests and weights (`AllowList#<name>`) call it by."""

    name = models.CharField(max_length=100, unique=True)

    def __str__(self) -> str:
        return self.name


class AddressListMember(models.Model):
    """One address on a list."""

    address = EthAddressField(max_length=100, db_index=True)
    list = models.ForeignKey(AddressList, on_delete=models.CASCADE, related_name="members")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["address", "list"], name="account_addresslistmember_once"),
        ]

    def __str__(self) -> str:
        return f"{self.address} on list #{self.list_id}"


class Customization(models.Model):
    """How a community's dashboard looks; its allow lists and custom credentials add weights of their own."""

    path = models.CharField(
        max_length=100, unique=True, help_text="Last part of the dashboard's address; also its id there."
    )
    customization_background_1 = models.CharField(max_length=7, null=True, blank=True)
    customization_background_2 = models.CharField(max_length=7, null=True, blank=True)
    customization_foreground_1 = models.CharField(max_length=7, null=True, blank=True)
    logo_image = models.TextField(null=True, blank=True, help_text="SVG text.")
    logo_caption = models.TextField(null=True, blank=True)
    logo_background = models.CharField(max_length=10, null=True, blank=True)
    body_main_text = models.TextField(null=True, blank=True)
    body_sub_text = models.TextField(null=True, blank=True)
    body_action_text = models.TextField(null=True, blank=True)
    body_action_url = models.CharField(max_length=200, null=True, blank=True)
    scorer = models.OneToOneField(Community, on_delete=models.CASCADE, related_name="customization")
    use_custom_dashboard_panel = models.BooleanField(default=False)
    scorer_panel_title = models.CharField(max_length=100, null=True, blank=True)
    scorer_panel_text = models.TextField(null=True, blank=True)
    body_display_info_tooltip = models.BooleanField(default=False)
    body_info_tooltip_text = models.TextField(null=True, blank=True)
    button_action_type = models.CharField(max_length=25, default="Simple Link")
    customization_background_3 = models.CharField(max_length=7, null=True, blank=True)
    customization_foreground_2 = models.CharField(max_length=7, null=True, blank=True)
    show_explanation_panel = models.BooleanField(default=True)
    partner_name = models.CharField(max_length=100)
    custom_dashboard_panel_title = models.CharField(max_length=255, null=True, blank=True)
    nav_logo = models.TextField(null=True, blank=True, help_text="SVG text.")
    nav_order = models.IntegerField(default=0)
    show_in_top_nav = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"{self.partner_name} ({self.path})"


class AllowList(models.Model):
    """What being on an address list is worth in a customized community."""

    weight = models.DecimalField(max_digits=7, decimal_places=4, default=Decimal("0"))
    address_list = models.ForeignKey(AddressList, on_delete=models.PROTECT, related_name="allow_lists")
    customization = models.ForeignKey(Customization, on_delete=models.CASCADE, related_name="allow_lists")

    def __str__(self) -> str:
        return f"Allow list #{self.pk}, weight {self.weight}"


class CustomPlatform(models.Model):
    """The card under which a dashboard shows custom credentials."""

    class PlatformType(models.TextChoices):
        DEVEL = "DEVEL", "Developer list"

    platform_type = models.CharField(max_length=5, choices=PlatformType.choices, default=PlatformType.DEVEL)
    name = models.CharField(max_length=64, unique=True)
    display_name = models.CharField(max_length=64, null=True, blank=True)
    icon_url = models.CharField(max_length=64, null=True, blank=True)
    description = models.CharField(max_length=256, null=True, blank=True)
    banner_heading = models.CharField(max_length=64, null=True, blank=True)
    banner_content = models.CharField(max_length=256, null=True, blank=True)
    banner_cta_text = models.CharField(max_length=256, null=True, blank=True)
    banner_cta_url = models.CharField(max_length=256, null=True, blank=True)
    is_evm = models.BooleanField(default=False)

    def __str__(self) -> str:
        return self.display_name or self.name


class CustomCredentialRuleset(models.Model):
    """The rules an issuer applies before it signs a custom credential; found by `provider_id`."""

    class CredentialType(models.TextChoices):
        DEVEL = "DEVEL", "Developer list"

    credential_type = models.CharField(max_length=5, choices=CredentialType.choices, default=CredentialType.DEVEL)
    definition = models.JSONField(help_text="Given out as it stands.")
    name = models.CharField(max_length=64)
    provider_id = models.CharField(max_length=256, unique=True, help_text="The provider that the credential will name.")

    def __str__(self) -> str:
        return f"{self.name} ({self.provider_id})"


class CustomCredential(models.Model):
    """What a custom credential is worth in a customized community."""

    weight = models.DecimalField(max_digits=7, decimal_places=4, default=Decimal("0"))
    display_name = models.CharField(max_length=64)
    description = models.CharField(max_length=256, null=True, blank=True)
    customization = models.ForeignKey(Customization, on_delete=models.CASCADE, related_name="custom_credentials")
    platform = models.ForeignKey(CustomPlatform, on_delete=models.PROTECT, related_name="custom_credentials")
    ruleset = models.ForeignKey(CustomCredentialRuleset, on_delete=models.PROTECT, related_name="custom_credentials")

    def __str__(self) -> str:
        return f"{self.display_name}, weight {self.weight}"


class EmbedSectionHeader(models.Model):
    """A heading under which the embedded widget shows platforms."""

    name = models.CharField(max_length=255, unique=True)

    def __str__(self) -> str:
        return self.name


class EmbedSectionOrder(models.Model):
    """A section that a customized community's widget shows, and where."""

    order = models.IntegerField(default=0, help_text="Sections come by order, then by id.")
    customization = models.ForeignKey(Customization, on_delete=models.CASCADE, related_name="embed_sections")
    section = models.ForeignKey(EmbedSectionHeader, on_delete=models.CASCADE, related_name="orders")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["customization", "section"], name="account_embedsectionorder_once"),
        ]

    def __str__(self) -> str:
        return f"Section #{self.section_id} in customization #{self.customization_id}"


class EmbedStampPlatform(models.Model):
    """A platform that a customized community's widget shows in a section."""

    order = models.IntegerField(default=0, help_text="Platforms of a section come by order, then by id.")
    customization = models.ForeignKey(Customization, on_delete=models.CASCADE, related_name="embed_platforms")
    section = models.ForeignKey(EmbedSectionHeader, on_delete=models.CASCADE, related_name="platforms")
    platform = models.ForeignKey("registry.PlatformMetadata", on_delete=models.PROTECT, related_name="embeds")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["customization", "platform"], name="account_embedstampplatform_once"),
        ]

    def __str__(self) -> str:
        return f"Platform #{self.platform_id} in customization #{self.customization_id}"


class WalletGroupCommunityClaim(models.Model):
    """Which wallet of one person's stands for all of them in a community."""

    group_key = models.TextField()
    community = models.ForeignKey(Community, on_delete=models.CASCADE, related_name="wallet_claims")
    canonical_address = EthAddressField(max_length=42, db_index=True)
    claimed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["group_key", "community"], name="account_walletgroup_once_per_community"),
        ]

    def __str__(self) -> str:
        return f"{self.canonical_address} in community #{self.community_id}"
