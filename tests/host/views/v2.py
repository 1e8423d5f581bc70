from typing import Any

from asgiref.sync import async_to_sync
from django.http import HttpRequest
from django_ratelimit import ALL
from django_ratelimit.core import is_ratelimited
from ninja import Router
from ninja.errors import HttpError

from api.account.models import AccountAPIKey
from tests.host import addresses, communities, schemas, scoring
from tests.host.analytics import tracked
from tests.host.auth import ApiKey

router = Router(auth=ApiKey())


@router.get("/stamps/{scorer_id}/score/{address}", response=schemas.Score)
@tracked
def v2_score(request: HttpRequest, scorer_id: int, address: str) -> Any:
    check_rate_limit(request)
    return async_to_sync(_v2_score)(request.auth, scorer_id, address)


async def _v2_score(key: AccountAPIKey, scorer_id: int, address: str) -> dict[str, Any]:
    account = await AccountAPIKey.objects.select_related("account").aget(pk=key.pk)
    community = await communities.of_account(account.account, communities.demo_if_negative(scorer_id))
    if community is None:
        raise HttpError(404, "No scorer matches the given criteria.")
    return await scoring.score_address(addresses.lower_or_400(address), community)


def check_rate_limit(request: HttpRequest) -> None:
    key = request.auth
    if key.rate_limit and is_ratelimited(
        request,
        group="registry",
        key=lambda group, request: key.prefix,
        rate=key.rate_limit,
        method=ALL,
        increment=True,
    ):
        raise HttpError(429, "You have been rate limited!")
