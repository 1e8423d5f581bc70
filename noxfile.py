"""The suite with the wheel installed, on what a host may have: `make matrix`.

A subset of the product in which every value stands at least twice. Each session runs in a copy of the
tests and of the host's side (api/, settings/) beside the installed wheel, never beside the source.
"""

import shutil
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).parent
HOST_SIDE = ("api", "settings", "tests", "bench", "docs", "manage.py", "pyproject.toml", "Makefile", "README.md")
# How this repository runs alone, its documents and its release are no matter of the wheel's.
ALONE = (
    *("settings", "embedded_postgres", "load", "release"),
    *("guards/test_docs.py", "guards/test_documents.py", "guards/test_images.py"),
)
POSTGRES = ("15", "16")  # beside the embedded 18: the oldest supported (Debian's), and the other one of the package
DRIVERS = {"psycopg3": "psycopg[binary]>=3.1", "psycopg2": "psycopg2-binary>=2.9"}
NINJA = {"1.3": "django-ninja>=1.3,<1.4", "newest": "django-ninja>=1.3"}

nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True


@nox.session
@nox.parametrize(
    "python, django, driver, ninja",
    [
        ("3.11", "4.2", "psycopg2", "1.3"),
        ("3.12", "4.2", "psycopg3", "newest"),
        ("3.12", "5.0", "psycopg3", "1.3"),
        ("3.11", "5.1", "psycopg2", "newest"),
        ("3.12", "5.2", "psycopg2", "1.3"),
        ("3.11", "5.2", "psycopg3", "newest"),
    ],
)
def suite(session: nox.Session, django: str, driver: str, ninja: str) -> None:
    """Every test, or those that ARGS choose: `make matrix ARGS='-- -k contract'`."""
    place = Path(session.create_tmp()).resolve()
    dist = place / "dist"
    for old in (dist, ROOT / "build"):  # what was deleted since must not come back with the wheel
        shutil.rmtree(old, ignore_errors=True)
    session.install("--quiet", "-r", str(ROOT / "requirements-dev.txt"))
    session.run("python", "-m", "build", "--no-isolation", "--wheel", "--outdir", str(dist), str(ROOT), silent=True)
    if driver == "psycopg2":  # Django takes psycopg 3 where it finds both
        session.run("python", "-m", "pip", "uninstall", "--quiet", "--yes", "psycopg", "psycopg-binary", "psycopg-pool")
    session.install("--quiet", "--force-reinstall", "--no-deps", *map(str, dist.glob("*.whl")))
    session.install("--quiet", f"Django~={django}.0", DRIVERS[driver], NINJA[ninja])
    for name in HOST_SIDE:
        copy = place / name
        source = ROOT / name
        if copy.is_dir():
            shutil.rmtree(copy)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, copy)
    session.chdir(place)
    session.run("python", "-c", "import scorer_fast, pathlib; assert 'site-packages' in scorer_fast.__file__")
    # Older releases warn of what newer ones changed; warnings are errors in `make test`.
    alone = [f"--ignore=tests/{name}" for name in ALONE]
    session.run("python", "-m", "pytest", "-W", "default", "-n", "2", *alone, *session.posargs)


@nox.session(venv_backend="none")
@nox.parametrize("postgres", POSTGRES)
def database(session: nox.Session, postgres: str) -> None:
    """Every test on another PostgreSQL, in the environment of `make test`."""
    environment = {"POSTGRES_VERSION": postgres}
    session.run(sys.executable, "-m", "pytest", "-n", "2", *session.posargs, env=environment, external=True)
    session.run(sys.executable, "-m", "settings.embedded_postgres", "test", "stop", env=environment, external=True)
