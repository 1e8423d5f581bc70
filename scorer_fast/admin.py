"""Flags, kill switches and latches as people change them; every change needs a reason and is logged.

What the shadow found and what the guard said of it is shown here, and changed by nobody.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from .cutover import curl, flags
from .cutover.guard import Verdict
from .http.catalogue import OPERATIONS
from .models import FlagLog, GuardVerdict, KillSwitch, Latch, Mismatch, MismatchSample, OperationFlag


class _Reasoned(forms.ModelForm):  # type: ignore[type-arg]
    """A form that asks why."""

    reason = forms.CharField(widget=forms.Textarea(attrs={"rows": 2, "cols": 80}), help_text="why; kept in the log")


class FlagForm(_Reasoned):
    class Meta:
        model = OperationFlag
        fields = ("operation", "mode", "percent", "allow", "deny")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "operation" in self.fields:
            taken = set(OperationFlag.objects.values_list("operation", flat=True))
            self.fields["operation"] = forms.ChoiceField(
                choices=[(one.id, one.id) for one in OPERATIONS if one.id not in taken]
            )

    def clean_percent(self) -> Decimal:
        try:
            return flags.percentage(self.cleaned_data["percent"])
        except flags.InvalidChange as problem:
            raise forms.ValidationError(str(problem)) from None

    def clean_allow(self) -> str:
        return self._addresses("allow")

    def clean_deny(self) -> str:
        return self._addresses("deny")

    def _addresses(self, name: str) -> str:
        try:
            return flags.addresses(self.cleaned_data[name].split())
        except flags.InvalidChange as problem:
            raise forms.ValidationError(str(problem)) from None


class KillForm(_Reasoned):
    class Meta:
        model = KillSwitch
        fields = ("target", "active", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["reason"] = ""  # the last change's reason is not this one's
        if "target" in self.fields:
            taken = set(KillSwitch.objects.values_list("target", flat=True))
            names = [flags.ALL, *(one.id for one in OPERATIONS)]
            self.fields["target"] = forms.ChoiceField(choices=[(name, name) for name in names if name not in taken])


class _Kept(admin.ModelAdmin):  # type: ignore[type-arg]
    """Nothing is deleted here: the log and the latches tell what happened."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class _Shown(_Kept):
    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class _ShownInline(admin.options.InlineModelAdmin):  # type: ignore[type-arg]
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class LogInline(_ShownInline, admin.TabularInline):  # type: ignore[type-arg]
    """What was changed, by whom and why; newest first."""

    model = FlagLog
    fields = readonly_fields = ("changed_at", "changed_by", "from_value", "to_value", "reason")


@admin.register(OperationFlag)
class OperationFlagAdmin(_Kept):
    form = FlagForm
    list_display = ("operation", "mode", "percent", "updated_at", "updated_by")
    list_filter = ("mode",)
    inlines = (LogInline,)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("operation", "updated_at", "updated_by") if obj else ()

    def save_model(self, request: HttpRequest, obj: OperationFlag, form: Any, change: bool) -> None:
        flags.set_mode(
            obj.operation,
            obj.mode,
            obj.percent,
            form.cleaned_data["reason"],
            request.user.get_username(),
            allow=obj.allow.split(),
            deny=obj.deny.split(),
        )


@admin.register(KillSwitch)
class KillSwitchAdmin(_Kept):
    form = KillForm
    list_display = ("target", "active", "updated_at", "updated_by", "reason")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("target", "updated_at", "updated_by") if obj else ()

    def save_model(self, request: HttpRequest, obj: KillSwitch, form: Any, change: bool) -> None:
        throw = flags.kill if obj.active else flags.release
        throw(obj.target, reason=form.cleaned_data["reason"], by=request.user.get_username())


class ReasonActionForm(ActionForm):
    reason = forms.CharField(required=False, label="Reason (to lift)")


@admin.register(Latch)
class LatchAdmin(_Kept):
    list_display = (
        "operation", "rule", "value", "limit", "window", "sample",
        "created_at", "lifted_at", "lifted_by", "lift_reason",
    )  # fmt: skip
    list_filter = ("operation", ("lifted_at", admin.EmptyFieldListFilter))
    list_display_links = None
    action_form = ReasonActionForm
    actions = ("lift",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def change_view(self, *args: Any, **kwargs: Any) -> Any:
        kwargs["extra_context"] = {**(kwargs.get("extra_context") or {}), "show_save": False}
        return super().change_view(*args, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [field.name for field in Latch._meta.fields]

    @admin.action(description="Lift (needs a reason)", permissions=["change"])
    def lift(self, request: HttpRequest, queryset: QuerySet[Latch]) -> None:
        for latch in queryset.filter(lifted_at=None):
            try:
                flags.lift(latch.operation, reason=request.POST.get("reason", ""), by=request.user.get_username())
            except flags.InvalidChange as problem:
                self.message_user(request, str(problem), messages.ERROR)
                return
            self.message_user(request, f"Lifted: {latch.operation}")


@admin.register(FlagLog)
class FlagLogAdmin(_Shown):
    list_display = ("changed_at", "operation_id", "from_value", "to_value", "changed_by", "reason")
    list_filter = ("operation", "changed_by")
    list_display_links = None


def _preformatted(value: Any) -> SafeString:
    """A value as indented JSON, a text as it is; nothing in it is taken for HTML."""
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return format_html('<pre style="white-space: pre-wrap; overflow-wrap: anywhere; margin: 0">{}</pre>', text)


class SampleInline(_ShownInline, admin.StackedInline):  # type: ignore[type-arg]
    """Requests of a group with both answers; secrets were taken out before they were stored."""

    model = MismatchSample
    fields = readonly_fields = ("taken_at", "as_curl", "asked", "host_answered", "fast_answered")

    @admin.display(description="curl")
    def as_curl(self, sample: MismatchSample) -> SafeString:
        return _preformatted(curl.line(sample.request, curl.BASE))

    @admin.display(description="request")
    def asked(self, sample: MismatchSample) -> SafeString:
        return _preformatted(sample.request)

    @admin.display(description="host")
    def host_answered(self, sample: MismatchSample) -> SafeString:
        return _preformatted(sample.control)

    @admin.display(description="fast path")
    def fast_answered(self, sample: MismatchSample) -> SafeString:
        return _preformatted(sample.candidate)


@admin.register(Mismatch)
class MismatchAdmin(_Shown):
    list_display = ("path", "operation", "kind", "category", "rule", "count", "first_seen", "last_seen")
    list_filter = ("category", "operation")
    search_fields = ("path", "rule")
    ordering = ("-last_seen",)
    inlines = (SampleInline,)


@admin.register(GuardVerdict)
class GuardVerdictAdmin(_Shown):
    list_display = ("operation", "verdict", "failing", "judged_at")
    list_filter = ("verdict",)
    ordering = ("operation",)
    fields = ("operation", "verdict", "judged_at", "each_rule")
    readonly_fields = ("each_rule",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[GuardVerdict]:
        return super().get_queryset(request).exclude(operation="")  # stands for a whole round

    @admin.display(description="failing rules")
    def failing(self, verdict: GuardVerdict) -> str:
        failing = [rule for rule in verdict.rules if rule["verdict"] == Verdict.WORSE]
        return "; ".join(f"{rule['name']}: {rule['text']}" for rule in failing)

    @admin.display(description="rules")
    def each_rule(self, verdict: GuardVerdict) -> SafeString:
        return _preformatted("\n".join("{name}: {verdict}; {text}".format(**rule) for rule in verdict.rules))
