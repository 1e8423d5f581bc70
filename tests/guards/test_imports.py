"""Who may import whom: http → scoring, lookups → {domain, db}; the host's apps and the settings are nobody's."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import scorer_fast
from scorer_fast.http.catalogue import BY_ID

ROOT = Path(scorer_fast.__file__).parent
MODULES = sorted(path.relative_to(ROOT.parent) for path in ROOT.rglob("*.py"))
FAST_PATH = ("domain", "db", "scoring", "lookups", "http")
FRONTS = ("lambda_handler",)
# Modules of this app that anybody may use.
OWN = {
    "settings", "errors", "metrics", "telemetry", "inputs", "run", "revision", "linked", "process",
    "arrival", "deadline", "outages", "overload", "pool",
}  # fmt: skip
# Whoever is named here may be imported by the package on the left, besides the standard library and itself.
ALLOWED = {
    "domain": {"Crypto", "orjson"},
    "db": {"django", "orjson"},
    "scoring": {"domain", "db", *OWN, "django", "didkit", "orjson", "tqdm"},
    "lookups": {"domain", "db", *OWN, "django", "orjson"},
    "http": {
        "domain",
        "scoring",
        "lookups",
        "db",
        *OWN,
        "django",
        "cryptography",
        "django_ratelimit",
        "jwt",
        "ninja",
        "pydantic",
        "orjson",
        "asgiref",
    },
    "lambda_handler": {
        "scoring",
        "lookups",
        "http",
        "cutover",
        "management",
        "db",
        *OWN,
        "django",
        "apig_wsgi",
        "orjson",
    },
}


def dotted(path: Path) -> str:
    return ".".join(path.with_suffix("").parts)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything a module imports, wherever in it; ``from x import y`` as ``x.y``."""
    tree = ast.parse((ROOT.parent / path).read_text())
    package = dotted(path).split(".") if path.name == "__init__.py" else dotted(path).split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def layer(name: str) -> str | None:
    """``domain`` for ``scorer_fast.domain.bans``; None outside this app."""
    parts = name.split(".")
    return parts[1] if parts[0] == "scorer_fast" and len(parts) > 1 else None


def of(*packages: str) -> list[Path]:
    return [path for path in MODULES if path.parts[1] in packages]


def test_there_are_modules_to_look_at() -> None:
    assert all(of(package) for package in (*FAST_PATH, "cutover"))


def test_nothing_of_the_host_or_of_this_repository_is_imported() -> None:
    """The wheel runs in a host whose own apps bear the same labels."""
    found = [
        f"{path}:{line} {name}"
        for path in MODULES
        for line, name in imports(path)
        if name.split(".")[0] in {"api", "settings", "tests", "bench", "manage"}
    ]
    assert not found


@pytest.mark.parametrize("package", [*FAST_PATH, *FRONTS])
def test_one_direction(package: str) -> None:
    import sys

    found = []
    for path in of(package):
        for line, name in imports(path):
            top = layer(name) or name.split(".")[0]
            if top in sys.stdlib_module_names or top in {package, "__version__"} or top in ALLOWED[package]:
                continue
            found.append(f"{path}:{line} {name}")
    assert not found


def test_the_domain_has_no_clock_and_no_randomness() -> None:
    """``now`` is an argument."""
    found = []
    for path in of("domain"):
        tree = ast.parse((ROOT.parent / path).read_text())
        found += [
            f"{path}:{node.lineno} {ast.unparse(node)}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in {"now", "today", "utcnow", "time", "monotonic"}
        ]
        found += [
            f"{path}:{line} {name}"
            for line, name in imports(path)
            if name.split(".")[0] in {"time", "random", "secrets", "uuid", "os", "django", "logging"}
        ]
    assert not found


def test_cutover_wraps_http_and_knows_no_operation() -> None:
    """It reaches operations by way of ``http`` alone; statistics are of no operation."""
    found = [
        f"{path}:{line} {name}"
        for path in of("cutover")
        for line, name in imports(path)
        if layer(name) in {"scoring", "lookups", "domain"} and "domain.sequential" not in name
    ]
    assert not found


def test_the_fast_path_has_no_orm_and_no_loop_of_its_own() -> None:
    forbidden = ("django.db.models", "django.shortcuts", "asgiref", "django.apps", "scorer_fast.models")
    found = [
        f"{path}:{line} {name}" for path in of(*FAST_PATH) for line, name in imports(path) if name.startswith(forbidden)
    ]
    for path in of(*FAST_PATH):
        tree = ast.parse((ROOT.parent / path).read_text())
        found += [
            f"{path}:{node.lineno} {ast.unparse(node)}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and (node.attr in {"objects", "run_until_complete"} or ast.unparse(node) == "asyncio.run")
        ]
    assert [re.sub(r":\d+", "", each) for each in found] == [
        "scorer_fast/http/bounded.py asgiref.sync.iscoroutinefunction",  # a middleware, which is told under ASGI
        # On a thread, for a didkit that a test has replaced by a coroutine.
        "scorer_fast/scoring/verifier_local.py asyncio.run",
    ]


STATEMENT = re.compile(
    r"(SELECT\b.+\bFROM \w|INSERT INTO \w+ ?\(|UPDATE \w+ (AS \w+ )?SET\b|DELETE FROM \w|WITH \w+ AS\b|TRUNCATE \w"
    r"|SHOW \w+$|SET LOCAL\b|(CREATE|DROP|ALTER) (OR REPLACE )?(TABLE|FUNCTION|INDEX \w+ (ON|USING)|TRIGGER)\b)"
)
HOUSES = {"db", "scoring", "lookups", "migrations"}


def test_sql_stands_in_sql_alone() -> None:
    found = []
    for path in MODULES:
        if path.parts[1] in HOUSES or path.stem.endswith("_queries"):
            continue
        tree = ast.parse((ROOT.parent / path).read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                lines = [line for line in node.value.splitlines() if not line.strip().startswith("--")]
                if STATEMENT.match(text := " ".join(" ".join(lines).split())):
                    found.append(f"{path}:{node.lineno} {text[:60]}")
            if isinstance(node, ast.Attribute) and node.attr in {"cursor", "executemany"}:
                found.append(f"{path}:{node.lineno} {ast.unparse(node)}")
    assert not found


def test_routers_have_a_few_lines_no_loop_and_no_rule() -> None:
    """Parse, call one function, map, return: at most ten lines, no branch and no loop."""
    found = []
    seen = set()
    for path in of("http"):
        tree = ast.parse((ROOT.parent / path).read_text())
        for node in tree.body:
            if not isinstance(node, ast.FunctionDef) or not any(
                isinstance(mark, ast.Call) and ast.unparse(mark.func) == "endpoint" for mark in node.decorator_list
            ):
                continue
            seen.add(node.name)
            body = node.body[1:]  # without the docstring
            lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            if lines > 10:
                found.append(f"{path}:{node.lineno} {node.name} has {lines} lines")
            found += [
                f"{path}:{inner.lineno} {node.name} has {type(inner).__name__}"
                for inner in ast.walk(node)
                if isinstance(inner, ast.If | ast.For | ast.While | ast.Try | ast.Match)
            ]
    assert seen == set(BY_ID)
    assert not found


def test_no_import_goes_in_a_circle() -> None:
    """Wherever in a module it stands. A package stands for its ``__init__``."""
    names = {dotted(path).removesuffix(".__init__"): path for path in MODULES}
    graph = {
        name: {
            found
            for _, imported in imports(path)
            for found in (imported if imported in names else imported.rpartition(".")[0],)
            if found in names and found != name
        }
        for name, path in names.items()
    }
    done: set[str] = set()
    circles: list[list[str]] = []

    def follow(name: str, way: list[str]) -> None:
        if name in way:
            circles.append([*way[way.index(name) :], name])
        elif name not in done:
            for other in sorted(graph[name]):
                follow(other, [*way, name])
            done.add(name)

    for name in sorted(graph):
        follow(name, [])
    assert not circles
