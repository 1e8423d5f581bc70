"""Admin of scorers with their weights and thresholds."""

from typing import Any

from django.contrib import admin
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest

from api.admin_base import JSONAdmin
from api.scorer_weighted.models import BinaryWeightedScorer, Scorer, WeightedScorer


@admin.register(Scorer)
class ScorerAdmin(admin.ModelAdmin):
    """All scorers, for picking one; they are made and weighted under their kind."""

    list_display = ("id", "type", "exclude_from_weight_updates", "community_names")
    list_filter = ("type", "exclude_from_weight_updates")
    search_fields = ("=id", "communities__name")
    readonly_fields = ("type",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Scorer]:
        return super().get_queryset(request).prefetch_related("communities")

    @admin.display(description="Communities")
    def community_names(self, scorer: Scorer) -> str:
        return ", ".join(community.name for community in scorer.communities.all())

    def has_add_permission(self, request: HttpRequest) -> bool:
        """A row without weights would score nobody."""
        return False


class WeightedKindAdmin(JSONAdmin):
    """Both kinds: the weights as JSON, the threshold, the communities they hold for."""

    list_display = ("id", "threshold", "weight_count", "exclude_from_weight_updates", "community_names")
    list_filter = ("exclude_from_weight_updates",)
    search_fields = ("=id", "communities__name")
    readonly_fields = ("type", "community_names")
    fields = ("type", "threshold", "weights", "exclude_from_weight_updates", "community_names")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).prefetch_related("communities")

    @admin.display(description="Weights")
    def weight_count(self, scorer: Any) -> int:
        return len(scorer.weights or {})

    @admin.display(description="Communities")
    def community_names(self, scorer: Any) -> str:
        return ", ".join(community.name for community in scorer.communities.all()) if scorer.pk else ""

    def get_readonly_fields(self, request: HttpRequest, obj: models.Model | None = None) -> tuple[str, ...]:
        return ("type", "community_names")


admin.site.register(WeightedScorer, WeightedKindAdmin)
admin.site.register(BinaryWeightedScorer, WeightedKindAdmin)
