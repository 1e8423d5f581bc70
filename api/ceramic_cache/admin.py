"""Admin of bans and revocations; stamps can be looked up."""

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from api.admin_base import ReadOnlyAdmin
from api.ceramic_cache.models import Ban, BanList, CeramicCache, Revocation, RevocationList


@admin.register(CeramicCache)
class CeramicCacheAdmin(ReadOnlyAdmin):
    list_display = ("id", "address", "provider", "type", "deleted_at", "expiration_date", "updated_at")
    list_display_links = ("id", "address")
    search_fields = ("address__exact", "proof_value__exact")


@admin.register(Ban)
class BanAdmin(admin.ModelAdmin):
    list_display = ("id", "type", "address", "hash", "provider", "active", "end_time", "reason", "ban_list")
    list_display_links = ("id", "type")
    list_filter = ("type", ("end_time", admin.EmptyFieldListFilter), "created_at")
    list_select_related = ("ban_list",)
    search_fields = ("address__exact", "hash__exact", "provider", "reason")
    autocomplete_fields = ("ban_list",)
    readonly_fields = ("created_at", "last_run_revoke_matching")
    fields = (
        "type",
        "address",
        "hash",
        "provider",
        "end_time",
        "reason",
        "ban_list",
        "created_at",
        "last_run_revoke_matching",
    )

    @admin.display(boolean=True, description="Active")
    def active(self, ban: Ban) -> bool:
        return ban.is_active


@admin.register(BanList)
class BanListAdmin(admin.ModelAdmin):
    list_display = ("id", "name", "description", "csv_file")
    list_display_links = ("id", "name")
    search_fields = ("name",)


@admin.register(Revocation)
class RevocationAdmin(admin.ModelAdmin):
    list_display = ("id", "proof_value", "address", "provider", "revocation_list")
    list_display_links = ("id", "proof_value")
    list_select_related = ("ceramic_cache", "revocation_list")
    search_fields = ("proof_value__exact", "ceramic_cache__address__exact")
    raw_id_fields = ("ceramic_cache",)
    autocomplete_fields = ("revocation_list",)
    readonly_fields = ("proof_value",)
    fields = ("ceramic_cache", "revocation_list", "proof_value")

    @admin.display(description="Address")
    def address(self, revocation: Revocation) -> str | None:
        return revocation.ceramic_cache.address

    @admin.display(description="Provider")
    def provider(self, revocation: Revocation) -> str:
        return revocation.ceramic_cache.provider

    def save_model(self, request: HttpRequest, obj: Revocation, form: forms.ModelForm, change: bool) -> None:
        """Checks by proof and scoring by row must agree: the proof is always the stamp's."""
        obj.proof_value = obj.ceramic_cache.proof_value
        super().save_model(request, obj, form, change)


@admin.register(RevocationList)
class RevocationListAdmin(admin.ModelAdmin):
    list_display = ("id", "name", "description", "csv_file")
    list_display_links = ("id", "name")
    search_fields = ("name",)
