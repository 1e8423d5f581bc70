"""In front of Django under ASGI: what is one too many is told so before anything is done for it."""

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from pytest_django import Settings

from scorer_fast import outages
from scorer_fast.http.door import door


class Server:
    """What an ASGI server does with an application, without its sockets."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.let = asyncio.Event()
        self.application = door(self.django)

    async def django(self, scope: Any, receive: Any, send: Any) -> None:
        self.begun.append(scope.get("path", scope["type"]))
        await self.let.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"well"})

    async def ask(self, path: str = "/v2/", kind: str = "http") -> tuple[int, dict[str, str], bytes]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        await self.application({"type": kind, "path": path}, asyncio.Event().wait, send)  # type: ignore[arg-type]
        start, body = sent
        return start["status"], {name.decode(): value.decode() for name, value in start["headers"]}, body["body"]

    async def asked(self, *paths: str) -> list[asyncio.Task[Any]]:
        tasks = [asyncio.create_task(self.ask(path)) for path in paths]
        await asyncio.sleep(0)
        return tasks


@pytest.fixture(autouse=True)
def three(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.SCORER_FAST = {"MAX_IN_PROGRESS": 3, "BACKGROUND": False}
    monkeypatch.setattr(outages, "_said", {})


def running(test: Callable[[Server], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        await test(Server())

    asyncio.run(run())


def test_who_is_one_too_many_is_told_so_at_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)

    async def test(server: Server) -> None:
        inside = await server.asked(*["/v2/"] * 3)
        for _ in range(4):
            status, headers, body = await server.ask()
            assert (status, json.loads(body)) == (503, {"detail": "The service has too much to do. Try again."})
            assert 1 <= int(headers["retry-after"]) <= 5
            assert int(headers["content-length"]) == len(body)
            assert headers["content-type"].startswith("application/json")
        assert len(server.begun) == 3
        server.let.set()
        assert [status for status, _, _ in await asyncio.gather(*inside)] == [200] * 3
        assert (await server.ask())[0] == 200, "there is room again"

    running(test)
    assert [record.message for record in caplog.records] == ["asgi: 503: overload: 3 requests are in progress"]


def test_health_is_answered_whatever_is_in_progress() -> None:
    async def test(server: Server) -> None:
        await server.asked("/", "/", "/", "/", "/scorer-fast/health", "/scorer-fast/ready")
        assert server.begun == ["/", "/", "/", "/scorer-fast/health", "/scorer-fast/ready"]

    running(test)


def test_what_is_no_request_passes() -> None:
    async def test(server: Server) -> None:
        await server.asked("/", "/", "/")
        lifespan = asyncio.create_task(server.ask(kind="lifespan"))
        await asyncio.sleep(0)
        assert len(server.begun) == 4
        lifespan.cancel()

    running(test)


def test_a_client_that_goes_away_makes_room() -> None:
    async def test(server: Server) -> None:
        gone = await server.asked(*["/v2/"] * 3)
        for task in gone:
            task.cancel()
        await asyncio.gather(*gone, return_exceptions=True)
        server.let.set()
        assert (await server.ask())[0] == 200

    running(test)


def test_no_bound_is_none(settings: Settings) -> None:
    settings.SCORER_FAST = {"MAX_IN_PROGRESS": 0, "BACKGROUND": False}

    async def test(server: Server) -> None:
        await server.asked(*["/v2/"] * 99)
        assert len(server.begun) == 99

    running(test)
