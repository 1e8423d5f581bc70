"""Show who answers each operation, how fast, with how many errors, and what stops it."""

from __future__ import annotations

import json
import os
import time
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand

from scorer_fast.cutover import rollout as rollouts
from scorer_fast.cutover import state as states
from scorer_fast.cutover.state import OperationState, Side, Stands, State
from scorer_fast.models.flags import Mode

from ._changes import NeedsAPerson, folded, members, remedies

HELP = "Show who really answers each operation, how fast, with how many errors, what stops it and why."
RED, YELLOW, GREEN, BOLD, PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[1m", "\x1b[0m"
HEADER = f"{'operation':<22} {'asked':<13} {'answers':<23} {'share':>6} {'req/min':>7} {'err %':>5}  p95 ms fast/host"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("targets", nargs="*", metavar="OP|GROUP", help="these alone, with every rule of the guard")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--watch", action="store_true", help="again every two seconds, until Ctrl-C")
    parser.add_argument("--check", action="store_true", help="exit with 2 when something needs a person")


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    only = [id_ for target in options["targets"] for id_ in members(target)]
    while True:
        with remedies():
            state = states.read(datetime.now(UTC), only)
        if options["json"]:
            text = json.dumps(state.as_dict(), indent=None if options["watch"] else 2)
        else:
            text = ("\x1b[H\x1b[2J" if options["watch"] else "") + page(state, bool(only), _coloured(command, options))
        command.stdout.write(text)
        if not options["watch"]:
            break
        command.stdout.flush()
        try:
            time.sleep(2)
        except KeyboardInterrupt:
            return
    if options["check"] and state.needs:
        raise NeedsAPerson("; ".join(state.needs))


def _coloured(command: BaseCommand, options: dict[str, Any]) -> bool:
    """On a terminal, unless ``NO_COLOR`` is set to anything; Django's own options go before both."""
    if options.get("force_color") or options.get("no_color"):
        return bool(options["force_color"])
    return not os.environ.get("NO_COLOR") and command.stdout.isatty()


def page(state: State, in_full: bool, coloured: bool) -> str:
    """The state as lines of at most 100 characters; ``in_full``: with all that is known."""

    def paint(colour: str, text: str) -> str:
        return f"{colour}{text}{PLAIN}" if coloured else text

    lines = []
    if state.stands is not Stands.BEHIND:
        lines += [paint(BOLD, f"This app stands {state.stands.value}.")]
    for kill in state.kill_switches:
        why = f"killed: {kill.target} since {states.clock(kill.updated_at)} by {kill.updated_by}: {kill.reason}"
        why += " (holds nothing back now: the flags say legacy)" if kill in state.idle_kills else ""
        lines += [paint(RED, line) for line in folded(why)]
    for latch in state.latches:
        why = (
            f"latched: {latch.operation} since {states.clock(latch.created_at)} by {states.latch_said(latch)}, "
            f"window {latch.window}, sample {latch.sample}"
        )
        lines += [paint(RED, line) for line in folded(why)]
    for rollout in state.rollouts:
        lines += [paint(BOLD, line) for line in folded(rollouts.said(rollout, state.at))]
    lines.append(paint(BOLD, HEADER))
    for one in state.operations.values():
        colour = RED if one.needs else GREEN if one.answers in ("fast", "both") else ""
        line = _line(one)
        lines.append(paint(colour, line) if colour else line)
        lines += [paint(RED, part) for need in one.needs for part in folded(f"! {need}", "    ")]
        if in_full:
            lines += [part for text in _details(one) for part in folded(text, "    ")]
    lines += _footer(state, paint)
    return "\n".join(lines)


def _footer(state: State, paint: Any) -> list[str]:
    minutes = int(states.RECENT.total_seconds() // 60)
    about = f"share, requests, errors and p95 of the last {minutes} minutes"
    revision = f"the host's revision: {state.contract} ({state.contract_why})"
    lines = folded(f"{states.clock(state.at)} UTC; {about}; {revision}")
    if not state.needs:
        return [*lines, paint(GREEN, "Nothing needs a person.")]
    count = len(state.needs)
    names = sorted({need.partition(":")[0] for need in state.needs})
    text = f"{count} {'thing needs' if count == 1 else 'things need'} a person: {', '.join(names)}"
    return [*lines, *(paint(RED, line) for line in folded(text))]


def _line(one: OperationState) -> str:
    share = "-" if one.share is None else f"{one.share:.1f}%"
    served = one.fast.served + one.host.served
    errors = f"{100 * (one.fast.errors + one.host.errors - one.fallbacks) / served:.1f}" if served else "-"
    both = f"{_ms(one.fast.p95_ms)} / {_ms(one.host.p95_ms)}" if served else "-"
    return (
        f"{one.operation:<22} {one.asked:<13} {_short(one.who):<23} "
        f"{share:>6} {one.per_minute:>7.1f} {errors:>5}  {both}".rstrip()
    )


def _short(who: str) -> str:
    return who.replace("environment variable ", "").replace('setting SCORER_FAST["KILL"]', "setting KILL")


def _details(one: OperationState) -> list[str]:
    lines = [f"{one.method} {one.path} (group {one.group})"]
    if one.updated_at:
        why = f": {one.reason}" if one.reason else ""
        lines.append(f"since {states.clock(one.updated_at)} by {one.updated_by}{why}")
    if len(one.stopped_by) > 1:
        lines.append(f"stopped by {', '.join(one.stopped_by)}")
    if one.allow or one.deny:
        lines.append(f"lists: {len(one.allow)} allowed, {len(one.deny)} denied")
    for name, side in (("fast", one.fast), ("host", one.host)):
        if side.requests:
            lines.append(f"{name:<5} {_figures(side)}")
        if side.outcomes:
            lines.append("      " + ", ".join(f"{n} {what.replace('_', ' ')}" for what, n in side.outcomes.items()))
    if one.fallbacks:
        lines.append(f"the fast path failed and the host answered: {one.fallbacks}")
    if one.compared:
        lines.append(
            f"{one.consistency:.2f} % of {one.compared} comparisons within the hour agreed"
            f" ({one.deliberate} more differed on purpose, {one.not_compared} were dropped)"
        )
    elif one.mode == Mode.SHADOW:
        lines.append(f"nothing compared within the hour ({one.not_compared} dropped)")
    if one.mismatches:
        lines.append("groups of differences: " + ", ".join(f"{n} {name}" for name, n in one.mismatches.items()))
    if one.guard:
        lines.append(f"guard: {one.guard.verdict} at {states.clock(one.guard.judged_at)}")
        lines += [f"  {rule['name']}, {rule['verdict']}: {states.said(rule)}" for rule in one.guard.rules]
    return lines


def _figures(side: Side) -> str:
    return (
        f"{side.requests} requests, {side.errors} errors ({side.error_percent:.2f} %), "
        f"p50 {_ms(side.p50_ms)}, p95 {_ms(side.p95_ms)}, p99 {_ms(side.p99_ms)} ms"
    )


def _ms(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"
