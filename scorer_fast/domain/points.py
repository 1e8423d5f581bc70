"""Human points. Invariant: every award is made once per address, however often and wherever it scores."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

HUMAN_KEYS = "HKY"
METAMASK = "MM2"
SCORING_BONUS = "SCB"
HIDDEN = "HIM"  # left out of points_data, shown in possible_points_data
METAMASK_LIST = "MetaMaskOG2"
METAMASK_LIMIT = 5000  # MM2 awards in all
BONUS_COMMUNITIES = 4  # qualified communities that earn SCB
PROVIDER_LENGTH = TX_HASH_LENGTH = 100  # characters: registry_humanpoints.provider and tx_hash

ACTION_OF_PROVIDER = {
    "SelfStakingBronze": "ISB",
    "SelfStakingSilver": "ISS",
    "SelfStakingGold": "ISG",
    "BeginnerCommunityStaker": "CSB",
    "ExperiencedCommunityStaker": "CSE",
    "TrustedCitizen": "CST",
    "HolonymGovIdProvider": "HGO",
    "HolonymPhone": "HPH",
    "CleanHands": "HCH",
    "Biometrics": "HBI",
}
ACTION_OF_LIST = {METAMASK_LIST: METAMASK, "SeasonedPassportOGs": "SOG", "TheChosenOnes": "TCO"}


class PointsRow(NamedTuple):
    """One award of an address."""

    action: str
    provider: str
    tx_hash: str
    chain_id: int


ONCE = ("", "", 0)  # provider, tx_hash and chain_id of an action that is no key


class Earning(Protocol):
    """A stamp that counts, as far as it earns points."""

    @property
    def provider(self) -> str: ...
    @property
    def subject_provider(self) -> str: ...
    @property
    def last_nullifier(self) -> str: ...


class PointsRead(NamedTuple):
    """What is known of an address's points: its awards, communities it qualified in, lists it is on."""

    rows: tuple[PointsRow, ...]
    communities: frozenset[int]
    lists: frozenset[str]
    metamask_full: bool
    active: dict[str, int]
    multiplier: int


class Awards(NamedTuple):
    """Rows to write: whether the community qualification is new, and the new awards."""

    qualifies: bool
    rows: tuple[PointsRow, ...]

    def __bool__(self) -> bool:
        return self.qualifies or bool(self.rows)


NO_AWARDS = Awards(False, ())


def award(counting: Iterable[Earning], read: PointsRead, *, community_id: int, metamask_enabled: bool) -> Awards:
    """What a passing score earns now, on top of what ``read`` says the address already has."""
    # Of MM2 any row counts, for it is what the cap counts; of the others the very row that would be written.
    actions = {row.action for row in read.rows if row.action == METAMASK or row[1:] == ONCE}
    keyed = {row.provider for row in read.rows if row.action == HUMAN_KEYS}
    new: list[PointsRow] = []

    def once(action: str) -> None:
        if action not in actions:
            actions.add(action)
            new.append(_once(action))

    for stamp in counting:
        provider, mark = stamp.subject_provider, stamp.last_nullifier
        if mark and provider not in keyed and len(provider) <= PROVIDER_LENGTH and len(mark) <= TX_HASH_LENGTH:
            keyed.add(provider)
            new.append(PointsRow(HUMAN_KEYS, provider, mark, 0))
        if (action := ACTION_OF_PROVIDER.get(stamp.provider)) is not None:
            once(action)
    if len(read.communities | {community_id}) >= BONUS_COMMUNITIES:
        once(SCORING_BONUS)
    for name, action in ACTION_OF_LIST.items():
        if name not in read.lists or (action == METAMASK and (not metamask_enabled or read.metamask_full)):
            continue
        once(action)
    return Awards(community_id not in read.communities, tuple(new))


def _once(action: str) -> PointsRow:
    """How an action that is no key is awarded."""
    return PointsRow(action, *ONCE)


def after(read: PointsRead, awards: Awards, community_id: int) -> PointsRead:
    """What is known once ``awards`` are written."""
    if not awards:
        return read
    return read._replace(rows=read.rows + awards.rows, communities=read.communities | {community_id})


def points_data(read: PointsRead) -> dict[str, Any]:
    """Points of an address, not multiplied; per action over all chains, and per chain other than 0."""
    breakdown: dict[str, int] = {}
    total = 0
    for row in read.rows:
        points = read.active.get(row.action)
        if points is None or row.action == HIDDEN:
            continue
        total += points
        breakdown[row.action] = breakdown.get(row.action, 0) + points
        if row.chain_id:
            of_chain = f"{row.action}_{row.chain_id}"
            breakdown[of_chain] = breakdown.get(of_chain, 0) + points
    return {
        "total_points": total,
        "is_eligible": bool(read.communities),
        "multiplier": read.multiplier if breakdown else 1,
        "breakdown": breakdown,
    }


def possible_points_data(read: PointsRead, multiplier: int) -> dict[str, Any]:
    """Every active action's points; ``multiplier``: the one :func:`points_data` says."""
    return {
        "total_points": 0,
        "is_eligible": False,
        "multiplier": multiplier,
        "breakdown": dict(read.active),
    }


def both(read: PointsRead | None) -> dict[str, Any]:
    """The two points fields of a Score body; none outside the points program."""
    if read is None:
        return {}
    data = points_data(read)
    return {"points_data": data, "possible_points_data": possible_points_data(read, data["multiplier"])}
