"""The page of the OpenAPI document: who may see it (``DOCS``), and that nothing on it comes from elsewhere."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import NoReverseMatch, reverse
from ninja import NinjaAPI, Swagger
from ninja.openapi.schema import OpenAPISchema

from ..settings import conf
from . import examples

View = Callable[..., HttpResponse]
PAGE, DOCUMENT = "/scorer-fast/docs", "/scorer-fast/openapi.json"
WITHOUT_FILES = 'Add "ninja" to INSTALLED_APPS: the files of this page are part of django-ninja.'


class LocalSwagger(Swagger):
    """Swagger's page with django-ninja's own files; without them a sentence, never another server's files."""

    def __init__(self) -> None:
        super().__init__({"validatorUrl": None})  # else Swagger shows the document to a validator on another server

    def render_page(self, request: HttpRequest, api: NinjaAPI, **kwargs: Any) -> HttpResponse:
        if "ninja" not in settings.INSTALLED_APPS:
            return HttpResponse(WITHOUT_FILES, status=404, content_type="text/plain; charset=utf-8")
        return super().render_page(request, api, **kwargs)


class DocumentedAPI(NinjaAPI):
    """A NinjaAPI whose document has an example of every operation."""

    def get_openapi_schema(self, **kwargs: Any) -> OpenAPISchema:
        document = super().get_openapi_schema(**kwargs)
        examples.add_to(document)
        return document


def guarded(view: View) -> View:
    """The page or the document for whom ``DOCS`` lets see it; 404 for others, or the admin's login."""

    @functools.wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if conf.docs == "on":
            return view(request, *args, **kwargs)
        if conf.docs == "off":
            raise Http404
        user = getattr(request, "user", None)
        if user is not None and user.is_active and user.is_staff:
            return view(request, *args, **kwargs)
        try:
            login = reverse("admin:login")
        except NoReverseMatch:
            raise Http404 from None
        return HttpResponseRedirect(f"{login}?next={request.path}")

    return answer
