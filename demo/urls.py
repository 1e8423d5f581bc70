"""The host's, and the admin's files."""

from django.contrib.staticfiles.views import serve
from django.urls import re_path

from tests.host import urls

urlpatterns = [re_path(r"^static/(?P<path>.*)$", serve, {"insecure": True}), *urls.urlpatterns]
