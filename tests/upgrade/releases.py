"""Releases side by side: the one that was kept, the checkout, and a made-up next one; their commands and processes."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from settings.embedded_postgres import embedded
from tests.upgrade.keep import FOLDER, PACKAGE, ROOT

COMMANDS = """
import json, sys
import django
from django.core.management import call_command
django.setup()
for name, *arguments in json.loads(sys.argv[1]):
    call_command(name, *arguments)
"""


class Process:
    """A running process of a release, connected to one database."""

    def __init__(self, popen: "subprocess.Popen[str]") -> None:
        self._popen = popen
        self.said = json.loads(self._read())

    def _read(self) -> str:
        assert self._popen.stdout is not None
        line = self._popen.stdout.readline()
        assert line, f"the process has ended: {self._popen.wait(10)}"
        return line

    def ask(self, **what: Any) -> None:
        """Hand it something to do; :meth:`answer` waits for what it says."""
        assert self._popen.stdin is not None
        self._popen.stdin.write(json.dumps(what) + "\n")
        self._popen.stdin.flush()

    def answer(self) -> Any:
        return json.loads(self._read())

    def asked(self, **what: Any) -> Any:
        self.ask(**what)
        return self.answer()

    def end(self) -> None:
        self._popen.communicate(timeout=30)


@dataclass(frozen=True)
class Release:
    """A copy of the package in a folder of its own."""

    folder: Path

    @property
    def package(self) -> Path:
        return self.folder / "scorer_fast"

    def _environment(self, url: str, **more: str) -> dict[str, str]:
        return {
            **os.environ,
            "DATABASE_URL": url,
            "DJANGO_SETTINGS_MODULE": "settings.test",
            "PYTHONPATH": os.pathsep.join([str(self.folder), str(ROOT)]),
            "PYTHONDONTWRITEBYTECODE": "1",
            **more,
        }

    def manage(self, url: str, *commands: tuple[str, ...], **environment: str) -> str:
        """What commands of the release say, one after the other in one process; they must succeed."""
        done = subprocess.run(
            [sys.executable, "-c", COMMANDS, json.dumps(commands)],
            cwd=self.folder,
            env=self._environment(url, **environment),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def migrate(self, url: str, *arguments: str, **environment: str) -> str:
        return self.manage(url, ("migrate", *arguments), **environment)

    @contextmanager
    def running(self, url: str) -> Iterator[Process]:
        """A process of the release that answers requests from the database."""
        popen = subprocess.Popen(
            [sys.executable, str(FOLDER / "process.py")],
            cwd=self.folder,
            env=self._environment(url),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        process = Process(popen)
        assert Path(process.said["file"]).parent == self.package
        try:
            yield process
        finally:
            process.end()


def newest_kept() -> Path:
    """The archive of the newest release."""
    return max(FOLDER.glob("*.zip"), key=lambda path: [int(part) for part in path.stem.split(".")])


def kept(into: Path) -> Release:
    """The newest release that was kept."""
    with zipfile.ZipFile(newest_kept()) as archive:
        archive.extractall(into)
    return Release(into)


def checkout(into: Path) -> Release:
    """The package as it is here."""
    shutil.copytree(PACKAGE, into / "scorer_fast", ignore=shutil.ignore_patterns("__pycache__"))
    return Release(into)


def made_up(into: Path) -> Release:
    """The release after the checkout as it might be: a column, a function's next version, another format."""
    release = checkout(into)
    version = release.package / "__init__.py"
    replace(
        version, r'__version__ = "(\d+\.\d+)\.(\d+)"', lambda found: f'__version__ = "{found[1]}.{int(found[2]) + 1}"'
    )
    replace(release.package / "scoring" / "read.py", r"^FORMAT = (\d+)", lambda found: f"FORMAT = {int(found[1]) + 1}")
    old, new = next_version(release, "scorer_fast_read_scoring_")
    leaves = leaf_migration(release)
    (release.package / "migrations" / f"{int(leaves[:4]) + 1:04}_made_up.py").write_text(
        MIGRATION.format(leaf=leaves, new=new, text=function_text(release, new))
    )
    assert old != new
    return release


def next_version(release: Release, prefix: str) -> tuple[str, str]:
    """Give a function its next version beside the old one, and let the code call it; both names."""
    functions = release.package / "db" / "functions"
    name = prefix.removeprefix("scorer_fast_")
    number = max(int(path.stem.removeprefix(name)) for path in functions.glob(f"{name}*.sql"))
    old, new = f"{prefix}{number}", f"{prefix}{number + 1}"
    text = (functions / f"{name}{number}.sql").read_text()
    (functions / f"{name}{number + 1}.sql").write_text(text.replace(old, new))
    for path in release.package.rglob("*.py"):
        if path.parent.name != "migrations":
            replace(path, rf"\b{old}\b", lambda _: new, required=False)
    replace(
        functions / "__init__.py", rf'^( +)"{name}{number}",\n', lambda found: f'{found[0]}{found[1]}"{new[12:]}",\n'
    )
    return old, new


def function_text(release: Release, name: str) -> str:
    return (release.package / "db" / "functions" / f"{name.removeprefix('scorer_fast_')}.sql").read_text()


def leaf_migration(release: Release) -> str:
    return max(path.stem for path in (release.package / "migrations").glob("[0-9]*.py"))


def replace(path: Path, pattern: str, by: Any, *, required: bool = True) -> None:
    text, count = re.subn(pattern, by, path.read_text(), flags=re.MULTILINE)
    assert count or not required, f"{path}: no {pattern}"
    if count:
        path.write_text(text)


MIGRATION = '''"""A column and a function's next version."""

from django.db import migrations

from ._postgresql import Functions, PostgreSQL

FUNCTION = """{text}"""


class Migration(migrations.Migration):
    dependencies = [("scorer_fast", "{leaf}")]
    operations = [
        PostgreSQL(
            "ALTER TABLE scorer_fast_verifiedcredential ADD COLUMN made_up text NOT NULL DEFAULT 'new'",
            "ALTER TABLE scorer_fast_verifiedcredential DROP COLUMN made_up",
        ),
        Functions(FUNCTION, "DROP FUNCTION {new}"),
    ]
'''

# ---- databases


def psql(url: str, statement: str) -> list[str]:
    """The rows of a statement, fields by ``|``."""
    program = embedded(test=True).program("psql")
    done = subprocess.run(
        [program, "--no-psqlrc", "-qtAX", "-v", "ON_ERROR_STOP=1", "-c", statement, url], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@contextmanager
def database(name: str, template: str = "template1") -> Iterator[str]:
    """The URL of a database of its own, dropped at the end."""
    name = f"upgrade_{name}_{os.getpid()}"
    server = embedded(test=True)
    psql(server.url("postgres"), f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    try:
        yield server.url(name)
    finally:
        psql(server.url("postgres"), f'DROP DATABASE "{name}" WITH (FORCE)')
