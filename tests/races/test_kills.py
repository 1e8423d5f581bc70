"""Sessions that die at any moment: what was answered with 2xx is there, and nothing is half written."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import OperationalError, connection

from api.account.models import Community
from api.ceramic_cache.models import CeramicCache
from scorer_fast.scoring import service
from scorer_fast.scoring import write as writing
from tests.factories import rows, tables
from tests.factories.database import session
from tests.factories.requests import entry, good
from tests.factories.rows import OWNER
from tests.races.together import crew

pytestmark = pytest.mark.django_db(transaction=True)
KILL_ONE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle' ORDER BY random() LIMIT 1
"""


def terminate(pid: int) -> None:
    with session() as other:
        other.execute("SELECT pg_terminate_backend(%s)", [pid])


@pytest.fixture(autouse=True)
def a_live_connection() -> Iterator[None]:
    yield
    connection.close()


@pytest.mark.parametrize("operation", ["embed_add_stamps", "cache_add_stamps", "cache_delete_stamps", "internal_score"])
def test_who_loses_and_then_dies_is_told(operation: str, one: Community, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first attempt loses to another session; the second one's session dies once its write is done."""
    rows.stamps(OWNER, "Google", "Ens")
    good("internal_score").send()
    plans: list[Any] = []
    real = writing.write

    def losing_then_dying(run: Any, plan: Any, checked: Any) -> Any:
        plans.append(plan)
        if len(plans) == 1:
            with session() as other:
                other.execute("UPDATE ceramic_cache_ceramiccache SET updated_at = now() WHERE provider = 'Ens'")
            return real(run, plan, checked)
        written = real(run, plan, checked)
        terminate(connection.connection.info.backend_pid)
        return written

    monkeypatch.setattr(service, "write_plan", losing_then_dying)
    before = tables.state()
    response = good(operation).send()
    assert (len(plans), response.status_code) == (2, 503)
    assert response["Retry-After"]
    connection.close()
    after = tables.state()
    for table in ("registry_score", "registry_event", "registry_stamp", "registry_hashscorerlink"):
        assert after[table] == before[table]
    assert CeramicCache.objects.filter(deleted_at=None).count() == 2


def test_a_transaction_that_will_be_rolled_back_is_not_acknowledged(one: Community) -> None:
    """Something below swallowed an error of the caller's transaction: nobody says that it is done."""
    from django.db import transaction

    with transaction.atomic():
        transaction.set_rollback(True)
        with pytest.raises(OperationalError):
            writing.require_whole("default")


@contextmanager
def killing(pause: float) -> Iterator[None]:
    """Somebody terminates a busy session now and then."""
    stop = threading.Event()

    def kill() -> None:
        with session() as other:
            while not stop.wait(random.uniform(0, pause)):
                other.execute(KILL_ONE)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_nothing_acknowledged_is_lost(one: Community) -> None:
    """Posts of four addresses on eight threads, under random kills."""
    owners = [rows.address(number) for number in range(4)]
    told: list[tuple[str, str]] = []
    statuses: set[int] = set()

    def post(number: int) -> None:
        for turn in range(12):
            owner = owners[(number + turn) % len(owners)]
            mark = f"v0.0.0:{number}-{turn}"
            stamp = entry("Google", owner, nullifiers=[mark])
            try:
                status = good("cache_add_stamps", owner).with_(body=[stamp]).send().status_code
            finally:
                connection.close_if_unusable_or_obsolete()
            statuses.add(status)
            if status == 201:
                told.append((owner, mark))

    with crew(8) as threads, killing(0.02):
        threads.together([lambda number=number: post(number) for number in range(8)])  # type: ignore[misc]
    assert statuses <= {201, 503}
    assert told
    with session() as reader:
        reader.execute("SELECT address, stamp #>> '{credentialSubject,nullifiers,0}' FROM ceramic_cache_ceramiccache")
        stored = set(reader.fetchall())
        reader.execute(
            "SELECT address, count(*) FROM ceramic_cache_ceramiccache WHERE deleted_at IS NULL GROUP BY address"
        )
        live = reader.fetchall()
    assert set(told) <= stored
    assert all(count == 1 for _, count in live)
