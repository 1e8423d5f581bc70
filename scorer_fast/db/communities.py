"""account_community, where only its existence is asked for."""

from __future__ import annotations

from typing import NamedTuple

from .connection import fetch_value

BIGINT = 2**63 - 1


class CommunityKey(NamedTuple):
    """Which community is asked for: a number as given, and within which account an external id may name it.

    ``account_id`` None: the account that owns the community of that id. ``external`` False: by id alone.
    """

    scorer_id: int
    account_id: int | None = None
    external: bool = True

    def parameters(self) -> dict[str, int | str | None]:
        """The three parameters by which statements look a community up; an id beyond bigint is none."""
        return {
            "scorer_id": self.scorer_id if abs(self.scorer_id) <= BIGINT else None,
            "external_id": str(self.scorer_id) if self.external else None,
            "account_id": self.account_id,
        }


FIND_COMMUNITY = """
-- which community a number means; account_community pkey and (external_scorer_id)
SELECT c.id
FROM account_community AS c
WHERE c.account_id = COALESCE(
          %(account_id)s::bigint,
          (SELECT named.account_id FROM account_community AS named WHERE named.id = %(scorer_id)s::bigint))
  AND (c.id = %(scorer_id)s::bigint OR c.external_scorer_id = %(external_id)s::text)
ORDER BY COALESCE(c.external_scorer_id = %(external_id)s::text, FALSE) DESC
LIMIT 1
"""


def find_community(alias: str, community: CommunityKey) -> int | None:
    """The id of the community meant, external id first."""
    value: int | None = fetch_value(alias, FIND_COMMUNITY, community.parameters(), repeatable=True)
    return value
