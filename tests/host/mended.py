"""Links of nullifiers as the contract's section 7 has them, where the host fails the whole score.

Two stamps of one address that share a nullifier both count, with one link and the later expiry; a stamp with
own and clashing nullifiers does not count, and its own links stay.
"""

from datetime import UTC, datetime

from api.account.models import Community
from api.registry.models import HashScorerLink
from tests.host.scoring import ValidStamp


async def link(
    address: str, community: Community, stamps: list[ValidStamp]
) -> tuple[list[ValidStamp], list[ValidStamp]]:
    """In place of `tests.host.scoring._link`: the stamps that count and those that clash."""
    now = datetime.now(UTC)
    of_community = HashScorerLink.objects.filter(community=community)
    known = {link.hash: link async for link in of_community}
    held = {name: link for name, link in known.items() if link.address != address and link.expires_at > now}
    clashing = [stamp for stamp in stamps if held.keys() & set(stamp.nullifiers)]
    counting = [stamp for stamp in stamps if stamp not in clashing]
    for stamp in sorted(counting, key=lambda stamp: stamp.expires_at):  # the later expiry is written last
        for name in stamp.nullifiers:
            await of_community.aupdate_or_create(
                hash=name,
                community=community,
                defaults={"address": address, "expires_at": stamp.expires_at},
            )
    for stamp in clashing:
        first = next(held[name] for name in stamp.nullifiers if name in held)
        for name in stamp.nullifiers:
            if name not in known:  # unless a counting stamp has just claimed it
                await of_community.aget_or_create(
                    hash=name,
                    community=community,
                    defaults={"address": first.address, "expires_at": first.expires_at},
                )
    return counting, clashing
