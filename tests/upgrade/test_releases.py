"""From the newest release that was kept to this checkout, and from it to a made-up next one: side by side, and back."""

import ast
import datetime as dt
import hashlib
import re
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.contract import replay
from tests.contract.test_golden import CASES, problems
from tests.upgrade import releases
from tests.upgrade.keep import PACKAGE
from tests.upgrade.releases import Process, Release, database, psql

# Of the newest revision of the host; malformed bodies are refused before a database is asked.
FOLDER = max(name.partition("/")[0] for name in CASES)
GOLDEN = {
    name: replay.read(file)
    for name, file in sorted(CASES.items())
    if name.startswith(f"{FOLDER}/") and "/body_" not in name
}
TABLES = sorted({table for case in GOLDEN.values() for table in [*case["seed"], *case["after"]]})
STEADY = f"{FOLDER}/internal_score"
FROZEN = ("scorer_fast/db/functions/", "scorer_fast/migrations/0", "scorer_fast/migrations/_p")


# ---- what was released stays as it is


def test_released_functions_and_migrations_are_never_changed() -> None:
    """A new version is a new file. Of what is gone nothing is said: it may go a release after its successor came."""
    with zipfile.ZipFile(releases.newest_kept()) as archive:
        released = {
            name: hashlib.sha256(archive.read(name)).hexdigest()
            for name in archive.namelist()
            if name.startswith(FROZEN) and not name.endswith("__init__.py")
        }
    assert released
    changed = [
        name
        for name, digest in released.items()
        if (PACKAGE.parent / name).exists()
        and hashlib.sha256((PACKAGE.parent / name).read_bytes()).hexdigest() != digest
    ]
    assert not changed, "was released: give it a new version (or, before the first release: make keep-release)"


def test_each_function_is_made_by_a_migration_as_its_file_says() -> None:
    """The newest frozen text of each version is its file."""
    migrations = PACKAGE / "migrations"
    frozen = "".join(path.read_text() for path in sorted(migrations.iterdir()) if path.suffix in (".py", ".sql"))
    files = sorted((PACKAGE / "db" / "functions").glob("*.sql"))
    assert files
    assert [path.name for path in files if path.read_text().strip() not in frozen] == []


# ---- what is kept


def shape_of_what_is_kept(text: Callable[[str], str], functions: list[str]) -> list[str]:
    """What gives a kept reading its form, without comments: the function that reads anew, the class that its arrays
    become, and how it is put together for keeping."""
    newest = max((name for name in functions if re.fullmatch(r"reading_\d+", name)), key=lambda name: int(name[8:]))
    lines = text(f"db/functions/{newest}.sql").splitlines()
    shape = [line for line in lines if not line.lstrip().startswith("--") and newest not in line]
    for module, names in (("domain/credentials.py", ("Stamp",)), ("scoring/reading.py", ("kept_of", "_kept"))):
        for node in ast.parse(text(module)).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name in names:
                shape += [
                    ast.unparse(part)
                    for part in node.body
                    if ast.get_docstring(node) is None or part is not node.body[0]
                ]
    return shape


def test_another_shape_of_what_is_kept_is_another_format() -> None:
    """Else a release reads what the other one has kept, and takes a field for what it is not."""

    def here(name: str) -> str:
        return (PACKAGE / name).read_text()

    with zipfile.ZipFile(releases.newest_kept()) as archive:

        def there(name: str) -> str:
            return archive.read(f"scorer_fast/{name}").decode()

        files = re.findall(r"scorer_fast/db/functions/(\w+)\.sql", "\n".join(archive.namelist()))
        released = shape_of_what_is_kept(there, files)
        former = re.search(r"^FORMAT = (\d+)", there("scoring/read.py"), re.MULTILINE)
    now = shape_of_what_is_kept(here, [path.stem for path in (PACKAGE / "db" / "functions").glob("*.sql")])
    later = re.search(r"^FORMAT = (\d+)", here("scoring/read.py"), re.MULTILINE)
    assert former is not None
    assert later is not None
    assert now == released or int(later[1]) > int(former[1]), "raise FORMAT in scoring/read.py"


# ---- both at once


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return releases.kept(tmp_path_factory.mktemp("kept"))


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return releases.made_up(tmp_path_factory.mktemp("made_up"))


@pytest.fixture(scope="module")
def url(old: Release, new: Release) -> Iterator[str]:
    """A database that the old release made and used, then migrated by the new one."""
    with database("releases") as found:
        old.migrate(found)
        with old.running(found) as process:
            process.asked(case=GOLDEN[STEADY], tables=TABLES)
        assert psql(found, KEPT), "kept rows are there when it is migrated"
        said = new.migrate(found)
        assert "made_up... OK" in said
        yield found


@pytest.fixture(scope="module")
def processes(old: Release, new: Release, url: str) -> Iterator[tuple[Process, Process]]:
    with old.running(url) as former, new.running(url) as later:
        assert former.said["version"] != later.said["version"]
        yield former, later


def judged(case: dict[str, Any], process: Process) -> list[str]:
    case = {**case, "after": sorted({*case["after"], *case["expect_rows"]})}
    got = process.asked(case=case, tables=TABLES)
    expected = {
        table: got["seeded"][table] if rows == "<as seeded>" else rows for table, rows in case["expect_rows"].items()
    }
    return problems({**case, "expect_rows": expected}, got)


def masked(answers: list[dict[str, Any]], since: dt.datetime) -> Any:
    return replay.mask(answers, since, dt.datetime.now(dt.UTC) + dt.timedelta(seconds=2))


@pytest.mark.parametrize("name", GOLDEN)
def test_both_releases_answer_the_cases_from_one_database(name: str, processes: tuple[Process, Process]) -> None:
    """One answers the whole case, then both answer its reads, on what the other has kept."""
    case = GOLDEN[name]
    first, second = processes if sorted(GOLDEN).index(name) % 2 else processes[::-1]
    assert judged(case, first) == []
    reads = [step for step in case["steps"] if step["method"] == "GET"]
    since = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=2)
    said = [masked(each.asked(steps=reads, settings=case["settings"]), since) for each in (second, first, second)]
    assert said[0] == said[1] == said[2]


KEPT = """
SELECT encode(k.token, 'hex'), k.kept_at
FROM scorer_fast_keptreading AS k
JOIN registry_passport AS p ON p.id = k.passport_id
"""


def test_neither_release_takes_what_the_other_has_kept_for_its_own(
    processes: tuple[Process, Process], url: str
) -> None:
    """A steady score is kept once by each format; the next one of the same release finds it and keeps nothing."""
    case = GOLDEN[STEADY]
    former, later = processes
    former.asked(case=case, tables=TABLES)
    seen = [psql(url, KEPT)]
    for process in (former, later, later, former):
        process.asked(steps=case["steps"][-1:], settings=case["settings"])
        seen.append(psql(url, KEPT))
    assert len(seen[0]) == 1
    assert seen[1] == seen[0]
    assert seen[2] != seen[1]
    assert seen[3] == seen[2]
    assert seen[4] != seen[3]


def test_both_at_once_leave_one_owner_of_each_nullifier(processes: tuple[Process, Process], url: str) -> None:
    """Both are handed the same requests at the same time, again and again."""
    case = GOLDEN[STEADY]
    processes[0].asked(case=case, tables=TABLES)
    steps = [step for step in case["steps"] if step["method"] == "GET"] * 10
    for process in processes:
        process.ask(steps=steps, settings=case["settings"])
    for process in processes:
        assert {answer["status"] for answer in process.answer()} == {200}
    assert psql(url, "SELECT count(*), count(DISTINCT passport_id) FROM registry_score") == ["1|1"]


def test_going_back_needs_no_migration(old: Release, url: str) -> None:
    """The old release alone, on the database as the new one has migrated and used it."""
    with old.running(url) as former:
        found = {name: judged(case, former) for name, case in sorted(GOLDEN.items())[::4]}
    assert {name: problems for name, problems in found.items() if problems} == {}
