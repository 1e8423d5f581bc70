"""Contributions can be looked up; squelched accounts and the rounds' contracts are kept here."""

from django.contrib import admin

from api.admin_base import ReadOnlyAdmin
from api.cgrants.models import GrantContributionIndex, ProtocolContributions, RoundMapping, SquelchedAccounts


@admin.register(GrantContributionIndex)
class GrantContributionIndexAdmin(ReadOnlyAdmin):
    list_display = ("id", "contributor_address", "grant", "round_num", "amount")
    list_select_related = ("grant",)
    search_fields = ("contributor_address__exact",)


@admin.register(ProtocolContributions)
class ProtocolContributionsAdmin(ReadOnlyAdmin):
    list_display = ("ext_id", "contributor", "round", "project", "amount")
    search_fields = ("contributor__exact", "ext_id__exact")


@admin.register(SquelchedAccounts)
class SquelchedAccountsAdmin(admin.ModelAdmin):
    list_display = ("address", "round_number", "sybil_signal", "score_when_squelched")
    list_filter = ("sybil_signal",)
    search_fields = ("address__exact", "round_number")


@admin.register(RoundMapping)
class RoundMappingAdmin(admin.ModelAdmin):
    list_display = ("round_number", "round_eth_address")
    search_fields = ("round_number", "round_eth_address__exact")
