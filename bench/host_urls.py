from django.urls import include, path

from bench.floor import api

urlpatterns = [path("bench/", api.urls), path("", include("tests.host.urls"))]
