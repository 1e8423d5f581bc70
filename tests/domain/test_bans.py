"""Which ban holds: the first by id that fits."""

import pytest

from scorer_fast.domain.bans import Ban, first_ban
from tests.domain.stamps import ME, OTHER

ACCOUNT = Ban("account", "", "", ME, None, "account")
HASH = Ban("hash", "", "h1", "", None, "hash")
SINGLE = Ban("single_stamp", "Google", "", ME, None, "single")


@pytest.mark.parametrize(
    ("bans", "hash_", "provider", "expected"),
    [
        ([], "h1", "Google", None),
        ([ACCOUNT], "h9", "Github", ACCOUNT),
        ([ACCOUNT._replace(address=ME.upper().replace("X", "x"))], None, None, ACCOUNT),
        ([ACCOUNT._replace(address=OTHER)], "h1", "Google", None),
        ([ACCOUNT._replace(address="")], "h1", "Google", None),
        ([ACCOUNT._replace(provider="Google")], "h1", "Google", None),
        ([HASH], "h1", None, HASH),
        ([HASH], "h2", "Google", None),
        ([HASH], None, "Google", None),
        ([HASH._replace(hash="")], "", "Google", None),
        ([SINGLE], "h9", "Google", SINGLE),
        ([SINGLE], "h9", "Github", None),
        ([SINGLE], "h9", None, None),
        ([SINGLE._replace(address="")], "h9", "Google", None),
        ([SINGLE, HASH, ACCOUNT], "h1", "Google", SINGLE),
        ([HASH, SINGLE, ACCOUNT], "h1", "Google", HASH),
        ([SINGLE, HASH, ACCOUNT], "h9", "Github", ACCOUNT),
        ([Ban("another", "Google", "h1", ME, None, None)], "h1", "Google", None),
    ],
)
def test_the_first_that_fits(bans: list[Ban], hash_: str | None, provider: str | None, expected: Ban | None) -> None:
    found = first_ban(bans, address=ME, hash=hash_, provider=provider)
    assert (found and found.reason) == (expected and expected.reason)


def test_no_address_matches_no_ban_of_an_address() -> None:
    bans = [ACCOUNT._replace(address=""), SINGLE._replace(address="")]
    assert first_ban(bans, address="", hash=None, provider="Google") is None
