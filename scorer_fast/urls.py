"""The service standing alone: ``path("", include("scorer_fast.urls"))``. A host needs no URLs of this app's."""

from django.urls import path

from .console import health
from .http.api import STANDALONE_PATTERNS, api

app_name = api.urls_namespace
urlpatterns = [*(path(each[1:], health.answer) for each in sorted(health.PATHS)), *STANDALONE_PATTERNS]
