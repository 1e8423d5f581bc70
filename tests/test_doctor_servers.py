"""The doctor on servers, roles and poolers that are not as they should be; each is a real one."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections

from api.account.models import Community
from scorer_fast import doctor as diagnosis
from scorer_fast.doctor import ADVISED, FINE, REQUIRED, Finding
from settings.embedded_postgres import EmbeddedPostgres, embedded
from tests.factories.fixtures import one

__all__ = ["one"]
pytestmark = pytest.mark.django_db(transaction=True)
ROLE = f"scorer_fast_server_{os.getpid()}"  # roles are the cluster's, which tests share
HOST_RIGHTS = f"""
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {ROLE};
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {ROLE}
"""


def as_owner(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.fixture
def role(monkeypatch: pytest.MonkeyPatch, one: Community) -> Iterator[Callable[..., list[Finding]]]:
    """What the doctor says that is not fine, run as a role of its own that was given these rights and settings."""
    as_owner(f"DROP ROLE IF EXISTS {ROLE}", f"CREATE ROLE {ROLE} LOGIN", HOST_RIGHTS)

    def examined(*statements: str) -> list[Finding]:
        as_owner(*statements)
        connection.close()
        monkeypatch.setitem(connection.settings_dict, "USER", ROLE)
        try:
            return [finding for finding in diagnosis._ask("default") if finding.level != FINE]
        finally:
            connection.close()
            monkeypatch.undo()

    yield examined
    as_owner(f"DROP OWNED BY {ROLE}", f"DROP ROLE {ROLE}")


LIMITS = (
    f"ALTER ROLE {ROLE} SET statement_timeout = '10s'",
    f"ALTER ROLE {ROLE} SET idle_in_transaction_session_timeout = '1min'",
)


def test_a_role_with_its_rights_and_limits_is_fine(role: Any) -> None:
    assert role(*LIMITS) == []


def test_limits_that_are_missing_are_advised(role: Any) -> None:
    assert [(finding.level, finding.remedy) for finding in role()] == [
        (ADVISED, f"ALTER ROLE {ROLE} SET statement_timeout = 10000;"),
        (ADVISED, f"ALTER ROLE {ROLE} SET idle_in_transaction_session_timeout = '60s';"),
    ]


RIGHTS = [
    *(("INSERT", table) for table in ("scorer_fast_verifiedcredential", "scorer_fast_keptreading")),
    *(("SELECT", table) for table in ("scorer_fast_verifiedcredential", "scorer_fast_keptreading")),
    *(("UPDATE", table) for table in ("scorer_fast_keptreading", "scorer_fast_operationflag", "registry_score")),
    ("SELECT", "scorer_fast_operationflag"),
    ("SELECT", "account_allowlist"),
    ("SELECT", "registry_humanpoints"),
    ("INSERT", "registry_humanpoints"),
    ("INSERT", "account_accountapikeyanalytics"),
    ("DELETE", "registry_stamp"),
]


@pytest.mark.parametrize(("right", "table"), RIGHTS)
def test_a_right_that_is_missing_is_named_with_its_grant(right: str, table: str, role: Any) -> None:
    found = role(*LIMITS, f"REVOKE {right} ON {table} FROM {ROLE}")
    assert found
    assert {finding.level for finding in found} == {REQUIRED}
    assert all("42501" in finding.what for finding in found), found
    assert any(table in finding.remedy or "cannot be kept" in finding.what for finding in found), found


def test_a_function_without_rights(role: Any) -> None:
    name = "FUNCTION scorer_fast_write_scoring_1"
    try:
        found = role(*LIMITS, f"REVOKE EXECUTE ON {name} FROM PUBLIC")
    finally:
        as_owner(f"GRANT EXECUTE ON {name} TO PUBLIC")
    assert found
    assert all("permission denied for function scorer_fast_write_scoring_1 (42501)" in each.what for each in found)


@pytest.mark.parametrize(
    ("setting", "value", "level", "word"),
    [
        ("default_transaction_isolation", "serializable", ADVISED, "transactions are serializable"),
        ("default_transaction_isolation", "repeatable read", ADVISED, "transactions are repeatable read"),
        ("default_transaction_read_only", "on", REQUIRED, "it is read-only"),
        ("statement_timeout", "11s", ADVISED, "a statement may take longer"),
        ("search_path", "pg_catalog", REQUIRED, "does not exist"),
    ],
)
def test_a_setting_of_the_role_is_found_out(setting: str, value: str, level: str, word: str, role: Any) -> None:
    found = role(*LIMITS, f"ALTER ROLE {ROLE} SET {setting} = '{value}'")
    assert any(finding.level == level and word in finding.what for finding in found), found


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("DateStyle", "German"),
        ("DateStyle", "SQL, DMY"),
        ("IntervalStyle", "sql_standard"),
        ("TimeZone", "Asia/Kathmandu"),
        ("bytea_output", "escape"),
        ("extra_float_digits", "-15"),
        ("standard_conforming_strings", "off"),
        ("row_security", "off"),
        ("jit", "on"),
    ],
)
def test_a_setting_that_changes_nothing_is_fine(setting: str, value: str, role: Any) -> None:
    assert role(*LIMITS, f"ALTER ROLE {ROLE} SET {setting} = '{value}'") == []


# ---- the host's schema


@pytest.fixture
def altered() -> Iterator[Callable[[str, str], list[Finding]]]:
    """What the doctor says of the database once it was altered; afterwards it is taken back."""
    undo: list[str] = []

    def alter(statement: str, back: str) -> list[Finding]:
        as_owner(statement)
        undo.append(back)
        return [finding for finding in diagnosis._ask("default") if finding.level == REQUIRED]

    yield alter
    as_owner(*undo)


@pytest.mark.parametrize(
    "table",
    ["registry_passport", "registry_score", "registry_event", "registry_stamp", "registry_hashscorerlink",
     "registry_humanpoints", "registry_humanpointscommunityqualifiedusers", "ceramic_cache_ceramiccache"],
)  # fmt: skip
def test_a_column_that_must_be_given_and_is_not_is_named(table: str, altered: Any, one: Community) -> None:
    finding, *_ = altered(
        f"ALTER TABLE {table} ADD COLUMN added text NOT NULL", f"ALTER TABLE {table} DROP COLUMN added"
    )
    assert f'null value in column "added" of relation "{table}"' in finding.what
    assert finding.remedy.startswith("Give the column a default")


@pytest.mark.parametrize("table", ["ceramic_cache_ceramiccache", "registry_hashscorerlink", "registry_stamp"])
def test_a_view_in_place_of_a_table_is_found_out(table: str, altered: Any, one: Community) -> None:
    found = altered(
        f"ALTER TABLE {table} RENAME TO behind; CREATE VIEW {table} AS SELECT * FROM behind",
        f"DROP VIEW {table}; ALTER TABLE behind RENAME TO {table}",
    )
    assert found


def test_a_unique_index_that_is_gone_is_found_out_by_writing(altered: Any, one: Community) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'u' "
            "AND conrelid = 'registry_hashscorerlink'::regclass"
        )
        ((name, definition),) = cursor.fetchall()
    found = altered(
        f'ALTER TABLE registry_hashscorerlink DROP CONSTRAINT "{name}"',
        f'ALTER TABLE registry_hashscorerlink ADD CONSTRAINT "{name}" {definition}',
    )
    assert any("no unique or exclusion constraint matching" in finding.what for finding in found), found


def test_nothing_stays_of_what_was_tried(one: Community) -> None:
    def everything() -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT 'points', count(*) FROM registry_humanpoints UNION ALL "
                "SELECT 'cache', count(*) FROM ceramic_cache_ceramiccache UNION ALL "
                "SELECT 'kept', count(*) FROM scorer_fast_keptreading UNION ALL "
                "SELECT 'passports', count(*) FROM registry_passport"
            )
            return cursor.fetchall()

    before = everything()
    diagnosis._ask("default")
    assert everything() == before


# ---- other servers


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Lets Django's connection reach another server."""

    def reach(changes: dict[str, Any]) -> None:
        connection.close()
        for name, value in changes.items():
            monkeypatch.setitem(connection.settings_dict, name, value)

    yield reach
    connection.close()
    monkeypatch.undo()


def test_a_standby_is_named(tmp_path: Path, elsewhere: Any) -> None:
    server = EmbeddedPostgres(tmp_path / "pg")
    try:
        server.ensure_running()
        server.stop()
        (server.data / "standby.signal").touch()
        folder = server.ensure_running()
        elsewhere({"HOST": str(folder), "NAME": "postgres"})
        (finding,) = [each for each in diagnosis.look_at_session("default") if each.level == REQUIRED]
        assert finding.what == "it is a standby: nothing can be scored"
    finally:
        connection.close()
        server.reset()


class TransactionPooler(threading.Thread):
    """What PgBouncer does in pool mode transaction, with a single server session.

    A client has it from the first message of a transaction until the server is idle again; prepared statements are
    nobody's own.
    """

    def __init__(self, server: Path) -> None:
        super().__init__(daemon=True)
        self._server = socket.socket(socket.AF_UNIX)
        self._server.connect(str(server / ".s.PGSQL.5432"))
        self._turn = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._greeting = b""
        self._clients: list[threading.Thread] = []
        self._is_ending = False

    def run(self) -> None:
        while True:
            client, _ = self._listening.accept()
            if self._is_ending:
                client.close()
                return
            self._clients.append(threading.Thread(target=self._serve, args=(client,), daemon=True))
            self._clients[-1].start()

    def end(self) -> None:
        """Once every client has gone."""
        for client in self._clients:
            client.join(10)
        self._is_ending = True
        socket.create_connection(("127.0.0.1", self.port)).close()
        self.join(10)
        self._listening.close()
        self._server.close()

    def _serve(self, client: socket.socket) -> None:
        with client:
            self._relay(client)

    def _relay(self, client: socket.socket) -> None:
        startup = self._startup(client)
        with self._turn:
            if not self._greeting:
                self._server.sendall(startup)
                self._greeting = self._until_ready()[0]
        # The secret by which a client cancels is the pooler's own: its process number is no server's.
        greeting = self._greeting
        at = greeting.index(b"K\x00\x00\x00\x0c")
        client.sendall(greeting[: at + 5] + b"\x7f\xff\xff\xff" + greeting[at + 9 :])
        waiting = b""
        while True:
            if not waiting and not (waiting := client.recv(65536)):
                return
            with self._turn:
                state = b"T"
                while state != b"I":
                    if not waiting and not (waiting := client.recv(65536)):
                        self._server.sendall(b"Q\x00\x00\x00\x0dROLLBACK\x00")
                        self._until_ready()
                        return
                    if waiting.startswith(b"X"):
                        return
                    self._server.sendall(waiting)
                    waiting = b""
                    answer, state = self._until_ready()
                    client.sendall(answer)

    def _startup(self, client: socket.socket) -> bytes:
        while True:
            message = client.recv(65536)
            if message[4:8] not in (b"\x04\xd2\x16/", b"\x04\xd2\x160"):  # SSL or GSS is asked for
                return message
            client.sendall(b"N")

    def _until_ready(self) -> tuple[bytes, bytes]:
        """What the server says up to ReadyForQuery, and the state of the transaction that it tells."""
        said = b""
        while said[-6:-1] != b"Z\x00\x00\x00\x05":
            said += self._server.recv(65536)
        return said, said[-1:]


@pytest.fixture
def pooler(elsewhere: Any) -> Iterator[Callable[[dict[str, Any]], list[Finding]]]:
    """What the doctor says of a pooler in front of the tests' database, with these OPTIONS."""
    thread = TransactionPooler(embedded(test=True).ensure_running())
    thread.start()

    def looked(options: dict[str, Any], **changes: Any) -> list[Finding]:
        merged = {**connection.settings_dict["OPTIONS"], **options}
        elsewhere({"HOST": "127.0.0.1", "PORT": str(thread.port), "OPTIONS": merged, **changes})
        return list(diagnosis.look_at_pooler("default"))

    yield looked
    connection.close()
    thread.end()


def test_a_pooler_that_shares_sessions_is_found_out(pooler: Any) -> None:
    first, *more = pooler({})
    assert first.what == "a pooler stands in front of it, and shares sessions between transactions"
    assert [finding.level for finding in more] == [ADVISED]
    assert "DISABLE_SERVER_SIDE_CURSORS" in more[0].remedy


def test_prepared_statements_behind_it_are_refused_in_words(pooler: Any) -> None:
    prepares = connections["default"].Database.__name__ == "psycopg"
    options = {"server_side_binding": True, "prepare_threshold": 5} if prepares else {}  # psycopg2 knows none of it
    found = pooler(options, DISABLE_SERVER_SIDE_CURSORS=True)
    if prepares:
        assert 'Set OPTIONS["prepare_threshold"] to None' in found[1].remedy
        assert found[1].level == REQUIRED
    else:
        assert len(found) == 1


def test_without_a_pooler_none_is_found() -> None:
    (finding,) = diagnosis.look_at_pooler("default")
    assert finding == diagnosis.fine("database default", "no pooler stands in front of it")
