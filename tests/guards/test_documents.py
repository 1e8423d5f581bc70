"""The documents: links lead somewhere, tables are made of the code, commands exist, error texts are real."""

import ast
import importlib.util
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
from django.core.management import load_command_class

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMES = [path.name for path in DOCUMENTS]


@cache
def writer() -> ModuleType:
    """What ``make docs`` runs."""
    spec = importlib.util.spec_from_file_location("documents", ROOT / ".ci" / "documents.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_made_of_the_code_is_up_to_date() -> None:
    old = [path.name for path, text in writer().written().items() if path.read_text() != text]
    assert not old, f"run `make docs` and commit: {', '.join(old)}"


# ---- links


def links(text: str) -> list[str]:
    bare = re.sub(r"^```.*?^```|`[^`\n]*`", "", text, flags=re.MULTILINE | re.DOTALL)
    return [*re.findall(r"\]\(([^)\s]+)\)", bare), *re.findall(r'(?:src|srcset|href)="([^"]+)"', bare)]


def anchors(path: Path) -> set[str]:
    return {writer().anchor(title) for _, title in writer().headings(path.read_text())}


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_every_link_leads_somewhere(path: Path) -> None:
    lost = []
    for link in links(path.read_text()):
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        if "://" not in link and not (target.exists() and (not anchor or anchor in anchors(target))):
            lost.append(link)
    assert not lost


def test_links_to_other_servers_are_few_and_known() -> None:
    """No address of a repository or an index is made up."""
    known = ("https://keepachangelog.com", "https://semver.org", "https://locust.io", "https://grafana.com")
    strange = [
        link for path in DOCUMENTS for link in links(path.read_text()) if "://" in link and not link.startswith(known)
    ]
    assert not strange


# ---- error texts


def strings(path: Path) -> Iterator[str]:
    """Every text of a module, the places of f-strings and of %s as ``…``."""
    if path.suffix != ".py":
        yield path.read_text()
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)


@cache
def printed() -> str:
    """All that the product and this repository's own tools may say."""
    files = [
        *(ROOT / "scorer_fast").rglob("*.py"),
        *(ROOT / "settings").glob("*.py"),
        *(ROOT / "api").rglob("seed_demo.py"),
        *(path for path in (ROOT / ".ci").iterdir() if path.is_file()),
    ]
    return "\n".join(text for file in sorted(files) for text in strings(file))


def test_what_troubleshooting_quotes_is_really_said() -> None:
    invented = []
    for line in (ROOT / "docs" / "troubleshooting.md").read_text().splitlines():
        for quoted in re.findall(r"`([^`]+)`", line.split(" | ")[0]) if line.startswith("| ") else ():
            parts = [part.strip() for part in quoted.split("…") if len(part.strip()) > 4]
            invented += [part for part in parts if part.split(":")[0] != "X-Scorer-Path" and part not in printed()]
    assert not invented


# ---- commands

# Where it is run. What starts with one of these is run by the test or script beside it.
WALK = ".ci/walk.py"  # a part of make release-check
RUN = {
    "make run": WALK,
    "make dev": WALK,
    "make test": ".ci/run",
    "make bench": "bench/results.json",  # by hand before a release: its output
    ".venv/bin/python -m bench.rescore": "tests/management/test_rescore_command.py",  # the command it measures
    "make load": WALK,
    "make db-": WALK,
    "make demo": WALK,
    "make setup": WALK,
    "make docs": WALK,
    "export DJANGO_SETTINGS_MODULE=demo.settings": WALK,
    ".venv/bin/python manage.py scorer_fast": WALK,
    "manage.py scorer_fast": WALK,
    "scorer_fast ": WALK,  # a synopsis: tests/management, and the next test
    ".venv/bin/python -m settings.embedded_postgres": WALK,
    ".venv/bin/python -m build": WALK,
    "curl": WALK,
    "manage.py check": "tests/test_checks.py",
    "manage.py migrate": "tests/upgrade/test_migrations.py",
    "pip install": ".ci/release_check.py",
    "SCORER_FAST_HOST_HANDLER=… python -m scorer_fast.lambda_handler.cold_start": "tests/lambda_handler",
}
# What cannot be run here.
CANNOT = {"aws": "AWS", "docker": "no daemon", "SECRET_KEY=": "docker compose"}
# Blocks that are neither commands nor Python nor JSON, by their beginning.
OTHERS = ("scorer_fast/\n", "command ", "environment ", "v2_score: 503", "ALTER ROLE", "# nginx", "DO $$")


def commands() -> list[tuple[str, str]]:
    return list(writer().command_lines())


def test_every_block_of_code_is_known() -> None:
    """Commands, Python, JSON, or one of a few others: no command hides in a block that nobody reads."""
    strange = []
    for name, lines in writer().blocks():
        text = "\n".join(lines)
        if not writer().SHELL.match(text) and not f"{text}\n".startswith(OTHERS):
            try:
                ast.parse(text.replace("[...,", "["))
            except SyntaxError:
                strange.append(f"{name}: {lines[0]}")
    assert not strange


def test_every_command_is_run_somewhere_or_cannot_be_here() -> None:
    makefile = (ROOT / "Makefile").read_text()
    strange = []
    for name, command in commands():
        target = re.match(r"make ([a-z-]+)", command)
        if target and f"\n{target[1]}:" not in makefile:
            strange.append(f"{name}: {command} (no such target)")
        elif not command.startswith((*RUN, *CANNOT)):
            strange.append(f"{name}: {command}")
    assert not strange
    assert [place for place in RUN.values() if not (ROOT / place).exists()] == []


def test_every_management_command_of_the_documents_is_understood() -> None:
    """Names and options exist: each line is read by the command's own parser. What they do is tested elsewhere."""
    parser = load_command_class("scorer_fast", "scorer_fast").create_parser("manage.py", "scorer_fast")
    wrong = []
    for name, command in commands():
        command = command.removeprefix(".venv/bin/python ")
        if not command.startswith(("manage.py scorer_fast", "scorer_fast ")):
            continue
        words = command.removeprefix("manage.py ").removeprefix("scorer_fast")
        if "[" in words or "|" in words:  # a synopsis
            continue
        words = re.sub(r"\bID\b", "1", words).replace("0x…", "0x" + "0" * 40)
        given = shlex.split(words)
        try:
            parser.parse_args(given)
        except Exception as problem:
            wrong.append(f"{name}: {command}: {problem}")
        except SystemExit:
            wrong.append(f"{name}: {command}")
    assert not wrong
