import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from settings.embedded_postgres import EmbeddedPostgres


@pytest.fixture(scope="session")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose cluster was made once and is stopped: copying it is faster than making another."""
    folder = tmp_path_factory.mktemp("initialised") / "pg"
    server = EmbeddedPostgres(folder)
    server.ensure_running()
    server.stop()
    return folder


@pytest.fixture
def server(initialised: Path, tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A server of the test's own, not started yet."""
    folder = tmp_path / "pg"
    subprocess.run(["cp", "-a", str(initialised), str(folder)], check=True)
    own = EmbeddedPostgres(folder)
    yield own
    own.reset()


@pytest.fixture
def empty_folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "pg"
    yield folder
    EmbeddedPostgres(folder).reset()
