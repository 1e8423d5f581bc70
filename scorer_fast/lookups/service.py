"""The operations that only read, one statement each: what is asked, as a question that shadow can put in two halves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, NamedTuple

from .. import inputs
from ..domain.addresses import checksummed, is_address
from ..domain.bans import Ban, first_ban
from ..errors import Problem, Refused
from ..inputs import storable
from ..run import Run
from ..settings import conf
from ..telemetry import step
from . import queries

THREE_PLACES, TWO_PLACES = Decimal("0.001"), Decimal("0.01")


class LookUp(NamedTuple):
    """What a look-up asks: one round trip, and what is made of its rows; that reads nothing and may refuse."""

    find: Callable[[Run], Any]
    tell: Callable[[Any], Any]


def answer(run: Run, question: LookUp) -> Any:
    """What the rows come to."""
    return decide(run, question, read(run, question))


def read(run: Run, question: LookUp) -> Any:
    """The rows."""
    with step("read"):
        return question.find(run)


def decide(run: Run, question: LookUp, found: Any) -> Any:
    """What they come to; Refused where that is nothing."""
    return question.tell(found)


def _as_found(found: Any) -> Any:
    return found


class Subject(NamedTuple):
    """A credential as ``check_bans`` is asked about it."""

    hash: str | None
    provider: str | None
    id: str | None


def check_bans(subjects: Sequence[Subject]) -> LookUp:
    """Per credential its hash and the first ban that holds, in the order of the request."""
    ids = {subject.id for subject in subjects}
    if len(ids) > 1:
        raise Refused(Problem.SEVERAL_SUBJECTS)
    did = next(iter(ids), None)
    if did is None:
        raise Refused(Problem.NO_CREDENTIALS)
    written = storable(did).rpartition(":")[2]
    address = inputs.as_given(written)
    hashes = sorted({storable(subject.hash) for subject in subjects if subject.hash})

    def tell(bans: Sequence[Ban]) -> list[tuple[str | None, Ban | None]]:
        return [
            (subject.hash, first_ban(bans, address=address, hash=subject.hash, provider=subject.provider))
            for subject in subjects
        ]

    return LookUp(
        lambda run: queries.list_bans(conf.read_database, _spellings(written), hashes, run.now()),
        tell,
    )


def _spellings(address: str) -> list[str]:
    """How a stored address may be written: an index compares exactly, and a ban must not hang on letter case."""
    lowered = address.lower()
    spellings = {address, lowered, address.upper()}
    if is_address(lowered):
        digits = lowered[-40:]
        spellings |= {prefix + form for prefix in {lowered[:-40]} for form in (checksummed(digits), digits.upper())}
    return sorted(spellings)


def check_revocations(proof_values: Sequence[str]) -> LookUp:
    """Per proof value whether it is revoked, in the order of the request."""
    inputs.check_size(proof_values)
    named = sorted(set(map(storable, proof_values)))
    return LookUp(
        lambda run: queries.list_revoked(conf.read_database, named) if named else set(),
        lambda revoked: [(proof_value, proof_value in revoked) for proof_value in proof_values],
    )


def allow_list(name: str, address: str) -> LookUp:
    """Whether the address, lower-cased and otherwise as it is, is on the list of that name."""
    named, lowered = storable(name), inputs.as_given(storable(address))
    return LookUp(lambda run: queries.is_listed(conf.read_database, named, lowered), _as_found)


def credential_definition(provider_id: str) -> LookUp:
    """The ruleset's definition as JSON text; ``%23`` in the id means ``#``."""
    named = storable(provider_id).replace("%23", "#")

    def tell(ruleset: str | None) -> str:
        if ruleset is None:
            raise Refused(Problem.NOT_FOUND)
        return ruleset

    return LookUp(lambda run: queries.get_ruleset(conf.read_database, named), tell)


def gtc_stake(address: str) -> LookUp:
    """Stakes in which the address is staker or stakee, by id."""
    lowered = inputs.lowered_as_written(address)
    return LookUp(lambda run: queries.list_stakes(conf.read_database, lowered), _as_found)


def legacy_gtc_stake(address: str, round_id: int) -> LookUp:
    """Legacy stake events of a round by or on the address, by id."""
    lowered = inputs.lowered(address)
    if abs(round_id) >= 2**31:
        return LookUp(lambda run: [], _as_found)
    return LookUp(lambda run: queries.list_stake_events(conf.read_database, lowered, round_id), _as_found)


def contributor_statistics(address: str) -> LookUp:
    """How many grants and projects the address gave to, and how much in all; every rounding half-even."""
    lowered = inputs.lowered_as_written(address)

    def tell(given: queries.ContributionsRow) -> tuple[float, float]:
        total = given.grants_amount + given.projects_amount.quantize(THREE_PLACES, ROUND_HALF_EVEN)
        return float(given.grants + given.projects), float(total.quantize(TWO_PLACES, ROUND_HALF_EVEN))

    return LookUp(lambda run: queries.get_contributions(conf.read_database, lowered), tell)
