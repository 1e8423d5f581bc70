"""didkit in this process: whole batches without an event loop, and never waited for without end."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from typing import Any

import didkit
import pytest

from api.demo_issuer import Claim, sign_credential, sign_credentials
from scorer_fast.errors import VerifierDown
from scorer_fast.scoring import verifier_local as verifier
from tests.factories.rows import OWNER

GOOD = [json.dumps(stamp) for stamp in sign_credentials(Claim(OWNER, f"P{number}") for number in range(3))]
BAD = [
    json.dumps(json.loads(GOOD[0]) | {"issuer": "did:ethr:0x" + "0" * 40}),
    json.dumps(json.loads(GOOD[0]) | {"expirationDate": "2098-01-01T00:00:00Z"}),
    "{}",
    "null",
    "[]",
    "",
    "{",
    '{"proof": 5}',
    "x" * 100_000,
]


def test_a_batch_is_answered_in_its_order() -> None:
    assert verifier.verify([*GOOD, *BAD, *GOOD], 20) == [True] * 3 + [False] * len(BAD) + [True] * 3
    assert verifier.verify([], 0) == []


@pytest.mark.parametrize("proof", ["eip712", "ed25519"])
@pytest.mark.parametrize("change", [None, "provider", "nullifiers", "id"])
def test_both_formats_of_a_proof_and_every_change(proof: Any, change: str | None) -> None:
    credential = sign_credential(OWNER, "Google", proof=proof)
    if change is not None:
        credential["credentialSubject"][change] = ["other"] if change == "nullifiers" else "did:x:other"
    assert verifier.verify([json.dumps(credential)], 20) == [change is None]


def test_whoever_asks_is_answered_without_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    verify = didkit.verify_credential

    def spying(text: str, options: str) -> Any:
        seen.append((threading.get_ident(), options))
        return verify(text, options)

    monkeypatch.setattr(didkit, "verify_credential", spying)
    answers: list[list[bool]] = []
    askers: list[int] = []

    def ask() -> None:
        askers.append(threading.get_ident())
        answers.append(verifier.verify([*GOOD, *BAD], 20))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [[True] * len(GOOD) + [False] * len(BAD)] * 8
    assert {thread for thread, _ in seen} == set(askers)
    assert {options for _, options in seen} == {'{"proofPurpose":"assertionMethod"}'}


def test_a_loop_that_runs_goes_on_running() -> None:
    async def ask() -> list[bool]:
        before = asyncio.get_running_loop()
        answers = verifier.verify([GOOD[0], "{}"], 20)
        assert asyncio.get_running_loop() is before
        await asyncio.sleep(0)
        return answers

    assert asyncio.run(ask()) == [True, False]
    assert verifier.verify(GOOD, 20) == [True] * 3
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


@pytest.fixture(autouse=True)
def none_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the questions that other tests left unanswered."""
    monkeypatch.setattr(verifier, "_under_way", set())


@pytest.fixture
def futures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Those that didkit was given to complete; it completes none."""
    given: list[Any] = []

    def asked(text: str, options: str) -> Any:
        given.append(asyncio.get_running_loop().create_future())
        return given[-1]

    monkeypatch.setattr(didkit, "verify_credential", asked)
    return given


def test_who_waits_is_woken_by_the_last_answer(futures: list[Any]) -> None:
    """In whatever order they come."""
    question = verifier.start(["a", "b", "c", "d"])
    futures[2].set_result('{"errors": []}')
    futures[0].set_exception(ValueError("unreadable"))
    futures[3].set_result('{"errors": ["No applicable proof"]}')
    with pytest.raises(VerifierDown):
        question.wait(0.01)
    futures[1].set_result("not what was promised")
    assert question.wait(0) == [False, False, True, False]


def test_a_didkit_in_python_is_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    """As hosts' tests have one; beside answers that come at once, too."""
    verify = didkit.verify_credential

    async def mocked(text: str, options: str) -> str:
        await asyncio.sleep(0.01)
        if text == "raise":
            raise ValueError(text)
        return await verify(text, options)

    monkeypatch.setattr(didkit, "verify_credential", mocked)
    assert verifier.verify([*GOOD, "raise", *BAD], 20) == [True] * 3 + [False] * (1 + len(BAD))
    monkeypatch.setattr(
        didkit, "verify_credential", lambda text, options: (mocked if text == GOOD[0] else verify)(text, options)
    )
    assert verifier.verify([*GOOD, "{}"], 20) == [True] * 3 + [False]


def test_a_didkit_that_wants_more_of_a_loop_is_no_bad_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(text: str, options: str) -> Any:
        return asyncio.get_running_loop().call_later(1, print)

    monkeypatch.setattr(didkit, "verify_credential", asked)
    with pytest.raises(AttributeError, match="call_later"):
        verifier.verify(GOOD, 20)
    assert not verifier._under_way
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


def test_a_batch_that_takes_too_long(futures: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    started = time.monotonic()
    with pytest.raises(VerifierDown, match=r"within 0\.05 seconds"):
        verifier.verify(GOOD, 0.05)
    assert time.monotonic() - started < 5
    assert [future.cancelled() for future in futures] == [True] * 3, "so that didkit drops what it finds"
    assert not verifier._under_way
    monkeypatch.undo()
    assert verifier.verify(GOOD, 20) == [True] * 3


ENDING = """
import json, sys
from scorer_fast.scoring import verifier_local
assert verifier_local.start(json.loads(sys.argv[1]) * 20)
"""


def test_a_process_may_end_while_a_question_is_under_way() -> None:
    for _ in range(3):
        arguments = [sys.executable, "-c", ENDING, json.dumps(GOOD)]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
        assert (done.returncode, done.stderr) == (0, "")
