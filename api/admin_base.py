"""What the admin pages of the apps share."""

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.db import models
from django.http import HttpRequest


class IndentedEncoder(json.JSONEncoder):
    """Writes JSON one entry a line, as a person edits it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["indent"] = 2
        super().__init__(*args, **kwargs)


class IndentedJSONField(forms.JSONField):
    """A JSON text area, indented, with numbers and keys as they are stored."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["encoder"] = IndentedEncoder
        kwargs["widget"] = forms.Textarea(attrs={"rows": 24, "cols": 80, "class": "vLargeTextField"})
        super().__init__(*args, **kwargs)


class JSONAdmin(admin.ModelAdmin):
    """An admin whose JSON columns are readable."""

    formfield_overrides = {models.JSONField: {"form_class": IndentedJSONField}}


class ReadOnlyAdmin(admin.ModelAdmin):
    """Rows that programs write: to be looked up here, by what the tables have an index for, never edited."""

    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False
