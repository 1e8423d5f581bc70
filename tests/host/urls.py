from django.contrib import admin
from django.urls import path
from ninja import NinjaAPI

from tests.host.views import ceramic_cache, embed, internal, v2

api = NinjaAPI(title="Host", urls_namespace="host", docs_url=None, openapi_url=None)
api.add_router("/v2", v2.router)
api.add_router("/ceramic-cache", ceramic_cache.router)
api.add_router("/internal/embed", embed.router)
api.add_router("/internal", internal.router)

urlpatterns = [path("admin/", admin.site.urls), path("", api.urls)]
