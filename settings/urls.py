from django.contrib import admin
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    *staticfiles_urlpatterns(),  # nothing unless DEBUG: elsewhere wsgi.py serves the collected files
    path("", include("scorer_fast.urls")),
]
