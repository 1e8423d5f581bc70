"""What differs between the revisions of the host, in one table; nothing else asks which revision holds.

    facts = revision.current()          # a Revision; its attributes are what code reads
    revision.found().why                # for status and doctor: how it was found out

A later revision of the host is one more entry of ``REVISIONS``, made from the one before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from django.apps import apps
from django.conf import settings
from django.core.signals import setting_changed

from .settings import conf

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Revision:
    """The facts of one revision of the host.

    ``sign_model``, ``sign_setting``: what only this revision and later ones have; empty in the oldest.
    ``score_extra``: keys of a Score body after those that every revision has, with their values for an address that
    is linked to no other. ``award_switch``: the setting of ``conf`` that awards human points; ``shown_switch``: that
    shows them. ``fresh_points``: whether the points operations show them beside a score that was just decided, too,
    and not beside a stored one alone. ``rs256_tokens``: whether a token may be signed for ``SIWE_JWT_PUBLIC_KEY``.
    ``asks_for_linked``: whether an address may be linked to others, which are scored together.
    ``tables``: those of the host's own apps. ``settings``: what the host defines beyond the older one.
    ``columns``: what the statements read beyond the older revision's; ``indexes``: what they are read by.
    """

    name: str
    sign_model: str = ""
    sign_setting: str = ""
    score_extra: Mapping[str, Any] = field(default_factory=dict)
    award_switch: str = "human_points_enabled"
    shown_switch: str = "human_points_enabled"
    fresh_points: bool = True
    rs256_tokens: bool = False
    asks_for_linked: bool = False
    tables: frozenset[str] = frozenset()
    settings: tuple[str, ...] = ()
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    indexes: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def awards_points(self) -> bool:
        """Whether a passing score earns points now, in a community of the program."""
        return bool(getattr(conf, self.award_switch))

    @property
    def shows_points(self) -> bool:
        """Whether the points operations show points at all."""
        return bool(getattr(conf, self.shown_switch))

    @property
    def shows_fresh_points(self) -> bool:
        """Whether they show them beside a score just decided."""
        return self.fresh_points and self.shows_points

    def has(self, since: str) -> bool:
        """Whether something that came with the revision named ``since`` is there; names sort by age."""
        return since <= self.name


def _tables(**names: str) -> frozenset[str]:
    return frozenset(f"{app}_{name}" for app, some in names.items() for name in some.split())


OLDEST = Revision(
    name="2025-12",
    tables=_tables(
        account="account accountapikey accountapikeyanalytics addresslist addresslistmember allowlist community "
        "customcredential customcredentialruleset customization customplatform",
        ceramic_cache="ban banlist ceramiccache revocation revocationlist",
        cgrants="contribution grant grantcontributionindex profile protocolcontributions roundmapping "
        "squelchedaccounts subscription",
        registry="event gtcstakeevent hashscorerlink humanpoints humanpointscommunityqualifiedusers humanpointsconfig "
        "humanpointsmultiplier passport score stamp stampmetadata weightconfiguration weightconfigurationitem",
        scorer_weighted="binaryweightedscorer scorer weightedscorer",
        stake="stake",
    ),
)
NEWEST = replace(
    OLDEST,
    name="2026-07",
    sign_model="account.WalletGroupCommunityClaim",
    sign_setting="HUMAN_POINTS_WRITE_ENABLED",
    score_extra={"linked_score": None},
    award_switch="human_points_write_enabled",
    fresh_points=False,
    rs256_tokens=True,
    asks_for_linked=True,
    tables=OLDEST.tables
    | _tables(
        account="embedsectionheader embedsectionorder embedstampplatform walletgroupcommunityclaim",
        registry="platformmetadata",
    ),
    settings=("HUMAN_POINTS_WRITE_ENABLED", "SIWE_JWT_PUBLIC_KEY"),
    columns={
        "account_embedsectionheader": ("id", "name"),
        "account_embedsectionorder": ("customization_id", "id", "order", "section_id"),
        "account_embedstampplatform": ("customization_id", "id", "order", "platform_id", "section_id"),
        "registry_platformmetadata": ("id", "platform_id"),
    },
    indexes=(
        ("account_embedsectionorder", ("customization_id",)),
        ("account_embedstampplatform", ("customization_id",)),
    ),
)
REVISIONS: tuple[Revision, ...] = (OLDEST, NEWEST)  # by age
BY_NAME: dict[str, Revision] = {revision.name: revision for revision in REVISIONS}


class Found(NamedTuple):
    """The revision that this process follows, and how it was found out."""

    revision: Revision
    why: str


_found: Found | None = None


def found() -> Found:
    """The revision and the reason; worked out once per process, and again where a test changes a setting."""
    global _found
    if _found is None:
        _found = _find_out()
    return _found


def current() -> Revision:
    """The facts of the host that this process follows."""
    return (_found or found()).revision


def _find_out() -> Found:
    wanted = conf.contract
    if wanted in BY_NAME:
        return Found(BY_NAME[wanted], 'SCORER_FAST["CONTRACT"] says so')
    for revision in reversed(REVISIONS):
        if revision.sign_model and has_model(revision.sign_model):
            return Found(revision, f"the model {revision.sign_model} is installed")
        if revision.sign_setting and hasattr(settings, revision.sign_setting):
            return Found(revision, f"the settings name {revision.sign_setting}")
    signs = " nor ".join(
        f"the model {revision.sign_model} nor the setting {revision.sign_setting}"
        for revision in REVISIONS
        if revision.sign_model
    )
    return Found(OLDEST, f"there is neither {signs}")


def has_model(label: str) -> bool:
    """Whether an installed app has the model ``app_label.Name``."""
    try:
        apps.get_model(label)
    except LookupError:
        return False
    return True


def _forget(**_: Any) -> None:
    global _found
    _found = None


setting_changed.connect(_forget, dispatch_uid="scorer_fast.revision")
