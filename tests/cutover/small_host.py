"""A host that answers every path and says what it was asked: whoever gets this was not answered by us."""

from django.contrib import admin
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path, re_path


def echo(request: HttpRequest) -> HttpResponse:
    return JsonResponse(
        {
            "from": "host",
            "method": request.method,
            "path": request.get_full_path(),
            "body": request.body.decode("utf-8", "replace"),
        }
    )


def broken(request: HttpRequest, address: str) -> HttpResponse:
    raise LookupError("the host's own mistake")


def query(request: HttpRequest, address: str) -> HttpResponse:
    """A view that needs the database, as the host's do."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return echo(request)


urlpatterns = [
    path("admin/", admin.site.urls),
    path("internal/allow-list/broken/<str:address>", broken),
    path("internal/stake/gtc/<str:address>", query),
    re_path(r"", echo),
]
