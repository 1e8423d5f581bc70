import gc

from django.core.asgi import get_asgi_application

from scorer_fast.http.door import door

application = door(get_asgi_application())

# What is loaded stays loaded: the garbage collector need not look through it again and again.
gc.collect()
gc.freeze()
