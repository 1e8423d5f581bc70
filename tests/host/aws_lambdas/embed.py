"""What the embedded widget asks: `embed_score`, `embed_add_stamps`, `embed_validate_api_key`."""

from tests.host.aws_lambdas import ready  # isort: skip  # first: it sets Django up

import json
from functools import partial
from typing import Any

from asgiref.sync import async_to_sync
from django.http import HttpRequest
from ninja.errors import HttpError

from tests.host import communities, schemas
from tests.host.auth import ApiKey
from tests.host.aws_lambdas.dialect import BadRequest, Event, function, header, segment
from tests.host.views import embed

__all__ = ["embed_add_stamps", "embed_score", "embed_validate_api_key", "ready"]

embedded = partial(function, error_key="detail", is_open=False)
authenticate = ApiKey()


@embedded()
def embed_score(event: Event) -> Any:
    try:
        scorer_id = int(segment(event, 2))
    except ValueError:
        raise HttpError(400, "Invalid scorer_id") from None
    return async_to_sync(embed._embed_score)(communities.demo_if_negative(scorer_id), segment(event, 1))


@embedded()
def embed_add_stamps(event: Event) -> Any:
    payload = schemas.EmbedStampsIn(**json.loads(event["body"]))
    return async_to_sync(embed._embed_add_stamps)(segment(event, 1), payload)


@embedded()
def embed_validate_api_key(event: Event) -> Any:
    request = HttpRequest()
    request.META["HTTP_X_API_KEY"] = header(event, "x-api-key")
    if not request.META["HTTP_X_API_KEY"]:
        raise BadRequest("An error has occurred")
    return {"embed_rate_limit": authenticate(request).embed_rate_limit}
