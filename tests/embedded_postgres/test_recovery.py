"""Real servers, real processes, real kills: whatever the last run left, the next one starts."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from settings import embedded_postgres
from settings.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError

ROOT = Path(__file__).resolve().parents[2]
STARTER = """
import sys
from pathlib import Path
from settings.embedded_postgres import EmbeddedPostgres
print(EmbeddedPostgres(Path(sys.argv[1])).url())
"""
LOCK_HOLDER = """
import fcntl, sys, time
lock = open(sys.argv[1], "a")
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(600)
"""


def start_elsewhere(folder: Path) -> subprocess.Popen[str]:
    """Another process that wants the server of this folder."""
    command = [sys.executable, "-c", STARTER, str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)


def connect(server: EmbeddedPostgres) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(server.url(), autocommit=True)


def answer(server: EmbeddedPostgres, question: str) -> object:
    with connect(server) as connection:
        row = connection.execute(question).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return row[0]


def leader(server: EmbeddedPostgres) -> int:
    return int((server.data / "postmaster.pid").read_text().splitlines()[0])


def kill(server: EmbeddedPostgres) -> None:
    """What `kill -9` or the kernel, short of memory, does to a server."""
    process = psutil.Process(leader(server))
    process.kill()
    process.wait(timeout=10)


def wait_for(path: Path) -> None:
    for _ in range(1000):
        if path.exists():
            return
        time.sleep(0.01)
    raise AssertionError(f"{path} did not appear")


def test_processes_that_start_at_once_share_one_server(empty_folder: Path) -> None:
    starters = [start_elsewhere(empty_folder) for _ in range(4)]
    urls = {starter.communicate(timeout=120)[0].strip() for starter in starters}
    assert [starter.returncode for starter in starters] == [0, 0, 0, 0]
    assert len(urls) == 1
    server = EmbeddedPostgres(empty_folder)
    assert len([p for p in server._processes() if p.pid == leader(server)]) == 1
    # It outlives those who started it, and has our database.
    assert answer(server, "SELECT current_database()") == "scorer_fast"


def test_the_server_is_durable_wide_and_reachable_by_its_socket_only(server: EmbeddedPostgres) -> None:
    assert answer(server, "SHOW fsync") == "on"
    assert answer(server, "SHOW synchronous_commit") == "on"
    assert answer(server, "SHOW full_page_writes") == "on"
    assert answer(server, "SHOW listen_addresses") == ""
    assert answer(server, "SHOW timezone") == "UTC"
    assert int(str(answer(server, "SHOW max_connections"))) >= 200
    assert (server.ensure_running() / ".s.PGSQL.5432").stat().st_mode & 0o077 == 0


def test_a_killed_server_comes_back_with_what_was_committed(server: EmbeddedPostgres) -> None:
    with connect(server) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS value")
        kill(server)
    assert answer(server, "SELECT value FROM kept") == 42


def test_a_statement_that_outlives_its_killed_server_is_ended(server: EmbeddedPostgres) -> None:
    busy = subprocess.Popen(
        [server.program("psql"), "-d", server.url(), "-c", "SELECT count(*) FROM generate_series(1, 1e12)"],
        stderr=subprocess.DEVNULL,
    )
    for _ in range(500):
        if answer(server, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%1e12%'") == 2:
            break
        time.sleep(0.01)
    before = leader(server)
    kill(server)
    assert answer(server, "SELECT 1") == 1
    assert leader(server) != before
    assert busy.wait(timeout=10) != 0


def test_a_pid_file_of_nobody_is_no_obstacle(server: EmbeddedPostgres) -> None:
    server.ensure_running()
    kill(server)
    psutil.wait_procs(server._processes(), timeout=10)
    assert (server.data / "postmaster.pid").exists()
    assert answer(server, "SELECT 1") == 1


def test_a_pid_file_with_the_number_of_a_strange_process_is_no_obstacle(server: EmbeddedPostgres) -> None:
    server.ensure_running()
    file = server.data / "postmaster.pid"
    left = file.read_text()
    socket_left = (server.socket_folder / ".s.PGSQL.5432.lock").read_text()
    server.stop()
    server.socket_folder.mkdir()
    stranger = subprocess.Popen(["sleep", "600"])
    try:
        for path, text in ((file, left), (server.socket_folder / ".s.PGSQL.5432.lock", socket_left)):
            path.write_text("\n".join([str(stranger.pid), *text.splitlines()[1:]]) + "\n")
        assert answer(server, "SELECT 1") == 1
        assert stranger.poll() is None, "the strange process was none of our business"
    finally:
        stranger.kill()
        stranger.wait()


def test_a_torn_pid_file_is_no_obstacle(server: EmbeddedPostgres) -> None:
    (server.data / "postmaster.pid").write_text("12")
    assert answer(server, "SELECT 1") == 1


def test_a_lost_socket_is_made_anew(server: EmbeddedPostgres) -> None:
    server.ensure_running()
    before = leader(server)
    shutil.rmtree(server.socket_folder)
    assert answer(server, "SELECT 1") == 1
    assert leader(server) != before


@pytest.fixture
def lock_holder(server: EmbeddedPostgres) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until it is killed."""
    command = [sys.executable, "-c", LOCK_HOLDER, str(server.folder / "lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield holder
        holder.kill()


def test_a_lock_whose_holder_was_killed_is_free(server: EmbeddedPostgres, lock_holder: subprocess.Popen[str]) -> None:
    lock_holder.kill()
    assert answer(server, "SELECT 1") == 1


def test_a_lock_held_for_long_is_reported(
    server: EmbeddedPostgres, lock_holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_postgres, "LOCK_SECONDS", 0.2)
    with pytest.raises(EmbeddedPostgresError, match=r"Another process has been starting(.|\n)*End it"):
        server.ensure_running()
    monkeypatch.undo()
    lock_holder.kill()


@pytest.mark.parametrize("at", ["data.new", "data.new/PG_VERSION", "data"])
def test_a_first_start_that_was_killed_half_way_is_begun_again(empty_folder: Path, at: str) -> None:
    starter = start_elsewhere(empty_folder)
    wait_for(empty_folder / at)
    # The whole group, initdb too: as when a terminal is closed or a container ends.
    os.killpg(starter.pid, signal.SIGKILL)
    starter.communicate()
    server = EmbeddedPostgres(empty_folder)
    assert answer(server, "SELECT current_database()") == "scorer_fast"


def test_a_copy_of_a_running_folder_gets_its_own_server(server: EmbeddedPostgres, tmp_path: Path) -> None:
    with connect(server) as connection:
        connection.execute("CREATE TABLE whose AS SELECT 'the original' AS name")
        connection.execute("CHECKPOINT")
    copy = EmbeddedPostgres(tmp_path / "copy")
    subprocess.run(["cp", "-a", str(server.folder), str(copy.folder)], check=True)
    try:
        with connect(copy) as connection:
            connection.execute("UPDATE whose SET name = 'the copy'")
        assert answer(server, "SELECT name FROM whose") == "the original"
        assert leader(copy) != leader(server)
    finally:
        copy.reset()


def test_a_moved_folder_keeps_its_data(server: EmbeddedPostgres, tmp_path: Path) -> None:
    with connect(server) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS value")
    server.folder.rename(tmp_path / "moved")
    moved = EmbeddedPostgres(tmp_path / "moved")
    try:
        assert answer(moved, "SELECT value FROM kept") == 42
    finally:
        moved.reset()


def test_another_version_is_refused_with_a_remedy(server: EmbeddedPostgres) -> None:
    (server.data / "PG_VERSION").write_text("12\n")
    with pytest.raises(EmbeddedPostgresError, match=r"made by PostgreSQL 12.*make db-reset"):
        server.ensure_running()


def test_foreign_files_are_refused_with_a_remedy(empty_folder: Path) -> None:
    (empty_folder / "data").mkdir(parents=True)
    (empty_folder / "data" / "letter.txt").write_text("dear")
    with pytest.raises(EmbeddedPostgresError, match=r"not empty.*make db-reset"):
        EmbeddedPostgres(empty_folder).ensure_running()
    assert (empty_folder / "data" / "letter.txt").read_text() == "dear"


def test_data_beyond_repair_is_reported_with_the_log_and_a_remedy(server: EmbeddedPostgres) -> None:
    (server.data / "global" / "pg_control").write_bytes(b"\0" * 8192)
    with pytest.raises(EmbeddedPostgresError) as caught:
        server.ensure_running()
    assert re.search("control file|PG_CONTROL_VERSION", str(caught.value))  # the newer and the older versions' words
    assert "make db-reset" in str(caught.value)


def test_stopping_tells_whether_there_was_a_server(server: EmbeddedPostgres) -> None:
    server.ensure_running()
    assert server.stop() is True
    assert server._processes() == []
    assert server.stop() is False


def test_a_throw_away_server_starts_anew_where_its_data_is_beyond_repair(empty_folder: Path) -> None:
    server = EmbeddedPostgres(empty_folder, durable=False)
    assert answer(server, "SHOW fsync") == "off"
    server.stop()
    (server.data / "global" / "pg_control").write_bytes(b"\0" * 8192)
    assert answer(server, "SELECT current_database()") == "scorer_fast"
