"""Servers and sessions that are not what they were: a 503 at most, and the next request asks a new connection."""

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.signals import got_request_exception
from django.db import DatabaseError, InternalError, OperationalError, connections, transaction
from django.db.backends.postgresql.psycopg_any import is_psycopg3
from django.test import Client

from api.account.models import AccountAPIKey, Community
from scorer_fast import doctor
from scorer_fast.cutover.flag_queries import read_flags
from scorer_fast.db import connection as db
from scorer_fast.db.connection import fetch_value, read_committed, run
from scorer_fast.db.faults import Fault, described, fault_of
from scorer_fast.http.catalogue import OPERATIONS
from settings import limits
from tests.factories import rows
from tests.factories.requests import GOOD_STATUS, Request, good

pytestmark = pytest.mark.django_db(transaction=True)
PRODUCTION = {"server_side_binding": True, "prepare_threshold": 5}  # as settings/production.py has them
PREPARING = pytest.mark.skipif(not is_psycopg3, reason="psycopg2 prepares nothing")
WRITING = ("v2_score", "internal_score", "embed_score", "embed_add_stamps", "cache_add_stamps", "cache_calc_score")


def somebody_else() -> Any:
    """A connection of the driver's own, which the database's settings do not stop from writing."""
    given = connections["default"].get_connection_params()
    known = {name: value for name, value in given.items() if name in {"dbname", "user", "password", "host", "port"}}
    driver: Any = connections["default"].Database
    return driver.connect(**known, options="-c default_transaction_read_only=off")


def execute(statement: str) -> None:
    with closing(somebody_else()) as raw:
        raw.autocommit = True
        raw.cursor().execute(statement)


@contextmanager
def database_says(name: str, value: str) -> Iterator[None]:
    """Sessions that begin meanwhile have the setting by default; this thread's connection is a new one."""
    database = connections["default"].settings_dict["NAME"]
    execute(f"ALTER DATABASE \"{database}\" SET {name} = '{value}'")
    connections["default"].close()
    try:
        yield
    finally:
        execute(f'ALTER DATABASE "{database}" RESET {name}')
        connections["default"].close()


@pytest.fixture
def as_in_production(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """This thread's connection prepares statements, and binds parameters on the server."""
    wrapper: Any = connections["default"]
    wrapper.close()
    options = wrapper.settings_dict["OPTIONS"] | PRODUCTION
    monkeypatch.setitem(wrapper.settings_dict, "OPTIONS", options)
    monkeypatch.setattr(wrapper, "features", type(wrapper.features)(wrapper))
    monkeypatch.setattr(db, "_is_preparing", True)
    wrapper.ensure_connection()
    yield wrapper
    wrapper.close()


def answered(operation: str) -> Any:
    return good(operation).send(Client(raise_request_exception=False))


# ---- a server that only reads


@pytest.mark.parametrize("operation", [operation.id for operation in OPERATIONS])
def test_a_server_that_only_reads_is_a_503_and_the_next_request_asks_another(operation: str, one: Community) -> None:
    with database_says("default_transaction_read_only", "on"):
        response = answered(operation)
        assert response.status_code in (503, GOOD_STATUS.get(operation, 200), 404), response.content
        if operation in WRITING:
            assert response.status_code == 503
            assert response.headers["Retry-After"]
            assert connections["default"].connection is None, "it is not kept for the next request"
    assert answered(operation).status_code in (GOOD_STATUS.get(operation, 200), 404)


def test_inside_a_transaction_the_connection_is_given_up_after_it() -> None:
    def write() -> None:
        with read_committed("default"):
            pids.append(fetch_value("default", "SELECT pg_backend_pid()", {}))
            run("default", "CREATE TABLE nothing_of_it ()", {})

    pids: list[int] = []
    with database_says("default_transaction_read_only", "on"):
        for _ in range(2):
            with pytest.raises(OperationalError):
                write()
    assert len(set(pids)) == 2


def test_a_view_of_the_hosts_that_meets_a_reader_takes_its_connection_along(one: Community) -> None:
    connections["default"].ensure_connection()
    try:
        raise InternalError from driver_error("25006")
    except InternalError:
        got_request_exception.send(sender=None)
    assert connections["default"].connection is None


def pid() -> int:
    return int(fetch_value("default", "SELECT pg_backend_pid()", {}))


def test_who_finds_a_reader_tells_all_threads_of_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db, "_distrusted", {})
    first = pid()
    db.distrust("read_replica")
    assert pid() == first, "a reader's own alias says nothing of this one"
    with transaction.atomic():
        db.distrust("default")
        assert pid() == first
    second = pid()
    assert second != first
    db.distrust("default")
    assert pid() == second, "once a second at most"


@pytest.mark.parametrize("meets_it", ["a look at the flags", "a write"])
def test_a_reader_is_found_by(meets_it: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db, "_distrusted", {})
    with database_says("default_transaction_read_only", "on"):
        if meets_it == "a write":
            with pytest.raises(OperationalError):
                run("default", "CREATE TABLE nothing_of_it ()", {})
        else:
            read_flags("default")
        assert set(db._distrusted) == {"default"}


# ---- what an error means


def driver_error(state: str, text: str = "", **diagnosis: str) -> Exception:
    error = Exception(text)
    error.sqlstate = state  # type: ignore[attr-defined]
    error.diag = SimpleNamespace(message_primary=text, **diagnosis)  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (driver_error("25006"), Fault.WRONG_SERVER),
        (driver_error("0A000", "cannot access temporary or unlogged relations during recovery"), Fault.WRONG_SERVER),
        (driver_error("55000", "cannot acquire lock mode ShareLock while recovery is in progress"), Fault.WRONG_SERVER),
        (driver_error("55000", "sequence is not yet defined in this session"), None),
        (driver_error("0A000", "cached plan must not change result type"), Fault.STALE_SESSION),
        (driver_error("0A000", "le plan", source_function="RevalidateCachedQuery"), Fault.STALE_SESSION),
        (driver_error("26000"), Fault.NO_PREPARED),
        (driver_error("42P05"), Fault.NO_PREPARED),
        (driver_error("57P01"), Fault.LOST),
        (driver_error("57P03"), Fault.LOST),
        (driver_error("08006"), Fault.LOST),
        (driver_error("25P03"), Fault.LOST),
        (driver_error("55P03"), Fault.LOCK_TIMEOUT),
        (driver_error("57014"), Fault.CANCELLED),
        (driver_error("53300"), Fault.CROWDED),
        (driver_error("40001"), None),
        (driver_error("22012"), None),
        (OperationalError("server closed the connection unexpectedly"), Fault.LOST),
        (ValueError(), None),
    ],
)
def test_what_an_error_means(error: Exception, expected: Fault | None) -> None:
    assert fault_of(error) is expected
    translated = DatabaseError(str(error))
    translated.__cause__ = error
    if not isinstance(error, OperationalError | ValueError):
        assert fault_of(translated) is expected


def test_the_log_says_what_was_waited_for_and_no_rows(one: Community) -> None:
    with closing(somebody_else()) as blocker:
        blocker.cursor().execute("SELECT FROM account_community FOR UPDATE")
        run("default", "SET lock_timeout = 20", {})
        with pytest.raises(OperationalError) as caught:
            run("default", "UPDATE account_community SET name = name", {})
        run("default", "RESET lock_timeout", {})
    line = described(caught.value)
    assert 'in relation "account_community"' in line
    assert "55P03" in line
    assert "\n" not in line


# ---- sessions with old plans


@PREPARING
def test_a_widened_column_is_no_error_of_a_kept_connection(one: Community, as_in_production: Any) -> None:
    for _ in range(8):
        assert answered("v2_score").status_code == 200
    connections["default"].ensure_connection()
    pid = fetch_value("default", "SELECT pg_backend_pid()", {})
    for column, size in (("rate_limit", 61), ("prefix", 9), ("hashed_key", 151), ("embed_rate_limit", 61)):
        execute(f"ALTER TABLE account_accountapikey ALTER COLUMN {column} TYPE varchar({size})")
    try:
        assert answered("v2_score").status_code == 200
        assert answered("embed_validate_api_key").status_code == 200
    finally:
        for column, size in (("rate_limit", 20), ("prefix", 8), ("hashed_key", 150), ("embed_rate_limit", 20)):
            execute(f"ALTER TABLE account_accountapikey ALTER COLUMN {column} TYPE varchar({size})")
    assert answered("v2_score").status_code == 200
    assert pid


WIDENED = "SELECT k.name FROM account_accountapikey AS k"


@PREPARING
def test_a_read_whose_plan_is_stale_is_asked_once_more_on_a_new_connection(
    one: Community, as_in_production: Any
) -> None:
    for _ in range(8):
        fetch_value("default", WIDENED, {})
    pid = fetch_value("default", "SELECT pg_backend_pid()", {})
    execute("ALTER TABLE account_accountapikey ALTER COLUMN name TYPE varchar(101)")
    try:
        assert fetch_value("default", WIDENED, {}) == AccountAPIKey.objects.get().name
        assert fetch_value("default", "SELECT pg_backend_pid()", {}) != pid
    finally:
        execute("ALTER TABLE account_accountapikey ALTER COLUMN name TYPE varchar(50)")


@PREPARING
def test_in_a_transaction_it_is_an_outage_and_the_next_one_asks_anew(one: Community, as_in_production: Any) -> None:
    for _ in range(8):
        fetch_value("default", WIDENED, {})
    execute("ALTER TABLE account_accountapikey ALTER COLUMN name TYPE varchar(101)")
    try:
        with pytest.raises(OperationalError), transaction.atomic():
            fetch_value("default", WIDENED, {})
        fetch_value("default", WIDENED, {})
    finally:
        execute("ALTER TABLE account_accountapikey ALTER COLUMN name TYPE varchar(50)")


@PREPARING
@pytest.mark.parametrize("statement", ["EXECUTE never_prepared", "PREPARE twice AS SELECT 1"])
def test_a_pooler_without_prepared_statements_turns_them_off_once(
    statement: str, as_in_production: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """As behind PgBouncer in transaction mode."""
    run("default", "PREPARE twice AS SELECT 1", {})
    caplog.set_level(logging.WARNING, "scorer_fast")
    with suppress(OperationalError):  # what is asked for is wrong here in any session
        run("default", statement, {})
    assert [record.message for record in caplog.records if "prepared statements are turned off" in record.message]
    for _ in range(8):
        fetch_value("default", "SELECT 2", {})
    assert fetch_value("default", "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%%2'", {}) == 0


def test_what_another_connection_would_say_too_is_raised_as_it_is() -> None:
    pid = fetch_value("default", "SELECT pg_backend_pid()", {})
    with pytest.raises(DatabaseError) as caught:
        fetch_value("default", "SELECT 1 / 0", {})
    assert not isinstance(caught.value, OperationalError)
    assert fetch_value("default", "SELECT pg_backend_pid()", {}) == pid


# ---- a transaction of our own


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_the_queues_transaction_is_read_committed(isolation: str) -> None:
    with database_says("default_transaction_isolation", isolation):
        with read_committed("default"):
            assert fetch_value("default", "SELECT current_setting('transaction_isolation')", {}) == "read committed"
        with transaction.atomic(), read_committed("default"):
            assert fetch_value("default", "SELECT current_setting('transaction_isolation')", {}) == isolation


# ---- settings of a session that change how values read

SETTINGS = [
    ("DateStyle", "SQL, DMY"),
    ("DateStyle", "German, DMY"),
    ("DateStyle", "Postgres, MDY"),
    ("IntervalStyle", "sql_standard"),
    ("TimeZone", "Asia/Kathmandu"),
    ("client_encoding", "LATIN1"),
    ("bytea_output", "escape"),
    ("extra_float_digits", "-3"),
    ("standard_conforming_strings", "off"),
    ("backslash_quote", "on"),
    ("search_path", "public"),
    ("row_security", "off"),
    ("jit_above_cost", "0"),
    ("default_transaction_isolation", "repeatable read"),
    ("default_transaction_isolation", "serializable"),
    ("default_transaction_deferrable", "on"),
    ("plan_cache_mode", "force_custom_plan"),
    ("enable_seqscan", "off"),
    ("lc_numeric", "C.UTF-8"),
    ("xmlbinary", "hex"),
    ("array_nulls", "off"),
    ("transform_null_equals", "on"),
    ("quote_all_identifiers", "on"),
]
REPEATED = [operation.id for operation in OPERATIONS if operation.id != "cache_delete_stamps"]
MOVING = ("last_score_timestamp", "id")  # of each scoring its own


def bodies(requests: dict[str, Request]) -> dict[str, Any]:
    found = {}
    for operation, request in requests.items():
        response = request.send(Client(raise_request_exception=False))
        found[operation] = (response.status_code, still(response.json()))
    return found


def still(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: still(inner) for key, inner in value.items() if key not in MOVING}
    return [still(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize(("name", "value"), SETTINGS, ids=[f"{name}={value}" for name, value in SETTINGS])
def test_a_sessions_settings_change_no_answer(name: str, value: str, one: Community) -> None:
    requests = {operation: good(operation) for operation in REPEATED}
    bodies(requests)  # what is remembered from now on is remembered in both rounds
    expected = bodies(requests)
    with database_says(name, value):
        assert bodies(requests) == expected
        assert bodies(requests) == expected


# ---- what doctor says of a session


def said(name: str, value: str) -> dict[str, str]:
    with database_says(name, value):
        return {finding.number: finding.what for finding in doctor.look_at_session("default")}


def test_doctor_knows_a_server_that_only_reads() -> None:
    assert said("default_transaction_read_only", "on")["W016"] == "it is read-only: nothing can be scored"


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_doctor_knows_an_isolation_that_makes_requests_fail(isolation: str) -> None:
    assert isolation in said("default_transaction_isolation", isolation)["W017"]


@pytest.mark.parametrize(("timeout", "is_told"), [("0", True), ("9s", False), ("11s", True)])
def test_doctor_knows_a_statement_that_may_take_too_long(timeout: str, is_told: bool) -> None:
    assert ("W018" in said("statement_timeout", timeout)) is is_told


def test_doctor_says_whose_rate_cannot_be_read(one: Community) -> None:
    assert list(doctor.look_at_rates("default")) == []
    for prefix, rate in (("aaaa0001", "x"), ("aaaa0002", "5 / m"), ("aaaa0003", "5/0m"), ("aaaa0004", "10/2h")):
        rows.api_key(one.account, f"{prefix}.secret", rate_limit=rate)
    (finding,) = doctor.look_at_rates("default")
    assert finding.what == "those of the keys aaaa0001, aaaa0002, aaaa0003 cannot be read: nothing is limited"


# ---- the server's own sessions


def test_the_servers_sessions_have_their_limits_and_a_poolers_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    wrapper: Any = connections["default"]
    wrapper.ensure_connection()
    try:
        limits._limit(wrapper)
        shown = "SELECT current_setting('lock_timeout') || ' ' || current_setting('statement_timeout')"
        assert fetch_value("default", shown, {}) == "2s 10s"
        wrapper.close()
        wrapper.ensure_connection()
        monkeypatch.setattr(limits, "LIMIT_SESSION", limits.LIMIT_SESSION.replace("%(pid)s", "%(pid)s + 1"))
        limits._limit(wrapper)
        assert fetch_value("default", shown, {}) == "0 0"
    finally:
        wrapper.close()
