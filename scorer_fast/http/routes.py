"""The URLconf that :mod:`scorer_fast.http.call` resolves in: what is unexpected is raised to the caller."""

from .api import api, url_patterns

app_name = api.urls_namespace
urlpatterns = url_patterns()
