"""For ``asgi.py``, the service's own or a host's: no more requests go in than can be answered in time.

    application = door(get_asgi_application())

An ASGI server takes every connection and begins every request at once. Beyond what the process can do, Django and its
middleware then spend all of it on requests whose clients have gone. Here such a request costs a tenth of a millisecond.
Under WSGI the server's threads are the bound.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from .. import overload
from ..errors import Refused
from ..settings import conf
from .problems import refused_response

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

OWN = "/scorer-fast/"  # health: it is asked when there is too much to do


def door(application: Application) -> Application:
    """``application``, which is asked by ``MAX_IN_PROGRESS`` requests at once; the others are told 503, try again."""
    inside = 0

    async def answer(scope: Message, receive: Receive, send: Send) -> None:
        nonlocal inside
        if scope["type"] != "http" or scope["path"].startswith(OWN):
            await application(scope, receive, send)
            return
        most = conf.max_in_progress
        if most and inside >= most:
            await _refuse(overload.shed("asgi", None, f"{most} requests are in progress"), send)
            return
        inside += 1
        try:
            await application(scope, receive, send)
        finally:
            inside -= 1

    return answer


async def _refuse(shed: Refused, send: Send) -> None:
    response = refused_response(shed)
    headers = [(name.lower().encode(), value.encode()) for name, value in response.items()]
    length = (b"content-length", str(len(response.content)).encode())
    await send({"type": "http.response.start", "status": response.status_code, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": response.content})
