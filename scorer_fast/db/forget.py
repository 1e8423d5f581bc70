"""What this app keeps of one address, taken out; the host's own tables are the host's."""

from __future__ import annotations

from .connection import fetch_all, run

DELETE_SAMPLES = """
-- samples of mismatches that name an address, however it is written; a sequential scan of some thousand rows
DELETE FROM scorer_fast_mismatchsample AS s
WHERE position(%(address)s IN lower(concat(s.request, s.control, s.candidate))) > 0
"""


def delete_samples(alias: str, address: str) -> int:
    """Remove the samples that name ``address`` (lower case); how many."""
    return run(alias, DELETE_SAMPLES, {"address": address.removeprefix("0x")})


DELETE_FAILURES = """
-- what bulk rescorings noted of an address; a sequential scan of few rows
DELETE FROM scorer_fast_rescorefailure AS f
WHERE lower(f.address) = %(address)s
"""


def delete_failures(alias: str, address: str) -> int:
    """Remove the failures of bulk rescorings that name ``address``; how many."""
    return run(alias, DELETE_FAILURES, {"address": address})


DELETE_DIGESTS = """
-- remembered signatures of an address's credentials, deleted stamps included;
-- ceramic_cache_ceramiccache (address), registry_passport (address, community_id), registry_stamp (passport_id)
DELETE FROM scorer_fast_verifiedcredential AS v
WHERE v.digest IN (
    SELECT sha256(convert_to(%(verifier)s || c.stamp::text, 'UTF8'))
    FROM ceramic_cache_ceramiccache AS c
    WHERE c.address = %(address)s
    UNION
    SELECT sha256(convert_to(%(verifier)s || t.credential::text, 'UTF8'))
    FROM registry_stamp AS t
    JOIN registry_passport AS p ON p.id = t.passport_id
    WHERE p.address = %(address)s)
"""


def delete_digests(alias: str, address: str, verifier: str) -> int:
    """Forget the signatures of ``address`` that ``verifier`` found good; how many."""
    return run(alias, DELETE_DIGESTS, {"address": address, "verifier": verifier})


LIST_PASSPORT_IDS = """
-- the passports of an address, one a community; registry_passport (address, community_id)
SELECT p.id FROM registry_passport AS p WHERE p.address = %(address)s
"""


def list_passport_ids(alias: str, address: str) -> list[int]:
    """What readings of ``address`` are kept under."""
    return [number for (number,) in fetch_all(alias, LIST_PASSPORT_IDS, {"address": address})]


LIST_LISTED = """
-- where an address stands by somebody's decision: lists of flags, and the log, from which nothing is deleted;
-- sequential scans of few rows
SELECT 'on a list of ' || f.operation
FROM scorer_fast_operationflag AS f
WHERE position(%(address)s IN lower(f.allow || ' ' || f.deny)) > 0
UNION ALL
SELECT 'in ' || count(*) || ' lines of the log of changes'
FROM scorer_fast_flaglog AS l
WHERE position(%(address)s IN lower(concat(l.from_value, ' ', l.to_value, ' ', l.reason))) > 0
HAVING count(*) > 0
"""


def list_listed(alias: str, address: str) -> list[str]:
    """Where ``address`` goes on standing, in words."""
    return [said for (said,) in fetch_all(alias, LIST_LISTED, {"address": address.removeprefix("0x")})]
