"""Stakes can be looked up; the chains' indexers write them."""

from django.contrib import admin

from api.admin_base import ReadOnlyAdmin
from api.stake.models import Stake


@admin.register(Stake)
class StakeAdmin(ReadOnlyAdmin):
    list_display = (
        "id",
        "chain",
        "staker",
        "stakee",
        "current_amount",
        "unlock_time",
        "last_updated_in_block",
    )
    list_filter = ("chain",)
    search_fields = ("staker__exact", "stakee__exact")
