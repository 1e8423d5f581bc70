"""``make release-check``: walks what a release needs, one line each; exits with 1 when something is missing.

    python .ci/release_check.py [--only WORD,…]      # steps whose name holds one of the words

It publishes nothing and changes nothing in the repository.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.11", "3.12")
# What is asked of the installed wheel: its settings, its migrations and its URLs hold together without this repository.
HOST = """
SECRET_KEY = "of-a-release-check-and-of-nothing-else-0123456789"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "scorer_fast"]
MIDDLEWARE = ["scorer_fast.cutover.middleware.ScorerFastMiddleware"]
ROOT_URLCONF = "scorer_fast.urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "none"}}
CGRANTS_API_TOKEN, TRUSTED_IAM_ISSUERS, CERAMIC_CACHE_SCORER_ID = "token", ["did:web:example.org"], "1"
SILENCED_SYSTEM_CHECKS = ["django_ratelimit.E003", "django_ratelimit.W001"]
USE_TZ = True
"""
INSTALLED = (
    ("-m", "django", "check", "--fail-level", "WARNING"),
    ("-m", "django", "scorer_fast", "--help"),
    ("-c", "import django; django.setup(); from django.urls import resolve; resolve('/v2/stamps/1/score/0x0')"),
)


class Missing(Exception):
    """What a release still needs; the text says what to do."""


def project() -> dict[str, object]:
    """The table ``project`` of pyproject.toml."""
    found: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return found


def run(*command: str | Path, where: Path = ROOT, environment: dict[str, str] | None = None) -> str:
    """What the command prints; Missing, with its last lines, when it fails."""
    done = subprocess.run(
        [str(part) for part in command], cwd=where, env=environment, text=True, capture_output=True, check=False
    )
    if done.returncode:
        said = "\n    ".join((done.stdout + done.stderr).strip().splitlines()[-12:])
        raise Missing(f"{' '.join(str(part) for part in command[:6])} failed:\n    {said}")
    return done.stdout


# ---- the steps, in their order


def clean(_: Path) -> str:
    """Nothing uncommitted."""
    changed = run("git", "status", "--porcelain")
    if changed:
        raise Missing(f"commit or remove what git status shows:\n{changed.rstrip()}")
    return run("git", "log", "--oneline", "-1").strip()


def version(_: Path) -> str:
    """One version, in pyproject.toml and in the package."""
    said, packaged = project()["version"], re.search(r'"(.+)"', package_version())
    if packaged is None or packaged.group(1) != said:
        raise Missing(f"pyproject.toml says {said}, scorer_fast/__init__.py {package_version()}: make them one")
    return str(said)


def package_version() -> str:
    text = (ROOT / "scorer_fast" / "__init__.py").read_text()
    return next(line for line in text.splitlines() if line.startswith("__version__"))


def changelog(_: Path) -> str:
    """A section for this version, nothing left under Unreleased."""
    return judged_changelog((ROOT / "CHANGELOG.md").read_text(), str(project()["version"]))


def judged_changelog(text: str, released: str) -> str:
    sections = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL))
    if sections.get("Unreleased", "").strip():
        raise Missing(f"move what stands under Unreleased in CHANGELOG.md to a section {released} with its date")
    if not any(name.split()[0].strip("[]") == released for name in sections):
        raise Missing(f"write a section {released} into CHANGELOG.md")
    return f"section {released}"


def addresses(_: Path) -> str:
    """Where source, documents and issues stand: the owner knows."""
    if not project().get("urls"):
        raise Missing("fill in [project.urls] in pyproject.toml: Homepage, Documentation, Issues, Changelog")
    return "filled in"


def base_image(_: Path) -> str:
    """The Dockerfile's base, pinned by its digest."""
    base = re.search(r"^ARG BASE=(\S+)", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    if base is None or "@sha256:" not in base.group(1):
        raise Missing("pin the base in the Dockerfile by its digest; its first lines say how")
    return base.group(1)


def dockerfile(_: Path) -> str:
    """What hadolint says of the Dockerfile."""
    run(Path(sys.executable).with_name("hadolint"), ROOT / "Dockerfile")
    return "hadolint has nothing to say"


def documents(_: Path) -> str:
    """Links, contents, tables and commands of the documents."""
    return run(sys.executable, "-m", "pytest", "-q", "-n", "0", "tests/guards").strip().splitlines()[-1]


def walk(_: Path) -> str:
    """Every command of the documents, in a copy of its own."""
    return run(sys.executable, ".ci/walk.py").strip().splitlines()[-1]


def upgrade(_: Path) -> str:
    """From the released version's tables and functions to these."""
    return run(sys.executable, "-m", "pytest", "-q", "-n", "0", "tests/upgrade").strip().splitlines()[-1]


def distributions(place: Path) -> str:
    """The wheel and the source distribution: what is in them, and what a package index says of them."""
    tree = place / "tree"  # what is committed, without what earlier builds left behind
    run("git", "archive", "--output", place / "tree.tar", "HEAD")
    with tarfile.open(place / "tree.tar") as archive:
        archive.extractall(tree, filter="data")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", place, tree)
    wheel, source = next(place.glob("*.whl")), next(place.glob("*.tar.gz"))
    with zipfile.ZipFile(wheel) as zipped, tarfile.open(source) as archive:
        look_into(zipped.namelist(), archive.getnames())
    run(sys.executable, "-m", "twine", "check", "--strict", wheel, source)
    return f"{wheel.name}, {source.name}"


def look_into(wheel: list[str], source: list[str]) -> None:
    strangers = [name for name in wheel if not name.startswith(("scorer_fast/", "scorer_fast-"))]
    below = [name.partition("/")[2] for name in source]
    strangers += [name for name in below if name.split("/")[0] in ("api", "bench", "browser", "settings", "tests")]
    if strangers:
        raise Missing(f"these do not belong into a distribution: {', '.join(strangers[:5])}")
    wanted = {"CHANGELOG.md", "LICENSE", "README.md", "docs/install.md", "docs/operations.md", "scorer_fast/py.typed"}
    if missing := sorted(wanted - set(below)):
        raise Missing(f"the source distribution lacks {', '.join(missing)}: see MANIFEST.in")


def installed(place: Path, python: str) -> str:
    """The wheel in a clean environment of one Python, beside nothing of this repository."""
    wheel = next(place.glob("*.whl"), None)
    if wheel is None:
        raise Missing("there is no wheel: see the step before")
    found = interpreter(python)
    home = place / f"python{python}"
    run(found, "-m", "venv", home)
    run(home / "bin" / "python", "-m", "pip", "install", "--quiet", wheel, "psycopg[binary]")
    run(home / "bin" / "python", "-m", "pip", "check")
    (home / "host.py").write_text(HOST)
    environment = {"DJANGO_SETTINGS_MODULE": "host", "PYTHONPATH": str(home), "PATH": "/usr/bin:/bin"}
    for command in INSTALLED:
        run(home / "bin" / "python", *command, where=home, environment=environment)
    return "installed, checked, asked"


def interpreter(version: str) -> str:
    """A Python of that version, from PATH or pyenv."""
    names = [f"python{version}", *map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))]
    for name in names:
        path = shutil.which(name)
        probe = f"import sys; sys.exit(sys.version_info[:2] != ({version.replace('.', ', ')}))"
        if path and subprocess.run([path, "-c", probe], capture_output=True, check=False).returncode == 0:
            return path
    raise Missing(f"Python {version} is not installed here")


def steps() -> Iterator[tuple[str, Callable[[Path], str]]]:
    for step in (clean, version, changelog, addresses, base_image, dockerfile, documents, walk, upgrade, distributions):
        yield step.__name__.replace("_", " "), step
    for python in PYTHONS:
        yield f"wheel on Python {python}", lambda place, python=python: installed(place, python)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="", help="words, by commas: only steps whose name holds one")
    words = [word for word in parser.parse_args().only.split(",") if word]
    missing = 0
    with tempfile.TemporaryDirectory() as place:
        for name, step in steps():
            if words and not any(word in name for word in words):
                continue
            print(f"{name:24} ", end="", flush=True)
            try:
                print(f"ok       {step(Path(place))}", flush=True)
            except Missing as what:
                missing += 1
                print(f"missing  {what}", flush=True)
    print("\nReady to be released." if not missing else f"\n{missing} to do before a release.")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
