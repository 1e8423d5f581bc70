import gc
import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver
from whitenoise import WhiteNoise

from settings.limits import limit_sessions

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings.production")
application = get_wsgi_application()
limit_sessions()
# The admin's files. Around the application rather than as middleware: an ASGI server would pay for a
# synchronous middleware with a thread per request.
if settings.STATIC_ROOT.is_dir():
    application = WhiteNoise(application, root=settings.STATIC_ROOT, prefix=settings.STATIC_URL)

_ = get_resolver().url_patterns  # loaded now, not while the first request waits
# What is loaded stays loaded: the garbage collector need not look through it again and again.
gc.collect()
gc.freeze()
