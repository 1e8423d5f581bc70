"""The stamps addresses collected, and the bans and revocations that take them away."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from api.fields import EthAddressField


class CeramicCache(models.Model):
    """A stamp of an address. Live while `deleted_at` is null; one live stamp per type, address, provider."""

    class StampType(models.IntegerChoices):
        V1 = 1, "V1"
        V2 = 2, "V2"

    class ComposeDBSaveStatus(models.TextChoices):
        PENDING = "pending", "Pending"
        SAVED = "saved", "Saved"
        FAILED = "failed", "Failed"

    class SourceApp(models.IntegerChoices):
        PASSPORT = 1, "Passport"
        EMBED = 2, "Embed"

    address = EthAddressField(max_length=100, null=True, blank=True, db_index=True)
    provider = models.CharField(max_length=256, default="", db_index=True)
    stamp = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True, null=True, blank=True, db_index=True)
    updated_at = models.DateTimeField(auto_now=True, db_index=True)
    type = models.IntegerField(choices=StampType.choices, default=StampType.V1)
    deleted_at = models.DateTimeField(null=True, blank=True, default=None, db_index=True)
    compose_db_save_status = models.CharField(
        max_length=10,
        choices=ComposeDBSaveStatus.choices,
        blank=True,
        default="",
        db_index=True,
    )
    compose_db_stream_id = models.CharField(max_length=100, blank=True, default="", db_index=True)
    expiration_date = models.DateTimeField(null=True, blank=True, db_index=True)
    issuance_date = models.DateTimeField(null=True, blank=True, db_index=True)
    proof_value = models.CharField(max_length=256, db_index=True)
    source_app = models.IntegerField(choices=SourceApp.choices, null=True, blank=True, db_index=True)
    source_scorer_id = models.BigIntegerField(null=True, blank=True, db_index=True)

    class Meta:
        verbose_name = "stamp"
        unique_together = [("type", "address", "provider", "deleted_at")]
        constraints = [
            models.UniqueConstraint(
                fields=["type", "address", "provider"],
                condition=models.Q(deleted_at__isnull=True),
                name="ceramic_cache_live_stamp",
            ),
            models.UniqueConstraint(
                fields=["type", "address", "provider", "deleted_at"],
                condition=models.Q(deleted_at__isnull=False),
                name="ceramic_cache_deleted_stamp",
            ),
        ]
        indexes = [
            models.Index(
                fields=["address", "-id"],
                condition=models.Q(deleted_at__isnull=True),
                name="ceramic_cache_live_by_address",
            ),
        ]

    def __str__(self) -> str:
        return f"Stamp #{self.pk} {self.provider} of {self.address}"


class RevocationList(models.Model):
    """Where a batch of revocations came from."""

    name = models.CharField(max_length=256, null=True, blank=True, db_index=True)
    description = models.TextField(null=True, blank=True)
    csv_file = models.CharField(
        max_length=1024, blank=True, default="", help_text="Name of the file the list came from."
    )

    def __str__(self) -> str:
        return self.name or f"Revocation list #{self.pk}"


class Revocation(models.Model):
    """A stamp that no longer counts, by its proof."""

    proof_value = models.CharField(max_length=256, db_index=True)
    ceramic_cache = models.OneToOneField(CeramicCache, on_delete=models.CASCADE, related_name="revocation")
    revocation_list = models.ForeignKey(
        RevocationList, on_delete=models.SET_NULL, null=True, blank=True, related_name="revocations"
    )

    def __str__(self) -> str:
        return f"Revocation #{self.pk} {self.proof_value[:16]}"


class BanList(models.Model):
    """Where a batch of bans came from."""

    name = models.CharField(max_length=256, null=True, blank=True, db_index=True)
    description = models.TextField(null=True, blank=True)
    csv_file = models.CharField(
        max_length=1024, blank=True, default="", help_text="Name of the file the list came from."
    )

    def __str__(self) -> str:
        return self.name or f"Ban list #{self.pk}"


class Ban(models.Model):
    """Bars an address, one provider of an address, or a credential's hash from new credentials.

    What does not apply is the empty string, never null; runs until `end_time`, or for good.
    """

    class Type(models.TextChoices):
        ACCOUNT = "account", "Account"
        HASH = "hash", "Hash"
        SINGLE_STAMP = "single_stamp", "Single stamp"

    provider = models.CharField(max_length=256, blank=True, default="", db_index=True)
    hash = models.CharField(max_length=100, blank=True, default="", db_index=True)
    address = EthAddressField(max_length=42, blank=True, default="", db_index=True)
    end_time = models.DateTimeField(null=True, blank=True, db_index=True, help_text="Empty: the ban has no end.")
    reason = models.TextField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)
    last_run_revoke_matching = models.DateTimeField(null=True, blank=True)
    type = models.CharField(max_length=20, choices=Type.choices)
    ban_list = models.ForeignKey(BanList, on_delete=models.SET_NULL, null=True, blank=True, related_name="bans")

    def __str__(self) -> str:
        return f"Ban #{self.pk} ({self.type})"

    @property
    def is_active(self) -> bool:
        return self.end_time is None or self.end_time > timezone.now()

    def clean(self) -> None:
        needed: dict[str, tuple[str, ...]] = {
            self.Type.ACCOUNT: ("address",),
            self.Type.HASH: ("hash",),
            self.Type.SINGLE_STAMP: ("address", "provider"),
        }
        if self.type not in needed:
            return
        errors: dict[str, Any] = {}
        for name in ("address", "hash", "provider"):
            if name in needed[self.type] and not getattr(self, name):
                errors[name] = f"A ban of type {self.type} needs this."
            elif name not in needed[self.type] and getattr(self, name):
                errors[name] = f"A ban of type {self.type} leaves this empty."
        if errors:
            raise ValidationError(errors)
