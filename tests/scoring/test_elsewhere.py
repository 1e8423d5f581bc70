"""What is kept is bound to where it was kept: restored, copied and rewritten rows are read anew, and nobody has to do
anything.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connection

from api.account.models import Community
from settings.embedded_postgres import EmbeddedPostgres
from tests.factories import rows
from tests.factories.database import database_url, session
from tests.factories.scoring import reading, score

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parents[2]
OWNER = rows.OWNER
# A process of its own scores the address twice in the database of its environment: what was kept before, and the
# scores.
SCORE_TWICE = f"""
import json, django
django.setup()
from tests.factories.scoring import reading, score
print(json.dumps([reading({OWNER!r}).is_kept, *[sorted(score({OWNER!r})["stamps"]) for _ in range(2)]]))
import os, sys; sys.stdout.flush(); os._exit(0)
"""
TAMPER = """
UPDATE ceramic_cache_ceramiccache
SET stamp = jsonb_set(stamp, '{credentialSubject,nullifiers,0}', '"v0.0.0:another"')
WHERE id = (SELECT max(id) FROM ceramic_cache_ceramiccache)
"""


def score_twice(url: str) -> tuple[bool, list[str], list[str]]:
    """Whether a reading was kept there, and the providers that count, the first time and the second."""
    made = subprocess.run(
        [sys.executable, "-c", SCORE_TWICE],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "settings.test"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    is_kept, first, second = json.loads(made.stdout)
    return is_kept, first, second


@pytest.fixture
def scored(one: Community) -> None:
    """Two stamps, scored; what was read is kept."""
    rows.stamps(OWNER, "Google", "Ens")
    score()
    assert reading().is_kept


# ---- another cluster

Cluster = Callable[[], EmbeddedPostgres]


@pytest.fixture
def new_cluster(tmp_path: Path) -> Iterator[Cluster]:
    made: list[EmbeddedPostgres] = []

    def new() -> EmbeddedPostgres:
        made.append(EmbeddedPostgres(tmp_path / f"cluster{len(made)}", durable=False))
        return made[-1]

    yield new
    for cluster in made:
        cluster.reset()


def dump(url: str, file: Path) -> None:
    run_program("pg_dump", "--no-owner", "--format=custom", f"--file={file}", url)


def restore(file: Path, cluster: EmbeddedPostgres) -> str:
    """A new database of that dump; its URL."""
    with session(cluster.url("postgres")) as maintenance:
        maintenance.execute("CREATE DATABASE restored")
    url = cluster.url("restored")
    run_program("pg_restore", "--no-owner", f"--dbname={url}", str(file))
    return url


def run_program(name: str, *arguments: str) -> None:
    program = EmbeddedPostgres().program(name)
    subprocess.run([program, *arguments], check=True, capture_output=True, timeout=120)


def test_a_restored_row_is_read_anew(scored: None, new_cluster: Cluster, tmp_path: Path) -> None:
    """Fresh clusters give a COPY the same transaction: the versions of restored rows repeat, what was kept does not."""
    first, second = tmp_path / "first.dump", tmp_path / "second.dump"
    dump(database_url(), first)
    one = restore(first, new_cluster())
    assert score_twice(one) == (False, ["Ens", "Google"], ["Ens", "Google"])
    with session(one) as there:
        there.execute(TAMPER)
    dump(one, second)
    another = restore(second, new_cluster())
    assert score_twice(another) == (False, ["Google"], ["Google"])


def test_a_restore_into_the_same_cluster_is_read_anew(scored: None, tmp_path: Path) -> None:
    file = tmp_path / "dump"
    dump(database_url(), file)
    name = "scorer_fast_restored"
    with copied(name, "template0") as url:
        run_program("pg_restore", "--no-owner", f"--dbname={url}", str(file))
        assert score_twice(url) == (False, ["Ens", "Google"], ["Ens", "Google"])


# ---- another database of the cluster


class copied:
    """A database of the cluster, made of a template; gone at the end."""

    def __init__(self, name: str, template: str) -> None:
        self._name, self._template = name, template
        self._url = database_url()

    def _run(self, statement: str) -> None:
        maintenance = urlsplit(self._url)._replace(path="/postgres").geturl()
        with session(maintenance) as there:
            there.execute(statement)

    def __enter__(self) -> str:
        self._run(f'DROP DATABASE IF EXISTS "{self._name}" WITH (FORCE)')
        self._run(f'CREATE DATABASE "{self._name}" TEMPLATE "{self._template}"')
        return urlsplit(self._url)._replace(path=f"/{self._name}").geturl()

    def __exit__(self, *_: Any) -> None:
        self._run(f'DROP DATABASE IF EXISTS "{self._name}" WITH (FORCE)')


def test_a_copied_database_is_read_anew(scored: None) -> None:
    """Its rows have the very versions of the original's."""
    name = connection.settings_dict["NAME"]
    connection.close()  # a template is nobody's while it is copied
    with copied(f"{name}_copy", name) as url:
        assert score_twice(url) == (False, ["Ens", "Google"], ["Ens", "Google"])
    assert reading().is_kept


# ---- the same database, rewritten


@pytest.mark.parametrize(
    "statement", ["VACUUM FULL", "VACUUM FREEZE", "CLUSTER ceramic_cache_ceramiccache USING {pkey}"]
)
def test_rewritten_tables_give_the_same_scores(statement: str, scored: None) -> None:
    before = score()["stamps"]
    with connection.cursor() as cursor:
        cursor.execute(statement.format(pkey="ceramic_cache_ceramiccache_pkey"))
    assert score()["stamps"] == before
    with connection.cursor() as cursor:
        cursor.execute(TAMPER)
    assert set(score()["stamps"]) == {"Google"}


def test_an_update_over_a_whole_table_is_read_anew(scored: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE ceramic_cache_ceramiccache SET compose_db_stream_id = ''")
    assert not reading().is_kept
