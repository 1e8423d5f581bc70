"""The URLconf that :mod:`scorer_fast.http.call` resolves in: what is unexpected is raised to the caller."""

from .api import PATTERNS, api

app_name = api.urls_namespace
urlpatterns = PATTERNS
