"""Admin of accounts, API keys, communities, address lists and customizations.

A key's hash is part of its primary key, so the pages of API keys go by the prefix instead: no page, link,
message or log entry holds the hash.
"""

import json
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.admin.utils import quote
from django.contrib.admin.views.main import ChangeList
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from rest_framework_api_key.admin import APIKeyModelAdmin
from rest_framework_api_key.models import APIKey

from api.account.models import (
    Account,
    AccountAPIKey,
    AddressList,
    AddressListMember,
    AllowList,
    Community,
    CustomCredential,
    CustomCredentialRuleset,
    Customization,
    CustomPlatform,
    EmbedSectionHeader,
    EmbedSectionOrder,
    EmbedStampPlatform,
)
from api.admin_base import JSONAdmin
from api.fields import validate_address

# The package's own keys open nothing here.
if admin.site.is_registered(APIKey):
    admin.site.unregister(APIKey)

SHOWN_OF_HASH = 6  # hex digits


@admin.register(Account)
class AccountAdmin(admin.ModelAdmin):
    list_display = ("id", "address", "user", "key_count", "community_count")
    list_display_links = ("id", "address")
    list_select_related = ("user",)
    search_fields = ("address__exact", "user__username", "user__email")
    raw_id_fields = ("user",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Account]:
        return (
            super()
            .get_queryset(request)
            .annotate(
                _key_count=Count("api_keys", distinct=True),
                _community_count=Count("communities", distinct=True),
            )
        )

    @admin.display(description="API keys", ordering="_key_count")
    def key_count(self, account: Any) -> int:
        return account._key_count

    @admin.display(description="Communities", ordering="_community_count")
    def community_count(self, account: Any) -> int:
        return account._community_count


class PrefixChangeList(ChangeList):
    """Links to a key by its prefix."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pk_attname = "prefix"


@admin.register(AccountAPIKey)
class AccountAPIKeyAdmin(APIKeyModelAdmin):
    list_display = (
        "prefix",
        "name",
        "account",
        "created",
        "expiry_date",
        "_has_expired",
        "revoked",
        "rate_limit",
        "read_scores",
    )
    list_filter = ("revoked", "read_scores", "created")
    list_select_related = ("account",)
    search_fields = ("name", "prefix__exact", "account__address__exact", "account__user__username")
    raw_id_fields = ("account",)
    # The check box of a row would hold its primary key.
    actions = None
    fieldsets = (
        (None, {"fields": ("name", "account", "prefix", "hash_start", "created", "expiry_date", "revoked")}),
        ("Limits", {"fields": ("rate_limit", "analysis_rate_limit", "embed_rate_limit")}),
        (
            "Permissions",
            {"fields": ("read_scores", "submit_passports", "create_scorers", "historical_endpoint")},
        ),
    )

    @admin.display(description="Hash")
    def hash_start(self, key: AccountAPIKey) -> str:
        """The algorithm and the first digits, enough to tell two keys apart."""
        algorithm, _, digits = (key.hashed_key_sha256 or key.hashed_key).rpartition("$")
        if not digits:
            return "-"
        return f"{algorithm.split('$')[0]}: {digits[:SHOWN_OF_HASH]}…"

    def get_readonly_fields(self, request: HttpRequest, obj: models.Model | None = None) -> tuple[str, ...]:
        return (*super().get_readonly_fields(request, obj), "hash_start", "created")

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Keys are revoked; deleting one would take its analytics along."""
        return False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return PrefixChangeList

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> AccountAPIKey | None:
        return self.get_queryset(request).filter(prefix=object_id).first()

    def response_add(
        self, request: HttpRequest, obj: AccountAPIKey, post_url_continue: str | None = None
    ) -> HttpResponse:
        """The message with the key is the only one: Django's own would link by the primary key."""
        name = f"admin:{obj._meta.app_label}_{obj._meta.model_name}"
        if "_continue" in request.POST:
            return HttpResponseRedirect(reverse(f"{name}_change", args=[quote(obj.prefix)]))
        if "_addanother" in request.POST:
            return HttpResponseRedirect(reverse(f"{name}_add"))
        return self.response_post_save_add(request, obj)

    def log_addition(self, request: HttpRequest, obj: AccountAPIKey, message: Any) -> LogEntry:
        return self._log(request, obj, ADDITION, message)

    def log_change(self, request: HttpRequest, obj: AccountAPIKey, message: Any) -> LogEntry:
        return self._log(request, obj, CHANGE, message)

    def _log(self, request: HttpRequest, obj: AccountAPIKey, flag: int, message: Any) -> LogEntry:
        return LogEntry.objects.create(
            user_id=request.user.pk,
            content_type_id=ContentType.objects.get_for_model(obj, for_concrete_model=False).pk,
            object_id=obj.prefix,
            object_repr=str(obj)[:200],
            action_flag=flag,
            change_message=json.dumps(message) if isinstance(message, list) else message,
        )


@admin.register(Community)
class CommunityAdmin(admin.ModelAdmin):
    list_display = (
        "id",
        "name",
        "account",
        "scorer",
        "external_scorer_id",
        "human_points_program",
        "deleted_at",
    )
    list_display_links = ("id", "name")
    list_filter = ("human_points_program", ("deleted_at", admin.EmptyFieldListFilter))
    list_select_related = ("account", "scorer")
    search_fields = ("=id", "name", "external_scorer_id__exact", "account__address__exact")
    raw_id_fields = ("account", "scorer")
    readonly_fields = ("created_at",)

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Communities are marked with `deleted_at`; deleting one would take its scores and links along."""
        return False


class AddressListForm(forms.ModelForm):
    """Adds members by the thousand, which no list of input fields could."""

    add_addresses = forms.CharField(
        required=False,
        strip=True,
        widget=forms.Textarea(attrs={"rows": 12, "cols": 60}),
        help_text="Addresses to add, separated by spaces, commas or new lines; members already there stay.",
    )

    class Meta:
        model = AddressList
        fields = ("name",)

    def clean_add_addresses(self) -> list[str]:
        addresses = self.cleaned_data["add_addresses"].replace(",", " ").lower().split()
        for address in addresses:
            try:
                validate_address(address)
            except ValidationError:
                raise ValidationError("%(address)s is no address.", params={"address": address}) from None
        return list(dict.fromkeys(addresses))


@admin.register(AddressList)
class AddressListAdmin(admin.ModelAdmin):
    form = AddressListForm
    list_display = ("name", "member_count")
    search_fields = ("name",)
    fields = ("name", "add_addresses", "members_link")
    readonly_fields = ("members_link",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[AddressList]:
        return super().get_queryset(request).annotate(_member_count=Count("members"))

    @admin.display(description="Members", ordering="_member_count")
    def member_count(self, address_list: Any) -> int:
        return address_list._member_count

    @admin.display(description="Members")
    def members_link(self, address_list: AddressList) -> str:
        if address_list.pk is None:
            return "-"
        url = reverse("admin:account_addresslistmember_changelist")
        query = urlencode({"list__id__exact": address_list.pk})
        return format_html('<a href="{}?{}">{} members</a>', url, query, address_list.members.count())

    def save_model(self, request: HttpRequest, obj: AddressList, form: forms.ModelForm, change: bool) -> None:
        super().save_model(request, obj, form, change)
        addresses = form.cleaned_data.get("add_addresses") or []
        if addresses:
            before = obj.members.count()
            AddressListMember.objects.bulk_create(
                [AddressListMember(list=obj, address=address) for address in addresses],
                batch_size=1000,
                ignore_conflicts=True,
            )
            messages.info(request, f"{obj.members.count() - before} members added.")


@admin.register(AddressListMember)
class AddressListMemberAdmin(admin.ModelAdmin):
    list_display = ("address", "list")
    list_filter = ("list",)
    list_select_related = ("list",)
    search_fields = ("address__exact",)
    autocomplete_fields = ("list",)
    show_full_result_count = False


class AllowListInline(admin.TabularInline):
    model = AllowList
    extra = 0
    autocomplete_fields = ("address_list",)


class CustomCredentialInline(admin.StackedInline):
    model = CustomCredential
    extra = 0
    autocomplete_fields = ("platform", "ruleset")


class EmbedSectionOrderInline(admin.TabularInline):
    model = EmbedSectionOrder
    extra = 0
    autocomplete_fields = ("section",)


class EmbedStampPlatformInline(admin.TabularInline):
    model = EmbedStampPlatform
    extra = 0
    autocomplete_fields = ("section", "platform")


@admin.register(Customization)
class CustomizationAdmin(admin.ModelAdmin):
    list_display = (
        "path",
        "partner_name",
        "scorer",
        "use_custom_dashboard_panel",
        "show_in_top_nav",
        "nav_order",
    )
    list_filter = ("use_custom_dashboard_panel", "show_in_top_nav")
    list_select_related = ("scorer",)
    search_fields = ("path", "partner_name", "scorer__name")
    raw_id_fields = ("scorer",)
    inlines = (AllowListInline, CustomCredentialInline, EmbedSectionOrderInline, EmbedStampPlatformInline)
    fieldsets = (
        (None, {"fields": ("path", "partner_name", "scorer", "use_custom_dashboard_panel")}),
        ("Navigation", {"fields": ("show_in_top_nav", "nav_order", "nav_logo")}),
        (
            "Colours",
            {
                "fields": (
                    "customization_background_1",
                    "customization_background_2",
                    "customization_background_3",
                    "customization_foreground_1",
                    "customization_foreground_2",
                )
            },
        ),
        ("Logo", {"fields": ("logo_image", "logo_caption", "logo_background")}),
        (
            "Panels",
            {
                "fields": (
                    "custom_dashboard_panel_title",
                    "scorer_panel_title",
                    "scorer_panel_text",
                    "show_explanation_panel",
                )
            },
        ),
        (
            "Body",
            {
                "fields": (
                    "body_main_text",
                    "body_sub_text",
                    "button_action_type",
                    "body_action_text",
                    "body_action_url",
                    "body_display_info_tooltip",
                    "body_info_tooltip_text",
                )
            },
        ),
    )


@admin.register(EmbedSectionHeader)
class EmbedSectionHeaderAdmin(admin.ModelAdmin):
    search_fields = ("name",)
    ordering = ("name",)


@admin.register(CustomPlatform)
class CustomPlatformAdmin(admin.ModelAdmin):
    list_display = ("name", "display_name", "platform_type", "is_evm")
    search_fields = ("name", "display_name")


@admin.register(CustomCredentialRuleset)
class CustomCredentialRulesetAdmin(JSONAdmin):
    list_display = ("name", "provider_id", "credential_type")
    search_fields = ("name", "provider_id")
