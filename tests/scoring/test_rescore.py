"""Bulk rescoring beside others, over what cannot be read, and after having been stopped: each address once."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection, transaction
from pytest_django import Settings

from api.account.models import Community
from api.ceramic_cache.models import CeramicCache
from api.demo_issuer import Claim
from api.registry.models import Event, HashScorerLink, Passport, Score
from api.scorer_weighted.models import BinaryWeightedScorer
from scorer_fast.errors import VerifierDown
from scorer_fast.models import RescoreBatch, RescoreFailure, RescoreRun, VerifiedCredential
from scorer_fast.scoring import rescore, verifier
from scorer_fast.scoring.rescore import CannotRescore, Step
from tests.factories import rows
from tests.factories.scoring import score
from tests.host import world
from tests.races.together import crew

pytestmark = pytest.mark.django_db(transaction=True)

DEADLOCK, NO_CONTENTION = "40P01", "22P02"


def together(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """What each call returned; all begin at once, each with a connection of its own."""
    with crew(len(calls)) as threads:
        return threads.together(calls)


def owner(number: int) -> str:
    return world.address(0xE000 + number)


def people(count: int, *providers: str) -> list[str]:
    """Addresses with stamps of these providers, scored once."""
    owners = [owner(number) for number in range(count)]
    world.give(Claim(address, provider) for address in owners for provider in providers or ("Google", "Github"))
    for address in owners:
        score(address)
    return owners


def run(size: int = 100, **options: Any) -> tuple[RescoreRun, list[Step]]:
    """A whole run: its row, and what each step did."""
    steps: list[Step] = []
    begun = rescore.begin(1, only_changed=options.pop("only_changed", False), size=size, **options)
    ended = rescore.work(begun, steps.append)
    return RescoreRun.objects.get(pk=ended.id), steps


def done(steps: list[Step]) -> list[int]:
    """How many addresses each step did, sorted."""
    return sorted(step.done for step in steps)


def counts(row: RescoreRun) -> tuple[int, int, int, int]:
    return row.addresses, row.scored, row.unchanged, row.failed


def events() -> Counter[str]:
    """Score events by address."""
    return Counter(Event.objects.filter(action="SCU").values_list("address", flat=True))


def raw_score(address: str) -> str:
    return str(Score.objects.get(passport__address=address).evidence["rawScore"])


def elsewhere(act: Callable[[], object]) -> None:
    """Run ``act`` on a connection of its own, and commit."""
    together([act])


def before_writing(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object], times: int = 1) -> list[int]:
    """Let ``act`` happen elsewhere after a batch was read; how many addresses were read each time."""
    sizes: list[int] = []
    read = rescore.read_many

    def read_then_act(*args: Any) -> Any:
        found = read(*args)
        sizes.append(len(found))
        if len(sizes) <= times:
            elsewhere(act)
        return found

    monkeypatch.setattr(rescore, "read_many", read_then_act)
    return sizes


@contextmanager
def refusing(state: str, address: str) -> Iterator[None]:
    """The server refuses to write a score event of that address, with this SQLSTATE."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"IF NEW.address = '{address}' THEN RAISE EXCEPTION 'made to fail' USING ERRCODE = '{state}'; END IF; "
            "RETURN NEW; END $$; CREATE TRIGGER refuse BEFORE INSERT ON registry_event FOR EACH ROW "
            "EXECUTE FUNCTION refuse()"
        )
        try:
            yield
        finally:
            cursor.execute("DROP TRIGGER refuse ON registry_event; DROP FUNCTION refuse()")


# ---- the plain case


def test_new_weights_reach_every_address(one: Community) -> None:
    owners = people(7)
    BinaryWeightedScorer.objects.update(weights={"Google": "30", "Github": "0.5"})
    row, steps = run(size=3)
    assert counts(row) == (7, 7, 0, 0)
    assert done(steps) == [1, 3, 3]
    assert {raw_score(address) for address in owners} == {"30.5"}
    assert set(Score.objects.values_list("score", flat=True)) == {1}
    assert events() == dict.fromkeys(owners, 2)
    assert row.finished_at is not None
    assert not RescoreBatch.objects.exists()


def test_addresses_are_scored_in_the_order_of_their_passports(one: Community) -> None:
    people(6)
    newest = Event.objects.latest("id").pk
    run(size=2)
    passports = list(Passport.objects.order_by("id").values_list("address", flat=True))
    assert list(Event.objects.filter(pk__gt=newest).order_by("id").values_list("address", flat=True)) == passports


def test_other_communities_and_passports_that_are_no_address_are_left_alone(one: Community) -> None:
    owners = people(2)
    other = rows.community(one.account, 2)
    Passport.objects.create(address=owners[0], community=other)
    for address in (None, "0xnot", owners[0] + "00"):
        Passport.objects.create(address=address, community=one)
    assert counts(run()[0]) == (2, 2, 0, 0)
    assert Score.objects.count() == 2


def test_a_community_without_passports_is_done_at_once(one: Community) -> None:
    assert counts(run()[0]) == (0, 0, 0, 0)


def test_signatures_unseen_are_verified_once_and_remembered(one: Community, monkeypatch: pytest.MonkeyPatch) -> None:
    owners = people(4)
    VerifiedCredential.objects.all().delete()
    asked: list[int] = []
    verify = verifier.verify

    def counting(texts: Any, timeout: float) -> list[bool]:
        asked.append(len(texts))
        return verify(texts, timeout)

    monkeypatch.setattr(verifier, "verify", counting)
    run()
    run()
    assert sum(asked) == 8
    assert VerifiedCredential.objects.count() == 8
    assert events() == dict.fromkeys(owners, 3)


def test_a_sample_of_remembered_signatures_is_checked_again(one: Community, settings: Settings) -> None:
    people(3, "Google")
    settings.SCORER_FAST = {**settings.SCORER_FAST, "REVERIFY_ONE_IN": 1}
    VerifiedCredential.objects.all().delete()
    forged = CeramicCache.objects.get(address=owner(1))
    forged.stamp["issuanceDate"] = "2020-01-01T00:00:00.000Z"
    forged.save()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO scorer_fast_verifiedcredential (digest, expires_at, verified_at) "
            "SELECT sha256(convert_to(%s || stamp::text, 'UTF8')), '2099-01-01', now() "
            "FROM ceramic_cache_ceramiccache WHERE id = %s",
            [verifier.VERIFIER, forged.pk],
        )
    run()
    assert [raw_score(owner(number)) for number in range(3)] == ["1.5", "0", "1.5"]
    assert VerifiedCredential.objects.count() == 2


# ---- what cannot be read


def test_an_address_that_cannot_be_scored_stops_nobody_else(one: Community, caplog: pytest.LogCaptureFixture) -> None:
    owners = people(3, "Google")
    world.give([Claim(owners[1], "Github")])
    BinaryWeightedScorer.objects.update(weights={"Google": "2", "Github": "much"})
    before = Score.objects.get(passport__address=owners[1])
    row, _ = run()
    assert counts(row) == (3, 2, 0, 1)
    assert [raw_score(address) for address in owners] == ["2", "1.5", "2"]
    assert Score.objects.get(pk=before.pk).last_score_timestamp == before.last_score_timestamp
    failure = RescoreFailure.objects.get()
    assert (failure.address, failure.run_id) == (owners[1], row.pk)
    assert failure.error.startswith("InvalidOperation")
    assert [(r.name, r.address, r.scorer_id) for r in caplog.records if r.levelname == "ERROR"] == [  # type: ignore[attr-defined]
        ("scorer_fast.rescore", owners[1], 1)
    ]


def set_infinity(table: str, column: str, owner: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {column} = 'infinity' WHERE {owner}")


def test_a_row_that_cannot_be_read_costs_its_own_address_alone(one: Community) -> None:
    owners = people(4, "Google")
    set_infinity("registry_hashscorerlink", "expires_at", f"address = '{owners[2]}'")
    row, steps = run()
    assert counts(row) == (4, 3, 0, 1)
    assert sum(step.done for step in steps) == 4
    assert RescoreFailure.objects.get().address == owners[2]


def test_a_time_that_no_driver_can_read_is_written_over(one: Community) -> None:
    """When a score was last written is compared by PostgreSQL alone."""
    owners = people(4, "Google")
    passport = f"(SELECT id FROM registry_passport WHERE address = '{owners[2]}')"
    set_infinity("registry_score", "last_score_timestamp", f"passport_id = {passport}")
    row, _ = run()
    assert counts(row) == (4, 4, 0, 0)
    assert not Score.objects.extra(where=["last_score_timestamp = 'infinity'"]).exists()


def test_a_write_the_server_refuses_costs_its_own_address_alone(one: Community) -> None:
    owners = people(3)
    with refusing(NO_CONTENTION, owners[1]):
        row, steps = run()
    assert counts(row) == (3, 2, 0, 1)
    assert done(steps) == [3]
    assert RescoreFailure.objects.get().error == f"{NO_CONTENTION}: made to fail"
    assert events() == {owners[0]: 2, owners[1]: 1, owners[2]: 2}


# ---- others at work


def test_stamps_posted_between_read_and_write_win(one: Community, monkeypatch: pytest.MonkeyPatch) -> None:
    owners = people(3, "Google")

    def post() -> None:
        world.give([Claim(owners[1], "Ens")])
        score(owners[1])

    sizes = before_writing(monkeypatch, post)
    row, steps = run()
    assert counts(row) == (3, 3, 0, 0)
    assert (sizes, done(steps)) == ([3, 1], [3])
    assert [raw_score(address) for address in owners] == ["1.5", "14.0", "1.5"]
    assert events() == {owners[0]: 2, owners[1]: 3, owners[2]: 2}


def test_a_stamp_deleted_without_a_new_score_is_seen_too(one: Community, monkeypatch: pytest.MonkeyPatch) -> None:
    owners = people(2, "Google")
    gone = CeramicCache.objects.filter(address=owners[0])
    before_writing(monkeypatch, lambda: gone.update(deleted_at=datetime.now(UTC)))
    _, steps = run()
    assert done(steps) == [2]
    assert [raw_score(address) for address in owners] == ["0", "1.5"]


def test_a_lost_claim_is_read_again(one: Community, monkeypatch: pytest.MonkeyPatch) -> None:
    owners = people(2, "Google")
    wanted = f"v0.0.0:Google:{owners[0]}"
    HashScorerLink.objects.filter(hash=wanted).delete()
    sizes = before_writing(monkeypatch, lambda: rows.link(wanted, rows.RIVAL))
    row, steps = run()
    assert (sizes, [step.done for step in steps]) == ([2, 1], [2])
    assert counts(row) == (2, 2, 0, 0)
    assert HashScorerLink.objects.get(hash=wanted).address == rows.RIVAL
    assert [raw_score(address) for address in owners] == ["0", "1.5"]


def test_claims_lost_again_and_again_end(one: Community, monkeypatch: pytest.MonkeyPatch) -> None:
    owners = people(2, "Google")
    wanted = f"v0.0.0:Google:{owners[0]}"
    others = iter([rows.RIVAL, None, rows.RIVAL])

    def come_and_go() -> None:
        HashScorerLink.objects.filter(hash=wanted).delete()
        if (other := next(others)) is not None:
            rows.link(wanted, other)
        else:
            rows.link(wanted, rows.RIVAL, rows.PAST)

    HashScorerLink.objects.filter(hash=wanted).delete()
    before_writing(monkeypatch, come_and_go, times=3)
    row, steps = run()
    assert counts(row) == (2, 2, 0, 0)
    assert HashScorerLink.objects.filter(hash=wanted).count() == 1
    assert raw_score(owners[0]) == "0"
    assert sum(step.done for step in steps) == 2


def test_who_is_being_scored_is_scored_later(one: Community, monkeypatch: pytest.MonkeyPatch) -> None:
    owners = people(3, "Google")
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Passport.objects.select_for_update(no_key=True).get(address=owners[1])
            held.set()
            assert release.wait(30)

    def rescore_them() -> list[Step]:
        assert held.wait(30)
        steps: list[Step] = []

        def report(step: Step) -> None:
            steps.append(step)
            release.set()  # the batch is through: only then is the third one free

        rescore.work(rescore.begin(1, only_changed=False), report)
        return steps

    _, steps = together([hold, rescore_them])
    assert steps is not None
    assert done(steps)[-2:] == [1, 2]
    assert events() == dict.fromkeys(owners, 2)


def test_an_address_that_stays_busy_is_given_up(one: Community, monkeypatch: pytest.MonkeyPatch) -> None:
    owners = people(2)
    monkeypatch.setattr(rescore, "TRIES", 2)
    with refusing(DEADLOCK, owners[0]):
        row, steps = run()
    assert counts(row) == (2, 1, 0, 1)
    assert done(steps) == [1, 1]
    assert RescoreFailure.objects.get().error == f"{DEADLOCK}: made to fail"


def test_two_at_once_share_the_work(one: Community) -> None:
    owners = people(30, "Google")
    begun = rescore.begin(1, only_changed=False, size=2)

    def work() -> int:
        steps: list[Step] = []

        def report(step: Step) -> None:
            steps.append(step)
            time.sleep(0.01)

        rescore.work(begun, report)
        return sum(step.done for step in steps)

    shares = together([work, work])
    assert sum(shares) == 30
    assert min(shares) > 0
    assert events() == dict.fromkeys(owners, 2)


def test_every_address_ends_with_the_score_of_its_final_stamps(one: Community) -> None:
    owners = people(12, "Google")
    stop = threading.Event()
    later = {address: world.give([Claim(address, "Ens")])[0].stamp for address in owners}
    CeramicCache.objects.filter(provider="Ens").delete()

    def traffic(mine: list[str]) -> None:
        """Posts and removals of a stamp, each followed by a score, until the rescoring is over."""
        while not stop.is_set():
            for address in mine:
                row = rows.stored(address, "Ens", later[address])
                score(address)
                CeramicCache.objects.filter(pk=row.pk).update(
                    deleted_at=datetime.now(UTC), updated_at=datetime.now(UTC)
                )
                score(address)

    def rescoring() -> None:
        try:
            for _ in range(6):
                rescore.work(rescore.begin(1, only_changed=False, size=6), lambda step: None)
        finally:
            stop.set()

    together([rescoring, lambda: traffic(owners[:4]), lambda: traffic(owners[4:8])])
    assert {raw_score(address) for address in owners} == {"1.5"}
    assert set(RescoreRun.objects.values_list("scored", "failed")) == {(12, 0)}
    for stored in Score.objects.all():
        assert list(stored.stamps) == ["Google"]


def test_addresses_of_one_batch_that_compete_are_scored_in_order(one: Community) -> None:
    owners = [owner(number) for number in range(3)]
    for address in owners:
        rows.stamps(address, "Google", nullifiers=["v0.0.0:shared"])
        Passport.objects.create(address=address, community=one)
    row, _ = run()
    assert counts(row) == (3, 3, 0, 0)
    assert HashScorerLink.objects.get().address == owners[0]
    counting = {s.passport.address: s.stamps["Google"]["dedup"] for s in Score.objects.select_related("passport")}
    assert counting == {owners[0]: False, owners[1]: True, owners[2]: True}


def committed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """How the batches of a run were committed."""
    found: set[str] = set()
    record = rescore.queries.record_batch

    def recorded(*args: Any, **named: Any) -> None:
        record(*args, **named)
        with connection.cursor() as cursor:
            cursor.execute("SHOW synchronous_commit")
            found.add(cursor.fetchone()[0])

    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit TO on")
    with monkeypatch.context() as recording:
        recording.setattr(rescore.queries, "record_batch", recorded)
        run()
    return found


def test_a_batch_is_not_waited_for_on_disk(one: Community, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """A crash of the server takes the last second's batches with the note that they are done."""
    people(2)
    assert committed(monkeypatch) == {"off"}
    settings.SCORER_FAST = {**settings.SCORER_FAST, "AWAIT_RESCORES": True}
    assert committed(monkeypatch) == {"on"}


# ---- stopped


def test_a_run_that_was_stopped_goes_on_where_it_was(one: Community, monkeypatch: pytest.MonkeyPatch) -> None:
    owners = people(6)
    begun = rescore.begin(1, only_changed=False, size=2)

    def stop_after_two(step: Step) -> None:
        if sum(events().values()) >= 6 + 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rescore.work(begun, stop_after_two)
    row, steps = run(size=5)
    assert (row.pk, [step.done for step in steps]) == (begun.id, [2])
    assert counts(row) == (6, 6, 0, 0)
    assert events() == dict.fromkeys(owners, 2)


@pytest.fixture
def lost_connection() -> Iterator[None]:
    yield
    connection.close()


def test_a_lost_connection_ends_the_run_and_nothing_is_half_written(
    one: Community, monkeypatch: pytest.MonkeyPatch, lost_connection: None
) -> None:
    owners = people(4)
    begun = rescore.begin(1, only_changed=False, size=2)
    write = rescore.write_batch

    def lost(*args: Any) -> Any:
        written = write(*args)
        pid = connection.connection.info.backend_pid
        elsewhere(lambda: connection.cursor().execute("SELECT pg_terminate_backend(%s)", [pid]))
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(10)")
        return written

    with monkeypatch.context() as losing:
        losing.setattr(rescore, "write_batch", lost)
        with pytest.raises(CannotRescore, match="goes on where this run stopped"):
            rescore.work(begun, lambda step: None)
    connection.close()
    assert events() == dict.fromkeys(owners, 1)
    assert counts(run()[0]) == (4, 4, 0, 0)
    assert events() == dict.fromkeys(owners, 2)


def test_without_didkit_the_run_stops(one: Community, monkeypatch: pytest.MonkeyPatch) -> None:
    people(2)
    VerifiedCredential.objects.all().delete()

    def down(texts: Any, timeout: float) -> list[bool]:
        raise VerifierDown("didkit gave no answer")

    monkeypatch.setattr(verifier, "verify", down)
    with pytest.raises(CannotRescore, match="didkit gave no answer"):
        run()
    monkeypatch.undo()
    assert counts(run()[0]) == (2, 2, 0, 0)


def test_an_unfinished_run_is_gone_on_with_as_it_began_or_replaced(one: Community) -> None:
    people(2)
    begun = rescore.begin(1, only_changed=True)
    assert rescore.begin(1, only_changed=True).id == begun.id
    with pytest.raises(CannotRescore, match="with --only-changed"):
        rescore.begin(1, only_changed=False)
    replaced = rescore.begin(1, only_changed=False, restart=True)
    old = RescoreRun.objects.get(pk=begun.id)
    assert replaced.id != begun.id
    assert (old.abandoned, old.finished_at is None) == (True, False)
    assert rescore.work(begun, lambda step: None).abandoned
    assert counts(run()[0]) == (2, 2, 0, 0)


def test_two_that_begin_at_once_begin_one_run(one: Community) -> None:
    people(3)
    begun = together([lambda: rescore.begin(1, only_changed=False).id] * 4)
    assert len(set(begun)) == 1
    assert RescoreRun.objects.count() == 1


@pytest.mark.parametrize("scorer", [99, -1, 2**70])
def test_there_must_be_such_a_scorer(one: Community, scorer: int) -> None:
    with pytest.raises(CannotRescore, match="no scorer"):
        rescore.begin(scorer, only_changed=False)


def test_a_scorer_without_weights_is_refused(one: Community) -> None:
    BinaryWeightedScorer.objects.get().delete(keep_parents=True)
    with pytest.raises(CannotRescore, match="weights and a threshold"):
        rescore.begin(1, only_changed=False)


# ---- the throttle


def test_the_throttle_holds_a_process_to_its_rate(one: Community, settings: Settings) -> None:
    people(12, "Google")
    settings.SCORER_FAST = {**settings.SCORER_FAST, "RESCORE_ADDRESSES_PER_SECOND": 20.0, "RESCORE_BATCH": 3}
    started = time.monotonic()
    assert counts(run(size=None)[0]) == (12, 12, 0, 0)  # type: ignore[arg-type]
    assert time.monotonic() - started >= 12 / 20


def test_a_throttled_batch_holds_a_second_s_worth_at_most(one: Community, settings: Settings) -> None:
    people(5, "Google")
    settings.SCORER_FAST = {**settings.SCORER_FAST, "RESCORE_ADDRESSES_PER_SECOND": 2.0}
    rescore.begin(1, only_changed=False)
    assert [len(batch.passport_ids) for batch in RescoreBatch.objects.order_by("number")] == [2, 2, 1]


def test_lost_time_is_not_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, slept = [0.0], []

    def sleep(seconds: float) -> None:
        slept.append(round(seconds, 6))
        clock[0] += seconds

    monkeypatch.setattr(rescore.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(rescore.time, "sleep", sleep)
    due = rescore._paced(0.0, 50, 100)
    clock[0] += 10.0
    due = rescore._paced(due, 50, 100)
    rescore._paced(due, 50, 100)
    assert slept == [0.5, 0.0, 0.5]


# ---- threads of one process


def test_threads_share_a_run(one: Community) -> None:
    owners = people(12, "Google")
    who: set[str] = set()
    steps: list[Step] = []

    def report(step: Step) -> None:
        who.add(threading.current_thread().name)
        steps.append(step)
        time.sleep(0.05)  # so that no thread does all of it

    ended = rescore.work(rescore.begin(1, only_changed=False, size=2), report, 3)
    assert ended.finished_at is not None
    assert sum(step.done for step in steps) == 12
    assert len(who) > 1
    assert threading.current_thread().name not in who
    assert events() == dict.fromkeys(owners, 2)


def test_inside_a_transaction_there_is_one_thread(one: Community) -> None:
    people(2, "Google")
    who: list[str] = []
    with transaction.atomic():
        rescore.work(
            rescore.begin(1, only_changed=False, size=1),
            lambda step: who.append(threading.current_thread().name), 3,
        )  # fmt: skip
    assert set(who) == {threading.current_thread().name}


def test_what_stops_one_thread_stops_all_of_them(one: Community) -> None:
    owners = people(20, "Google")
    begun = rescore.begin(1, only_changed=False, size=1)

    def stop(step: Step) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rescore.work(begun, stop, 2)
    assert RescoreRun.objects.get().finished_at is None
    assert sum(events().values()) < 40, "not all of it was done"
    assert rescore.work(begun, lambda step: None, 2).finished_at is not None
    assert events() == dict.fromkeys(owners, 2)


def test_threads_share_the_rate(one: Community, settings: Settings) -> None:
    people(6, "Google")
    settings.SCORER_FAST = {**settings.SCORER_FAST, "RESCORE_ADDRESSES_PER_SECOND": 10}
    started = time.monotonic()
    rescore.work(rescore.begin(1, only_changed=False, size=1), lambda step: None, 2)
    assert time.monotonic() - started >= 0.4, "six at ten a second"
