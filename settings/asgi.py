import gc
import os

from django.core.asgi import get_asgi_application
from django.urls import get_resolver

from scorer_fast.http.door import door
from settings.limits import limit_sessions

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings.production")
application = door(get_asgi_application())
limit_sessions()

_ = get_resolver().url_patterns  # loaded now, not while the first request waits
# What is loaded stays loaded: the garbage collector need not look through it again and again.
gc.collect()
gc.freeze()
