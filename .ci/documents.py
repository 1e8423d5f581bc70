"""``make docs``: writes what of the documents follows from something else, between marks; a test holds it.

    contents of each document      from its headings
    docs/reference.md              operations, settings and commands, from the catalogue, the models and the commands
    docs/capacity.md               requests per core and bytes per address, from bench/results.json and bench/sizes.json
    README.md                      the table of figures, from bench/results.json

``python .ci/documents.py --check`` writes nothing, names what is old, and exits with 1.
"""

from __future__ import annotations

import ast
import io
import json
import math
import os
import re
import sys
import textwrap
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings.test")
DOCS = ROOT / "docs"
RESULTS = ROOT / "bench" / "results.json"
# The rows of the README's table: what one wants to know first.
SHOWN = {
    "v2_score": "a score, stamps unchanged (`v2_score`)",
    "cache_add_stamps": "a stamp posted and scored (`cache_add_stamps`)",
    "cache_get_score": "a stored score (`cache_get_score`)",
    "check_bans": "a look-up (`check_bans`)",
}


def marked(text: str, name: str, body: str) -> str:
    """``text`` with ``body`` between the marks of ``name``."""
    opening, closing = f"<!-- {name}: written by make docs -->", f"<!-- end of {name} -->"
    if name == "contents" and opening not in text:  # a new document: below its title
        title, _, rest = text.partition("\n")
        text = f"{title}\n\n{opening}\n{closing}\n{rest}"
    before, found, rest = text.partition(opening)
    if not found or closing not in rest:
        raise SystemExit(f"The marks {opening} and {closing} are missing.")
    return f"{before}{opening}\n\n{body.strip()}\n\n{closing}{rest.partition(closing)[2]}"


def table(head: str, rows: Iterator[str]) -> str:
    return "\n".join([f"| {head} |", "|" + "---|" * (head.count("|") + 1), *(f"| {row} |" for row in rows)])


# ---- contents


def anchor(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def headings(text: str) -> list[tuple[int, str]]:
    """Level and text of each heading that stands outside code."""
    bare = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return [(len(marks), title) for marks, title in re.findall(r"^(#+) (.+?)\s*$", bare, flags=re.MULTILINE)]


def contents(text: str) -> str:
    return " ·\n".join(f"[{title}](#{anchor(title)})" for level, title in headings(text) if level == 2)


# ---- blocks of code

SHELL = re.compile(
    r"(?:make|pip|curl|docker|aws|export|manage\.py|python|\.venv/bin/python|scorer_fast)(?= )|[A-Z_]+=\S"
)


def blocks() -> Iterator[tuple[str, list[str]]]:
    """Document and lines of each block of code, fenced or indented, in the order in which one reads them."""
    for path in [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]:
        text = re.sub(
            r"^```\w*\n(.*?)^```",
            lambda found: "----\n" + textwrap.indent(found[1], "    ") + "----",
            path.read_text(),
            flags=re.MULTILINE | re.DOTALL,
        )
        for block in re.findall(r"(?:^ {4,}\S.*\n(?:\s*\n(?= {4}))?)+", text, flags=re.MULTILINE):
            yield path.name, [line.rstrip() for line in textwrap.dedent(block).splitlines() if line.strip()]


def command_lines() -> Iterator[tuple[str, str]]:
    """Document and command of each line of the blocks that begin as a shell's do, without what is said beside it."""
    for name, lines in blocks():
        if SHELL.match(lines[0]):
            for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
                yield name, re.sub(r"\s{2,}\S.*$", "", line).partition(" #")[0].strip()


# ---- operations


def operations(results: dict[str, Any]) -> str:
    """One row per operation; statements are the ones that a test counts, p50 the last bench's."""
    from scorer_fast.http.api import api
    from scorer_fast.http.catalogue import OPERATIONS
    from tests.factories.operations import TABLE

    auths = {"ApiKeyAuth": "`X-API-Key`", "InternalAuth": "internal token", "TokenAuth": "access token"}
    paths = api.get_openapi_schema()["paths"]

    def rows() -> Iterator[str]:
        for operation in OPERATIONS:
            described = paths[operation.path][operation.method.lower()]
            auth = next((auths[name] for given in described.get("security", ()) for name in given), "none")
            sent = TABLE[operation.id]
            measured = results["operations"].get(operation.id)
            p50 = f"{measured['steady']['c1']['p50_ms']:.2f}" if measured else "not measured"
            yield (
                f"`{operation.id}` | {operation.method} | `{operation.path}` | {auth} | `{operation.group}` | "
                f"{len(sent.first)}, {len(sent.steady)} | {p50} | {operation.summary}"
            )

    return table("id | method | URL | auth | group | statements: first, then | p50, ms | what it answers", rows())


# ---- settings


def comments(source: str, model: str) -> dict[str, str]:
    """The comment of each field of a class, as it stands beside it."""
    said: dict[int, str] = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not token.line.lstrip().startswith("#"):
            said[token.start[0]] = token.string.lstrip("# ")
    (body,) = (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == model)
    return {
        node.target.id: " ".join(said[line] for line in range(node.lineno, (node.end_lineno or 0) + 1) if line in said)
        for node in body.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


UNITS = {
    "_SECONDS": "s",
    "_DAYS": "days",
    "_MS": "ms",
    "_PERCENT": "%",
    "_POINTS": "percentage points",
    "_PER_MINUTE": "a minute",
    "_PER_SECOND": "a second",
    "SHADOW_SAMPLE": "share",
    "_AGE": "s",
    "_BYTES": "bytes",
    "_MB": "MB",
    "_TIMESTAMP": "Unix seconds",
}


def unit(name: str) -> str:
    return next((unit for end, unit in UNITS.items() if name.endswith(end)), "")


def default(value: Any) -> str:
    if isinstance(value, frozenset | set):
        value = sorted(value)
    if isinstance(value, float) and value == int(value):
        value = int(value)
    written = repr(value)
    return "see there" if len(written) > 24 else f"`{written}`"


def settings(model: Any, place: str) -> str:
    """One row per setting of a model, each with a link to where it is described."""
    source = (ROOT / "scorer_fast" / "settings.py").read_text()
    said = comments(source, model.__name__)

    def rows() -> Iterator[str]:
        for field, info in model.model_fields.items():
            name = info.alias or field.upper()
            value = info.get_default(call_default_factory=True)
            yield (
                f"[`{name}`](operations.md#{anchor(name)}) | {default(value)} | {unit(name)} | "
                f"{said.get(field, '').replace('|', chr(92) + '|')}"
            )

    return table(f"{place} | default | unit | meaning", rows())


# ---- commands


def commands() -> str:
    from scorer_fast.management.commands.scorer_fast import subcommands

    def rows() -> Iterator[str]:
        for name, module in subcommands().items():
            yield f"[`scorer_fast {name}`](operations.md#{anchor('scorer_fast ' + name)}) | {module.HELP}"

    return table("`manage.py …` | what it does", rows())


def targets() -> str:
    found = re.findall(r"^([a-z-]+):.*?## (.+)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    return table("`make …` | what it does", (f"`{name}` | {what}" for name, what in found))


# ---- the README's figures


def figures(results: dict[str, Any]) -> str:
    floor = results["floor"]["c1"]["p50_ms"]

    def rows() -> Iterator[str]:
        for name, said in SHOWN.items():
            fast, host = results["operations"][name]["steady"], results["baseline"][name]
            one, other = fast["c1"]["p50_ms"], host["c1"]["p50_ms"]
            yield (
                f"{said} | {other:.1f} ms | **{one:.1f} ms** | {one / floor:.1f} × | "
                f"{host['c8']['rps']:.0f} | **{fast['c8']['rps']:.0f}**"
            )

    return table(
        "p50, one client | host | scorer_fast | beside the floor | requests a second, host, 8 clients | scorer_fast",
        rows(),
    )


# ---- capacity

BUSY = 0.6  # share of a core that is planned for: beyond it waiting grows faster than the work
SIZES = ROOT / "bench" / "sizes.json"


def mix() -> dict[str, int]:
    """How often each operation is asked in the mix of `make load`."""
    text = (ROOT / "load" / "locustfile.py").read_text()
    return {name: int(share) for share, name in re.findall(r"@task\((\d+)\)\n    def (\w+)", text)}


def cost(results: dict[str, Any], which: str, key: str) -> float:
    """Milliseconds that a request of the mix takes on average."""
    shares = mix()
    total = sum(share * results["operations"][name]["steady"][which][key] for name, share in shares.items())
    return float(total) / sum(shares.values())


def per_core(results: dict[str, Any]) -> str:
    def row(name: str, server: float, database: float) -> str:
        shown = f"{1000 / database:,.0f}" if database >= 0.02 else "not measurable"
        return f"{name} | {server:.2f} | {1000 / server:,.0f} | {database:.2f} | {shown}"

    def rows() -> Iterator[str]:
        for name in ("v2_score", "cache_add_stamps", "cache_get_score", "cache_get_stamps", "check_bans", "allow_list"):
            one = results["operations"][name]["steady"]["c8"]
            yield row(f"`{name}`", one["cpu_ms"], one["database_cpu_ms"])
        first = results["operations"]["v2_score"]["first"]["c8"]
        yield row("`v2_score`, the first of an address", first["cpu_ms"], first["database_cpu_ms"])
        yield row("the mix of `make load`", cost(results, "c8", "cpu_ms"), cost(results, "c8", "database_cpu_ms"))

    return table(
        "request | CPU of the server, ms | requests a second and core | CPU of PostgreSQL, ms | and core of PostgreSQL",
        rows(),
    )


def bytes_per_address() -> str:
    of = json.loads(SIZES.read_text())["bytes_per_address"]

    def rows() -> Iterator[str]:
        for table_name, size in of.items():
            yield f"`{table_name}` | {size / 1000:.1f}"
        own = sum(size for name, size in of.items() if name.startswith("scorer_fast_"))
        yield f"in all | {sum(of.values()) / 1000:.0f}, of which this app's {own / 1000:.0f}"

    return table("table | kB an address", rows())


def examples(results: dict[str, Any]) -> str:
    server, database = cost(results, "c8", "cpu_ms"), cost(results, "c8", "database_cpu_ms")
    takes = cost(results, "c1", "p50_ms")

    def cores(rate: int, milliseconds: float) -> float:
        return rate * milliseconds / 1000 / BUSY

    def rows() -> Iterator[str]:
        for rate in (1, 100, 1000):
            workers = max(1, math.ceil(cores(rate, server)))
            spare = max(2, workers + 1) if rate > 1 else 1
            lambdas = max(1, math.ceil(rate * takes * 2 / 1000 / BUSY))
            yield (
                f"{rate:,} | {cores(rate, server):.2f} | {cores(rate, database):.2f} | "
                f"{workers} worker{'s' * (workers > 1)}, {3 * workers} connections | "
                f"{spare} task{'s' * (spare > 1)} of 1 vCPU, {3 * spare} connections | "
                f"{lambdas} at once, {lambdas} connection{'s' * (lambdas > 1)}"
            )

    return table(
        "requests a second | cores of the server | cores of PostgreSQL | one machine | Fargate | Lambda, 1 vCPU each",
        rows(),
    )


# ---- all of it


def written() -> dict[Path, str]:
    """What each document should be."""
    import django

    django.setup()
    from scorer_fast.settings import GuardLimits, Host, ScorerFast

    results = json.loads(RESULTS.read_text())
    parts: dict[Path, dict[str, Callable[[], str]]] = {
        DOCS / "reference.md": {
            "operations": lambda: operations(results),
            "settings": lambda: settings(ScorerFast, "key of `SCORER_FAST`"),
            "limits of the guard": lambda: settings(GuardLimits, "key of `GUARD`"),
            "settings of the host": lambda: settings(Host, "setting"),
            "commands": commands,
            "targets": targets,
        },
        DOCS / "capacity.md": {
            "requests per core": lambda: per_core(results),
            "bytes per address": bytes_per_address,
            "examples": lambda: examples(results),
        },
        ROOT / "README.md": {"figures": lambda: figures(results)},
    }
    documents = {}
    for path in [*sorted(DOCS.glob("*.md")), ROOT / "README.md"]:
        text = path.read_text()
        for name, body in parts.get(path, {}).items():
            text = marked(text, name, body())
        if path.parent == DOCS:
            text = marked(text, "contents", contents(text))
        documents[path] = text
    return documents


def main() -> int:
    old = {path: text for path, text in written().items() if path.read_text() != text}
    if "--check" in sys.argv:
        print("\n".join(f"{path.relative_to(ROOT)} is old: make docs" for path in old))
        return 1 if old else 0
    for path, text in old.items():
        path.write_text(text)
        print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
