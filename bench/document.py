"""The figures of a run as Markdown, put between two marks of docs/benchmarks.md: nobody copies numbers by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.database import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
OPENING, CLOSING = "<!-- figures: written by make bench -->", "<!-- end of figures -->"


def write(results: dict[str, Any]) -> None:
    """Replace the figures of the page by those of ``results``."""
    before, _, rest = PAGE.read_text().partition(OPENING)
    _, _, after = rest.partition(CLOSING)
    PAGE.write_text(f"{before}{OPENING}\n\n" + "\n".join(sections(results)) + f"\n{CLOSING}{after}")


def rows(head: str, lines: Iterator[str] | list[str]) -> Iterator[str]:
    """A table: its head and its lines, cells divided by bars."""
    yield f"| {head} |"
    yield "|" + "---|" * (head.count("|") + 1)
    yield from (f"| {line} |" for line in lines)
    yield ""


def sections(results: dict[str, Any]) -> Iterator[str]:
    machine, floor = results["machine"], results["floor"]
    load = ", ".join(f"{value:.1f}" for value in machine["load_average_before"])
    yield (
        f"{machine['processor']}, {machine['cores']} cores (load before the run: {load}); Python {machine['python']}, "
        f"Django {machine['django']}, django-ninja {machine['ninja']}, psycopg {machine['psycopg']}; "
        f"PostgreSQL's huge pages {machine['huge_pages']}; medians of "
        f"{results['rounds']} rounds; {results['took_s']} seconds in all."
    )
    yield ""
    yield (
        f"The floor: {floor['c1']['p50_ms']:.2f} ms (p50), {floor['c1']['rps']:.0f} requests a second at "
        f"concurrency 1, {floor['c8']['rps']:.0f} at 8."
    )
    yield ""
    yield "### Budgets"
    yield ""
    yield from rows(
        "promise | measured | may be | ",
        [
            f"{b['promise']} | {b['measured']:.2f} {b['unit']} | "
            f"{'at least' if b['at_least'] else 'at most'} {b['limit']:g} | "
            f"{'met' if b['met'] else '**missed**'}"
            for b in results["budgets"]
        ],
    )
    yield "### Operations"
    yield ""
    yield from rows(
        "operation | state | p50 ms, c 1 | p95 | p99 | p50 ÷ floor | p50 ÷ host | rps, c 8 | rps × host | statements | "
        "CPU ms, server | CPU ms, database",
        list(operation_lines(results)),
    )
    if "stamps" in results:
        yield from stamps(results["stamps"])
    if "addresses" in results:
        yield from addresses(results["addresses"])
    if "servers" in results:
        yield "### Servers"
        yield ""
        yield from rows(
            "server | memory MB | floor ms, c 1 | `v2_score` ms, c 1 | ÷ gunicorn | `v2_score` rps, c 8 | × gunicorn",
            [
                f"{name} | {of['memory_mb']:.0f} | {of['floor']['c1']['p50_ms']:.2f} | "
                f"{of['v2_score']['c1']['p50_ms']:.2f} | {of['v2_score']['c1']['p50_to_gunicorn']:.2f} | "
                f"{of['v2_score']['c8']['rps']:.0f} | "
                f"{of['v2_score']['c8']['rps_to_gunicorn']:.2f}"
                for name, of in results["servers"].items()
            ],
        )
    if "connections" in results:
        yield from connections(results["connections"])
    if "memory" in results:
        memory = results["memory"]
        yield "### Memory and start"
        yield ""
        yield (
            f"After {memory['requests']:,} requests of a mix at concurrency 8 a worker holds "
            f"{memory['resident_mb'][-1]:.0f} MB "
            f"({memory['at_start_mb']:.0f} MB at its start; over the second half of them it grew by "
            f"{memory['growth_mb_last_half']:.1f} MB)."
        )
        yield ""
    if "cold" in results:
        parts = results["cold"]["until_each_is_done_s"]
        yield (
            f"From starting the process to the first scored answer: {results['cold']['seconds']:.2f} s. "
            f"An interpreter of its own takes {parts['interpreter']:.2f} s to start, "
            f"{parts['django']:.2f} with Django's handler imported, "
            f"{parts['setup']:.2f} with Django set up, {parts['application']:.2f} with the application made, "
            f"{parts['urls']:.2f} with every URL and schema; the rest is gunicorn, "
            "its fork, the connection and the request."
        )
        yield ""
    if "functions" in results:
        yield "### Cold starts of Lambda functions"
        yield ""
        yield (
            "A new interpreter with this app in front of a host's Lambda handler (`tests/host` stands for the host), "
            "until its first answer, and the host's own handler imported alone. Seconds, with the files of Python and "
            "of its packages in the file cache and out of it. In a real host: "
            "`python -m scorer_fast.lambda_handler.cold_start`."
        )
        yield ""
        yield from rows(
            "function | file cache | interpreter | Django and host | imports of scorer_fast "
            "| connection, flags, answer | together | the host's handler alone",
            [
                f"{name} | {cache} | {found['interpreter']:.2f} | {found['setup']:.2f} | {found['imports']:.2f} "
                f"| {found['answer']:.2f} | {found['total']:.2f} | {found['interpreter'] + found['host']:.2f}"
                for name, caches in results["functions"].items()
                for cache, found in caches.items()
            ],
        )
    if "profile" in results:
        yield "### CPU of a steady `v2_score`, by step"
        yield ""
        yield from rows(
            "step | CPU ms in the server | CPU ms in the database",
            [f"{name} | {step['here']:.2f} | {step['database']:.2f}" for name, step in results["profile"].items()],
        )


def operation_lines(results: dict[str, Any]) -> Iterator[str]:
    for name, states in results["operations"].items():
        for state, of in states.items():
            one, eight = of["c1"], of["c8"]
            to = results["ratios"][name][state]
            host = f"{to['c1']['p50_to_baseline']:.3f}" if state == "steady" and "p50_to_baseline" in to["c1"] else ""
            times = f"{to['c8']['rps_to_baseline']:.1f}" if state == "steady" and "rps_to_baseline" in to["c8"] else ""
            yield (
                f"`{name}` | {state} | {one['p50_ms']:.2f} | {one['p95_ms']:.2f} | {one['p99_ms']:.2f} | "
                f"{to['c1']['p50_to_floor']:.2f} | {host} | {eight['rps']:.0f} | {times} | {one['statements']} | "
                f"{one['cpu_ms']:.2f} | {one['database_cpu_ms']:.2f}"
            )


def stamps(found: dict[str, Any]) -> Iterator[str]:
    yield "### Stamps of an address"
    yield ""
    yield from rows(
        "stamps | p50 ms | ÷ floor",
        [f"{count} | {p50:.2f} | {found['p50_to_floor'][count]:.2f}" for count, p50 in found["p50_ms"].items()],
    )
    line = found["line_ms"]
    yield (
        f"A straight line: {line['at_none']:.2f} ms and {line['per_stamp'] * 1000:.0f} µs a stamp "
        f"(correlation {found['correlation']:.3f})."
    )
    yield ""


def addresses(found: dict[str, Any]) -> Iterator[str]:
    few, many = found["addresses"]["few"], found["addresses"]["many"]
    yield "### Addresses in the tables"
    yield ""
    yield from rows(
        f"operation | p50 ms, {few:,} addresses | p50 ms, {many:,} | ratio",
        [
            f"`{name}` | {of['few_p50_ms']:.2f} | {of['many_p50_ms']:.2f} | {of['many_to_few']:.2f}"
            for name, of in found["operations"].items()
        ],
    )
    yield "Indexes that were read for one request on the large database, by PostgreSQL's own counts:"
    yield ""
    yield from rows(
        "operation | indexes | large tables read from end to end",
        [
            f"`{name}` | {', '.join(sorted(index_name(used) for used in of['indexes'].values()))} | "
            f"{', '.join(of['read_whole']) or 'none'}"
            for name, of in found["plans"].items()
        ],
    )


def index_name(used: dict[str, str]) -> str:
    return f"{used['table']} {used['definition'].partition('btree ')[2]}"


def connections(found: dict[str, Any]) -> Iterator[str]:
    yield "### Connections"
    yield ""
    yield from rows(
        "way | floor ms, c 1 | `allow_list` ms, c 1 | `v2_score` ms, c 1 | floor rps, c 8 | `v2_score` rps, c 8",
        [
            f"{name} | {of['floor']['c1']['p50_ms']:.2f} | {of['allow_list']['c1']['p50_ms']:.2f} | "
            f"{of['v2_score']['c1']['p50_ms']:.2f} | {of['floor']['c8']['rps']:.0f} | {of['v2_score']['c8']['rps']:.0f}"
            for name, of in found.items()
            if name != "apart_ms"
        ],
    )
    for name, apart in found["apart_ms"].items():
        yield (
            f"Connecting {'directly' if name == 'direct' else f'to {name}'} takes {apart['connect']:.2f} ms, "
            f"a query on a connection that is open {apart['query']:.2f} ms."
        )
    yield ""
