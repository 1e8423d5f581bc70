"""The service standing alone: ``path("", include("scorer_fast.urls"))``. A host needs no URLs of this app's."""

from .http.api import api, standalone_patterns

app_name = api.urls_namespace
urlpatterns = standalone_patterns()
