"""The host on a real server: several worker processes, background threads on, each answer names its worker."""

import os
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from tests.host.settings import *  # noqa: F403
from tests.host.settings import MIDDLEWARE

ROOT_URLCONF = "tests.cutover.small_host"
MIDDLEWARE = ["tests.cutover.server_settings.name_the_worker", *MIDDLEWARE]
SCORER_FAST = {"BACKGROUND": True, "CONTROL_PERCENT": 0}


def name_the_worker(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    def around(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response["X-Worker"] = str(os.getpid())
        return response

    return around
