"""Two servers asked the same: what is sent, what is printed, and how it ends."""

import gzip
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from api.demo_issuer import Claim, sign_credentials
from scorer_fast.cutover import curl, flags
from scorer_fast.cutover.deliberate import RecordedRequest
from scorer_fast.cutover.redact import REDACTED, Redactor
from tests.host import world

ADDRESS = "0x" + "a" * 40
V2 = f"/v2/stamps/1/score/{ADDRESS}"


class Asked(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Server:
    """A server that answers every request with one status and body, and remembers what it was asked."""

    def __init__(self, answer: Callable[[Asked], tuple[int, Any]], *, closes: bool = False) -> None:
        asked: list[Asked] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                one = Asked(self.command, self.path, dict(self.headers.items()), body)
                asked.append(one)
                status, content = answer(one)
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
                # Closed without a word, as servers do with a kept connection that was idle.
                self.close_connection = closes

            do_GET = do_POST = do_PATCH = do_DELETE = handle_any

            def log_message(self, *_: object) -> None:
                pass

        self.asked = asked
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


Serve = Callable[..., Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[Server] = []

    def start(status: int = 200, body: Any = None, **options: Any) -> Server:
        answer = body if callable(body) else lambda asked: (status, {} if body is None else body)
        servers.append(Server(answer, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def run(control: Server | str, candidate: Server | str, *arguments: str) -> tuple[str, str | None]:
    """What the command prints, and what it fails with."""
    out = StringIO()
    urls = [server if isinstance(server, str) else server.url for server in (control, candidate)]
    try:
        call_command("scorer_fast", "compare", "--control", urls[0], "--candidate", urls[1], *arguments, stdout=out)
    except CommandError as error:
        return out.getvalue(), str(error)
    return out.getvalue(), None


@pytest.fixture
def requests(tmp_path: Path) -> Callable[..., str]:
    """A file of lines."""

    def write(*lines: str) -> str:
        file = tmp_path / "requests.txt"
        file.write_text("\n".join(lines))
        return str(file)

    return write


LINE = json.dumps({"method": "GET", "path": V2, "headers": {"X-API-Key": "prefix.secretsecretsecret"}})


def test_the_same_requests_go_to_both(serve: Serve, requests: Callable[..., str]) -> None:
    one, other = serve(), serve()
    post = json.dumps({"method": "POST", "path": "/internal/check-bans?x=1", "json": [1], "headers": {"A": "b"}})
    printed, failure = run(one, other, "--requests", requests("# a comment", "", LINE, post))
    assert failure is None
    assert printed.startswith("2 requests in ")
    assert ": 0 differ, 0 on purpose\ncontrol:   2 with 200\n" in printed
    for server in (one, other):
        get, sent = server.asked
        assert (get.method, get.path, get.body) == ("GET", V2, b"")
        assert get.headers["X-API-Key"] == "prefix.secretsecretsecret"
        assert (sent.method, sent.path, sent.body) == ("POST", "/internal/check-bans?x=1", b"[1]")
        assert sent.headers["A"] == "b"


def test_differences_are_printed_and_fail(serve: Serve, requests: Callable[..., str]) -> None:
    one = serve(body={"score": "1.00000", "stamps": {"Google": {"dedup": False}}})
    other = serve(body={"score": "2.00000", "stamps": {"Google": {"dedup": True}}})
    printed, failure = run(one, other, "--requests", requests(LINE))
    assert failure == "The servers differ."
    assert printed.splitlines()[:3] == [
        f"GET {V2}: 200 and 200",
        '    body.score value: "1.00000" and "2.00000"',
        "    body.stamps.*.dedup value: false and true",
    ]


def test_for_programs_and_without_secrets(serve: Serve, requests: Callable[..., str]) -> None:
    one = serve(body={"echo": "prefix.secretsecretsecret"})
    printed, failure = run(one, serve(404), "--requests", requests(LINE), "--json")
    assert failure == "The servers differ."
    result = json.loads(printed)
    assert (result["requests"], result["different"], result["deliberate"]) == (1, 1, 0)
    assert result["results"] == [
        {
            "name": "",
            "operation": "v2_score",
            "method": "GET",
            "path": V2,
            "control": 200,
            "candidate": 404,
            "differences": [{"path": "status", "kind": "value", "control": 200, "candidate": 404}],
            "deliberate": [],
        }
    ]
    printed, _ = run(one, serve(body={"echo": "x"}), "--requests", requests(LINE))
    assert "secretsecret" not in printed


def test_what_differs_on_purpose_fails_only_if_asked_to(serve: Serve, requests: Callable[..., str]) -> None:
    line = json.dumps({"path": "/internal/embed/weights?community_id=abc"})
    arguments = (serve(500, b"<h1>oops</h1>"), serve(404, {"detail": "Not Found"}), "--requests", requests(line))
    printed, failure = run(*arguments)
    assert failure is None
    assert "    status value: 500 and 404  (deliberate: weights_of_no_community)" in printed
    assert "0 differ, 1 on purpose" in printed
    assert run(*arguments, "--strict")[1] == "The servers differ."


def test_headers_can_be_given_for_all_requests(serve: Serve, requests: Callable[..., str]) -> None:
    one = serve()
    assert (
        run(one, serve(), "--requests", requests(LINE), "--header", "x-api-key: another", "--header", "B: c")[1] is None
    )
    sent = {name.lower(): value for name, value in one.asked[0].headers.items()}
    assert (sent["x-api-key"], sent["b"]) == ("another", "c")


def test_recorded_cases_are_sent_step_by_step(serve: Serve, tmp_path: Path) -> None:
    steps = [
        {"method": "POST", "path": "/internal/check-bans", "headers": {"Authorization": "t"}, "json": [{"a": 1}]},
        {"method": "POST", "path": "/internal/check-bans", "headers": {}, "raw": "{not json"},
    ]
    (tmp_path / "a.json").write_text(json.dumps({"name": "a", "steps": steps}))
    legacy = {
        "name": "expired",
        "legacy": {},
        "steps": [{"method": "GET", "path": V2, "headers": {"X-API-Key": "k.s"}}],
    }
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(json.dumps(legacy).encode()))

    def candidate(asked: Asked) -> tuple[int, Any]:
        return (401, {"detail": "Invalid API Key."}) if asked.method == "GET" else (200, {})

    one = serve()
    printed, failure = run(one, serve(body=candidate), "--cases", str(tmp_path))
    assert failure is None
    assert "expired: GET" in printed
    assert "(deliberate: key_expired)" in printed
    assert [asked.body for asked in one.asked] == [b'[{"a": 1}]', b"{not json", b""]
    assert one.asked[1].headers["Content-Type"] == "application/json"


def test_ids_differ_between_two_databases_and_moments_between_two_answers(
    serve: Serve, requests: Callable[..., str]
) -> None:
    from datetime import UTC, datetime

    def body(id_: int) -> Callable[[Asked], tuple[int, Any]]:
        stamp = {"id": id_, "address": ADDRESS, "provider": "Google", "stamp": {}}
        return lambda asked: (
            200,
            {"stamps": [stamp], "score": {"last_score_timestamp": datetime.now(UTC).isoformat()}},
        )

    line = json.dumps({"path": f"/internal/embed/score/1/{ADDRESS}"})
    assert run(serve(body=body(1)), serve(body=body(2)), "--requests", requests(line))[1] is None


def test_a_connection_that_was_closed_is_opened_again(serve: Serve, requests: Callable[..., str]) -> None:
    one = serve(closes=True)
    assert run(one, serve(), "--requests", requests(*[LINE] * 4))[1] is None
    assert len(one.asked) == 4


def test_a_path_before_the_operations_is_kept(serve: Serve, requests: Callable[..., str]) -> None:
    one = serve()
    run(one.url + "/api/", serve(), "--requests", requests(LINE))
    assert one.asked[0].path == "/api" + V2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--requests", "/nowhere/requests"), "/nowhere/requests cannot be read: No such file or directory."),
        (("--cases", "/nowhere"), "/nowhere holds no case (*.json, *.json.gz)."),
    ],
)
def test_what_cannot_be_read_is_named(serve: Serve, arguments: tuple[str, ...], message: str) -> None:
    assert run(serve(), serve(), *arguments) == ("", message)


def test_lines_that_are_no_request_are_named(serve: Serve, requests: Callable[..., str], tmp_path: Path) -> None:
    _, failure = run(serve(), serve(), "--requests", requests("", "{broken"))
    assert failure is not None
    assert "line 2 is no request" in failure
    assert run(serve(), serve(), "--requests", requests("# nothing"))[1] == "There is no request to send."
    (tmp_path / "x.json").write_text("[]")
    assert run(serve(), serve(), "--cases", str(tmp_path))[1] == f"{tmp_path / 'x.json'} is no recorded case."
    assert "is no header" in (run(serve(), serve(), "--requests", requests(LINE), "--header", "nocolon")[1] or "")


def test_a_server_that_does_not_answer_is_named(serve: Serve, requests: Callable[..., str]) -> None:
    gone = serve()
    gone.close()
    _, failure = run(serve(), gone.url, "--requests", requests(LINE))
    assert failure is not None
    assert failure.startswith("--candidate: no answer (ConnectionRefusedError")
    assert run("localhost", serve(), "--requests", requests(LINE))[1] == (
        "--control must be a URL like http://localhost:8000."
    )


def test_curl_lines_are_requests_with_secrets_from_the_environment(
    serve: Serve, requests: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("X_API_KEY", "from-the-environment")
    one = serve()
    line = f"""curl -X GET 'http://other:1234{V2}?a=1' -H "X-API-Key: $X_API_KEY" -H 'B: c d' """
    assert (
        run(one, serve(), "--requests", requests(line, "curl -d '{\"a\": 1}' http://x/internal/check-bans"))[1] is None
    )
    assert one.asked[0].path == V2 + "?a=1"
    assert one.asked[0].headers["X-API-Key"] == "from-the-environment"
    assert one.asked[0].headers["B"] == "c d"
    assert (one.asked[1].method, one.asked[1].body) == ("POST", b'{"a": 1}')


@given(
    st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3),
    st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), max_size=20),
)
def test_a_curl_line_says_the_request_that_it_was_made_of(body: dict[str, str], value: str) -> None:
    """Whatever quotes and blanks are in it."""
    recorded = RecordedRequest(
        "POST", "/internal/check-bans?x='%20&y=%22", {"B": value.strip(), "Host": "x"}, json.dumps(body).encode()
    )
    redactor = Redactor()
    redacted = {
        "method": "POST",
        "path": recorded.path,
        "headers": dict(recorded.headers),
        "body": redactor.body(recorded.body),
    }
    if "$" in value or "\\" in value:
        return
    (parsed,) = curl.parse([curl.line(redacted, "http://localhost:8000/")])
    assert (parsed.method, parsed.path) == ("POST", recorded.path)
    assert parsed.headers.get("B", "") == value.strip()
    assert json.loads(parsed.body) == redacted["body"]


def test_a_secret_in_a_curl_line_is_a_variable() -> None:
    request = {
        "method": "GET",
        "path": V2,
        "headers": {"X-Api-Key": REDACTED, "Authorization": f"Bearer {REDACTED}", "Content-Length": "3", "Empty": ""},
        "body": {"<text>": "no 'json'"},
    }
    assert curl.line(request, "http://localhost:8000") == (
        f"curl --globoff --path-as-is -X GET http://localhost:8000{V2} "
        """-H 'X-Api-Key: '"$X_API_KEY" -H 'Authorization: '"$AUTHORIZATION" """
        """--data-raw 'no '"'"'json'"'"''"""
    )


NASTY = {
    "X-`Id`-Token": "${AWS_SECRET_ACCESS_KEY}",
    "X-Note": "$(id) `id` \"$HOME\" 'quoted' \\",
    "Aws-Secret-Access-Key": REDACTED,
    "1-Key": REDACTED,
    "Bad name": "x",
    "@file": "x",
}


def test_what_a_client_sent_is_data_to_a_shell_and_to_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names and values are the client's: nothing in them is run or filled in, and no other variable is chosen."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the operator's own")
    monkeypatch.setenv("HEADER_AWS_SECRET_ACCESS_KEY", "one")
    monkeypatch.setenv("HEADER_1_KEY", "two")
    request = {"method": "GET", "path": "/v2/stamps/[1-3]/score/{a,b}/../c", "headers": NASTY, "body": None}
    line = curl.line(request, "http://localhost:8000")
    printed = subprocess.run(
        ["bash", "-c", "curl() { printf '%s\\n' \"$@\"; }; " + line], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    expected = {
        "X-`Id`-Token": "${AWS_SECRET_ACCESS_KEY}",
        "X-Note": NASTY["X-Note"],
        "Aws-Secret-Access-Key": "one",
        "1-Key": "two",
    }
    assert [word for word in printed if ": " in word] == [f"{name}: {value}" for name, value in expected.items()]
    assert printed[:4] == ["--globoff", "--path-as-is", "-X", "GET"]
    (parsed,) = curl.parse([line])
    assert parsed.path == request["path"]
    assert parsed.headers == expected
    (exported,) = curl.parse([json.dumps(request)])
    assert {name: exported.headers[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("line", "options", "names"),
    [
        (f"""curl 'http://x{V2}' -H "X-API-Key: $K" """, (), "K"),
        (f"""curl 'http://x{V2}' -H "X-API-Key: ${{K}}" -H 'B: '"$OTHER" """, (), "K, OTHER"),
        (json.dumps({"path": V2, "headers": {"X-Api-Key": REDACTED}}), (), "X_API_KEY"),
        (f"curl 'http://x{V2}'", ("--header", "X-API-Key: $K"), "K"),
    ],
)
def test_a_variable_that_is_not_set_is_refused(
    serve: Serve, requests: Callable[..., str], line: str, options: tuple[str, ...], names: str
) -> None:
    one = serve()
    _, failure = run(one, serve(), "--requests", requests(line), *options)
    assert failure is not None
    assert failure.startswith(f"Not set in the environment: {names}.")
    assert one.asked == []


def test_a_header_given_for_all_stands_for_its_variable(serve: Serve, requests: Callable[..., str]) -> None:
    one = serve()
    line = f"""curl 'http://x{V2}' -H 'X-Api-Key: '"$X_API_KEY" """
    assert run(one, serve(), "--requests", requests(line), "--header", "X-API-Key: k")[1] is None
    assert one.asked[0].headers["X-API-Key"] == "k"


def test_the_statuses_are_told_and_4xx_alone_warn(serve: Serve, requests: Callable[..., str]) -> None:
    def refuse(asked: Asked) -> tuple[int, Any]:
        return 401, {"detail": "Invalid API Key."}

    text = requests(f"curl http://x{V2}", f"curl http://x{V2}?a=1")
    printed, failure = run(serve(body=refuse), serve(body=refuse), "--requests", text)
    assert failure is None
    assert "control:   2 with 401\ncandidate: 2 with 401\n" in printed
    assert "Warning: every answer of the control is a 4xx" in printed
    assert "Warning" not in run(serve(), serve(), "--requests", text)[0]


# ---- the host and the fast path as two servers


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def both_sides(settings: Settings) -> Iterator[tuple[str, str]]:
    """The slow host alone, and the slow host with every operation given to the fast path."""
    for name, value in world.SETTINGS.items():
        setattr(settings, name, value)
    settings.ROOT_URLCONF = "tests.host.urls"
    settings.SCORER_FAST = {**settings.SCORER_FAST, "MODES": {"*": "fast"}}
    flags.reset()
    flags.current()
    servers = []
    for middleware in ([], ["scorer_fast.cutover.middleware.ScorerFastMiddleware"]):
        settings.MIDDLEWARE = middleware
        server = make_server("127.0.0.1", 0, WSGIHandler(), handler_class=Quiet)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
    host, fast = (f"http://127.0.0.1:{server.server_port}" for server in servers)
    yield host, fast
    for server in servers:
        server.shutdown()
        server.server_close()
    flags.reset()


@pytest.mark.django_db(transaction=True)
def test_the_host_and_the_fast_path_answer_the_same(both_sides: tuple[str, str], requests: Callable[..., str]) -> None:
    world.make_community(world.make_account(), 1, {"Google": "21", "Github": 1.1}, in_program=True)
    world.give([Claim(ADDRESS, "Google"), Claim(ADDRESS, "Github")])
    (credential,) = sign_credentials([Claim(ADDRESS, "Ens")])
    key, internal = {"X-API-Key": world.API_KEY}, {"Authorization": world.INTERNAL_TOKEN}
    token = {"Authorization": f"Bearer {world.token(ADDRESS)}", "Content-Type": "application/json"}
    subject = {"credentialSubject": {"hash": None, "provider": "Google", "id": f"did:pkh:eip155:1:{ADDRESS}"}}
    lines: list[dict[str, Any]] = [
        {"path": V2, "headers": key},
        {"path": f"/internal/embed/score/1/{ADDRESS}"},
        {"method": "POST", "path": "/ceramic-cache/stamps/bulk", "headers": token,
         "json": [{"provider": "Ens", "stamp": credential}]},
        {"path": f"/ceramic-cache/score/{ADDRESS}", "headers": token},
        {"path": f"/ceramic-cache/stamp?address={ADDRESS}"},
        {"path": "/ceramic-cache/weights"},
        {"path": f"/v2/stamps/1/score/{ADDRESS}", "headers": {"X-API-Key": "no.key"}},
        {"path": f"/internal/stake/gtc/{ADDRESS}", "headers": internal},
        {"method": "POST", "path": "/internal/check-bans", "headers": internal, "json": [subject]},
    ]  # fmt: skip
    printed, failure = run(*both_sides, "--requests", requests(*map(json.dumps, lines)), "--json")
    found = json.loads(printed)
    assert failure is None, found
    assert (found["requests"], found["different"], found["deliberate"]) == (9, 0, 1)
    assert [result["control"] for result in found["results"]] == [200, 200, 201, 200, 200, 200, 401, 200, 500]
    assert found["results"][-1]["deliberate"][0]["rule"] == "ban_of_null_hash"
