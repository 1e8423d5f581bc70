"""The internal look-ups of one statement each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import NamedTuple, TypeVar

from .. import addresses
from ..domain.addresses import checksummed, is_address
from ..domain.bans import Ban, first_ban
from ..errors import Problem, Refused
from ..scoring import context, payloads
from ..settings import conf
from ..telemetry import step
from . import queries as sql

T = TypeVar("T")
THREE_PLACES, TWO_PLACES = Decimal("0.001"), Decimal("0.01")


def _read(function: Callable[[str], T]) -> T:
    with step("read"):
        return context.read(lambda: function(conf.read_database))


def _storable(*texts: str) -> None:
    """Refused for text that PostgreSQL cannot compare with anything."""
    if any("\x00" in text for text in texts):
        raise Refused(Problem.NOT_STORABLE)


class Subject(NamedTuple):
    """A credential as ``check_bans`` is asked about it."""

    hash: str | None
    provider: str | None
    id: str | None


def check_bans(subjects: Sequence[Subject]) -> list[tuple[str | None, Ban | None]]:
    """Per credential its hash and the first ban that holds, in the order of the request."""
    ids = {subject.id for subject in subjects}
    if len(ids) > 1:
        raise Refused(Problem.SEVERAL_SUBJECTS)
    did = next(iter(ids), None)
    if did is None:
        raise Refused(Problem.NO_CREDENTIALS)
    written = did.rpartition(":")[2]
    address = addresses.as_given(written)
    hashes = sorted({subject.hash for subject in subjects if subject.hash})
    now = context.now()
    bans = _read(lambda alias: sql.list_bans(alias, _spellings(written), hashes, now))
    return [
        (subject.hash, first_ban(bans, address=address, hash=subject.hash, provider=subject.provider))
        for subject in subjects
    ]


def _spellings(address: str) -> list[str]:
    """How a stored address may be written: an index compares exactly, and a ban must not hang on letter case."""
    lowered = address.lower()
    spellings = {address, lowered, address.upper()}
    if is_address(lowered):
        digits = lowered[-40:]
        spellings |= {prefix + form for prefix in {lowered[:-40]} for form in (checksummed(digits), digits.upper())}
    return sorted(spellings)


def check_revocations(proof_values: Sequence[str]) -> list[tuple[str, bool]]:
    """Per proof value whether it is revoked, in the order of the request."""
    payloads.check_size(proof_values)
    revoked = _read(lambda alias: sql.list_revoked(alias, sorted(set(proof_values)))) if proof_values else set()
    return [(proof_value, proof_value in revoked) for proof_value in proof_values]


def allow_list(name: str, address: str) -> bool:
    """Whether the address, lower-cased and otherwise as it is, is on the list of that name."""
    _storable(name, address)
    lowered = addresses.as_given(address)
    return _read(lambda alias: sql.is_listed(alias, name, lowered))


def credential_definition(provider_id: str) -> str:
    """The ruleset's definition as JSON text; ``%23`` in the id means ``#``."""
    _storable(provider_id)
    ruleset = _read(lambda alias: sql.get_ruleset(alias, provider_id.replace("%23", "#")))
    if ruleset is None:
        raise Refused(Problem.NOT_FOUND)
    return ruleset


def gtc_stake(address: str) -> list[sql.StakeRow]:
    """Stakes in which the address is staker or stakee, by id."""
    lowered = addresses.lowered_as_written(address)
    return _read(lambda alias: sql.list_stakes(alias, lowered))


def legacy_gtc_stake(address: str, round_id: int) -> list[sql.StakeEventRow]:
    """Legacy stake events of a round by or on the address, by id."""
    lowered = addresses.lowered(address)
    if abs(round_id) >= 2**31:
        return []
    return _read(lambda alias: sql.list_stake_events(alias, lowered, round_id))


def contributor_statistics(address: str) -> tuple[float, float]:
    """How many grants and projects the address gave to, and how much in all; every rounding half-even."""
    lowered = addresses.lowered_as_written(address)
    given = _read(lambda alias: sql.get_contributions(alias, lowered))
    total = given.grants_amount + given.projects_amount.quantize(THREE_PLACES, ROUND_HALF_EVEN)
    return float(given.grants + given.projects), float(total.quantize(TWO_PLACES, ROUND_HALF_EVEN))
