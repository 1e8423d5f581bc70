"""The console, where operations are watched and steered, and what it leaves behind: log, latches, differences.

Nothing is changed in the lists: every action is the console's, with a reason and a line in the log.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from .http.catalogue import BY_ID
from .models import Console, FlagLog, Latch, Mismatch, MismatchSample, Rollout


def _instant(field: str, label: str) -> Any:
    """A column with a time to the second."""

    @admin.display(description=label, ordering=field)
    def column(row: Any) -> str:
        value = getattr(row, field)
        return value.strftime("%Y-%m-%d %H:%M:%S") if value else "-"

    column.__name__ = field
    return column


class _Shown(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows to look at."""

    list_display_links: Any = None

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Console)
class ConsoleAdmin(_Shown):
    """The console's pages, at ``…/scorer_fast/console/``."""

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        name = "scorer_fast_console"
        return [
            path("", wrap(self.overview), name=f"{name}_changelist"),
            path("<str:id_>/", wrap(self.operation), name=f"{name}_operation"),
            path("<str:id_>/<str:name>/", wrap(self.act), name=f"{name}_act"),
        ]

    def overview(self, request: HttpRequest) -> HttpResponse:
        from .console import views  # here, as below: every process imports this module, few show a page

        return views.overview(request, self.admin_site)

    def operation(self, request: HttpRequest, id_: str) -> HttpResponse:
        from .console import views

        return views.operation(request, self.admin_site, id_)

    def act(self, request: HttpRequest, id_: str, name: str) -> HttpResponse:
        from .console import views

        return views.act(request, self.admin_site, id_, name)


@admin.display(description="operation", ordering="operation")
def _operation(row: Any) -> SafeString | str:
    """Its name, with a link to its page."""
    id_ = row.operation_id if isinstance(row, FlagLog) else row.operation
    if id_ not in BY_ID:
        return str(id_)
    return format_html('<a href="{}">{}</a>', reverse("admin:scorer_fast_console_operation", args=[id_]), id_)


@admin.register(FlagLog)
class FlagLogAdmin(_Shown):
    list_display = (_instant("changed_at", "when"), _operation, "from_value", "to_value", "changed_by", "reason")
    list_filter = ("operation", "changed_by")


@admin.register(Latch)
class LatchAdmin(_Shown):
    list_display = (
        _operation, "rule", "seen", _instant("created_at", "latched"), _instant("lifted_at", "lifted"), "lifted_by",
        "lift_reason",
    )  # fmt: skip
    list_filter = ("operation", ("lifted_at", admin.EmptyFieldListFilter))

    @admin.display(description="what was seen")
    def seen(self, latch: Latch) -> str:
        return f"{latch.value} (limit {latch.limit}, {latch.window}, {latch.sample} requests)"


@admin.register(Rollout)
class RolloutAdmin(_Shown):
    list_display = (
        "id", "target", "state", "at", "note", _instant("started_at", "started"), "started_by", "reason",
        _instant("changed_at", "last moved"),
    )  # fmt: skip
    list_filter = ("state",)

    @admin.display(description="step")
    def at(self, rollout: Rollout) -> str:
        return f"{rollout.steps[rollout.step]} ({rollout.step + 1} of {len(rollout.steps)})"


class SampleInline(admin.StackedInline):  # type: ignore[type-arg]
    """Requests of a group with both answers side by side; secrets were taken out before they were stored."""

    model = MismatchSample
    extra = 0
    can_delete = False
    fields = readonly_fields = ("shown",)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> Any:
        self.base = request.build_absolute_uri("/")
        return super().get_queryset(request)

    @admin.display(description="both sides")
    def shown(self, sample: MismatchSample) -> SafeString:
        from .console import pages

        return render_to_string("scorer_fast/console/sample.html", {"sample": pages.sample_of(sample, self.base)})


@admin.register(Mismatch)
class MismatchAdmin(_Shown):
    list_display: Any = (
        "path", _operation, "kind", "category", "rule", "count", _instant("first_seen", "first seen"),
        _instant("last_seen", "last seen"),
    )  # fmt: skip
    fields = readonly_fields = list_display
    list_display_links = ("path",)
    list_filter = ("category", "operation")
    search_fields = ("path", "rule")
    ordering = ("-last_seen",)
    inlines = (SampleInline,)

    class Media:
        css = {"all": ("scorer_fast/console.css",)}
