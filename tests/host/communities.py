"""Which community a request means."""

from django.conf import settings

from api.account.models import Account, Community


async def of_account(account: Account, scorer_id: int) -> Community | None:
    """A community of the account: by external id first, then by id; deleted ones too."""
    communities = Community.objects.filter(account=account)
    external = await communities.filter(external_scorer_id=str(scorer_id)).afirst()
    return external or await communities.filter(id=scorer_id).afirst()


async def by_id(scorer_id: int) -> Community | None:
    """A community by its id, of any account."""
    return await Community.objects.select_related("account").filter(id=scorer_id).afirst()


def demo_if_negative(scorer_id: int) -> int:
    return int(settings.DEMO_API_SCORER_ID) if scorer_id < 0 else scorer_id
