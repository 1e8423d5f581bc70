import gc

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()

# What is loaded stays loaded: the garbage collector need not look through it again and again.
gc.collect()
gc.freeze()
