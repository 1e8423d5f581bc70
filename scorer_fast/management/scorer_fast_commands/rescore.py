"""Score every address of a community anew."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from scorer_fast.scoring import rescore
from scorer_fast.scoring import rescore_queries as runs
from scorer_fast.scoring.rescore import CannotRescore, Step
from scorer_fast.scoring.rescore_queries import RunRow
from scorer_fast.settings import conf

from ._changes import remedies

HELP = (
    "Score every address of a community anew, in batches. A run that was stopped goes on where it was; "
    "several processes and machines may take part in one."
)
SHOWN_FAILURES = 20
SHOWN_RUNS = 5
LOOK_SECONDS = 1.0  # between two looks at how far all processes are
LINE_SECONDS = 5.0  # between two lines where there is no terminal


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--scorer", type=int, required=True, metavar="ID", help="the id of the community")
    parser.add_argument(
        "--only-changed",
        action="store_true",
        help="write nothing for an address whose stamps, weights and threshold leave its score as it is",
    )
    parser.add_argument(
        "--batch", type=int, metavar="N", help='addresses per batch of a new run, instead of "RESCORE_BATCH"'
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=rescore.THREADS,
        metavar="N",
        help=f"batches that this process works on at once ({rescore.THREADS}); 1 keeps the order of the passports",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--status", action="store_true", help="only show how far the newest runs are")
    what.add_argument("--restart", action="store_true", help="end an unfinished run as it is, and begin a new one")


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    scorer_id, size, threads = options["scorer"], options["batch"], options["threads"]
    if size is not None and not 1 <= size <= rescore.MAX_BATCH:
        raise CommandError(f"--batch must be 1 to {rescore.MAX_BATCH}.")
    if threads < 1:
        raise CommandError("--threads must be 1 or more.")
    with remedies():
        try:
            if options["status"]:
                _show_runs(command, scorer_id)
                return
            begun = rescore.begin(
                scorer_id, only_changed=options["only_changed"], size=size, restart=options["restart"]
            )
            ended, own = _work(command, begun, threads)
        except CannotRescore as problem:
            raise CommandError(str(problem)) from problem
        except KeyboardInterrupt:
            raise CommandError("Stopped. The same command goes on where this run stopped.") from None
        command.stdout.write(f"{own:,} addresses by this process")
        _report(command, ended)


def _work(command: BaseCommand, begun: RunRow, threads: int) -> tuple[RunRow, int]:
    """The run as it ended, and how many addresses this process did."""
    progress = Progress(command, begun)
    try:
        return rescore.work(begun, progress.add, threads), progress.own
    finally:
        progress.close()


class Progress:
    """A bar on a terminal, else a line now and then; over all processes of the run."""

    def __init__(self, command: BaseCommand, begun: RunRow) -> None:
        self.own = 0
        self._command = command
        self._run = begun
        self._began, self._done_before = time.monotonic(), begun.done
        self._looked = self._said = self._began
        self._is_terminal = command.stderr.isatty()
        self._bar = tqdm(total=begun.addresses, initial=begun.done, unit=" addresses", disable=not self._is_terminal)
        if not self._is_terminal:
            self._say(begun.done)

    def add(self, step: Step) -> None:
        """Show that a step is done; what others did is looked up now and then."""
        self.own += step.done
        if self._is_terminal:
            self._bar.update(step.done)
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        if self._is_terminal or now - self._said >= LINE_SECONDS:
            current = runs.get_run(conf.database, self._run.id)
            if current is None:
                return
            if self._is_terminal:
                self._bar.update(current.done - self._bar.n)
            else:
                self._said = now
                self._say(current.done)

    def _say(self, done: int) -> None:
        total = self._run.addresses
        share = 100 if not total else done * 100 // total
        seconds = time.monotonic() - self._began
        rate = f", {(done - self._done_before) / seconds:,.0f} a second" if seconds > 1 else ""
        self._command.stdout.write(f"{done:,} of {total:,} addresses ({share} %){rate}")

    def close(self) -> None:
        self._bar.close()


def _report(command: BaseCommand, ended: RunRow) -> None:
    command.stdout.write(_line(ended))
    if ended.abandoned:
        raise CommandError("The run was ended by another one that began anew (--restart).")
    if not ended.failed:
        return
    for failure in runs.list_failures(conf.database, ended.id, SHOWN_FAILURES):
        command.stderr.write(f"{failure.address}: {failure.error}")
    if ended.failed > SHOWN_FAILURES:
        command.stderr.write(f"… and {ended.failed - SHOWN_FAILURES:,} more in scorer_fast_rescorefailure")
    raise CommandError(
        f"{ended.failed:,} of {ended.addresses:,} addresses could not be scored; their scores stayed as they were."
    )


def _show_runs(command: BaseCommand, scorer_id: int) -> None:
    rescore.require_community(scorer_id)
    found = runs.list_runs(conf.database, scorer_id, SHOWN_RUNS)
    if not found:
        command.stdout.write(f"Scorer {scorer_id} was never rescored.")
    for one in found:
        command.stdout.write(_line(one))


def _line(one: RunRow) -> str:
    until = one.finished_at or datetime.now(UTC)
    state = "unfinished" if one.finished_at is None else "ended by --restart" if one.abandoned else "finished"
    return (
        f"Run {one.id} of scorer {one.community_id}{', only changed' if one.only_changed else ''}: {state}; "
        f"{one.done:,} of {one.addresses:,} addresses: {one.scored:,} scored, {one.unchanged:,} unchanged, "
        f"{one.failed:,} failed; began {one.started_at:%Y-%m-%d %H:%M:%S}, "
        f"{(until - one.started_at).total_seconds():,.1f} s"
    )
