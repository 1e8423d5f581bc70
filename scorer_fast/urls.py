"""The service standing alone: ``path("", include("scorer_fast.urls"))``. A host needs no URLs of this app's."""

from .http.api import STANDALONE_PATTERNS, api

app_name = api.urls_namespace
urlpatterns = STANDALONE_PATTERNS
