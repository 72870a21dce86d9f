"""Keys and passwords stay where they belong."""

from __future__ import annotations

import base64
import copy
import inspect
import itertools
import json
import logging
import pickle
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from runagent import (
    AgentServerError,
    AuthenticationError,
    ConfigurationError,
    RateLimitError,
    RunAgentClient,
    RunAgentError,
)
from runagent._redact import escape_controls, is_credential
from runagent_testing import FakeAgentServer, error, status
from tests.support.peer import Peer, answers, http, ndjson, sse, upgrade, websocket_frame
from tests.support.transports import OwnTransport

if TYPE_CHECKING:
    from tests.support.styles import Style

KEY = "sk-very-secret-0123456789"
_hosts = itertools.count()


@pytest.fixture
def fresh_host() -> str:
    """A host that no client has warned of yet: they do so once in a process."""
    return f"agents-{next(_hosts)}.example"


@pytest.mark.parametrize(
    ("url", "warnings"),
    [
        ("http://clear.example", ["the API key goes to http://clear.example unencrypted"]),
        ("https://agents.example", []),
        ("http://127.0.0.1:8450", []),
        ("http://localhost", []),
        ("http+unix://%2Frun%2Fagent.sock", []),
    ],
)
def test_a_key_in_the_clear_warns_once(
    url: str, warnings: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        RunAgentClient("a", base_url=url, api_key=KEY).run_generic_stream("x")
    assert [record.message.partition(";")[0] for record in caplog.records] == warnings


def context(verify: ssl.VerifyMode, *, names: bool) -> ssl.SSLContext:
    made = ssl.create_default_context()
    made.check_hostname = names
    made.verify_mode = verify
    return made


@pytest.mark.parametrize(
    ("made", "url", "warning"),
    [
        (context(ssl.CERT_NONE, names=False), "https://agents.example", "checks no certificate"),
        (context(ssl.CERT_REQUIRED, names=False), "https://agents.example", "checks no host name"),
        (context(ssl.CERT_REQUIRED, names=True), "https://agents.example", None),
        (context(ssl.CERT_NONE, names=False), "https://localhost", None),
        (context(ssl.CERT_NONE, names=False), "http://agents.example", "unencrypted"),
    ],
)
@pytest.mark.parametrize("key", [KEY, lambda: KEY, None], ids=["text", "function", "header"])
def test_a_key_over_tls_that_checks_nothing_warns_once(
    made: ssl.SSLContext,
    url: str,
    warning: str | None,
    key: Any,
    style: Style,
    caplog: pytest.LogCaptureFixture,
    fresh_host: str,
) -> None:
    url = url.replace("agents.example", fresh_host)
    headers = {} if key else {"Authorization": f"Bearer {KEY}"}
    for _ in range(2):
        client = style.client("a", base_url=url, api_key=key, headers=headers, ssl_context=made)
        client.run_generic_stream("x")
        client.run_generic_stream("x")
    assert (0 if warning is None else 1) == len(caplog.messages)
    assert all(str(warning) in message for message in caplog.messages)


def test_tls_that_checks_nothing_is_not_warned_of_without_a_key(caplog: pytest.LogCaptureFixture) -> None:
    made = context(ssl.CERT_NONE, names=False)
    RunAgentClient("a", base_url="https://agents.example", ssl_context=made).run_generic_stream("x")
    assert [] == caplog.messages


CREDENTIALS = [
    ("Authorization", f"Bearer {KEY}"),
    ("authorization", KEY),
    ("Authorization", f'Digest username="u", response="{KEY}"'),
    ("Cookie", f"theme=dark; session={KEY}"),
    ("Set-Cookie", f"session={KEY}; Path=/"),
    *((name, KEY) for name in ("X-Api-Key", "Api-Key", "apikey", "X-Goog-Api-Key", "X-Auth-Token")),
    *((name, KEY) for name in ("X-Access-Token", "Private-Token", "X-Amz-Security-Token", "X-Client-Secret")),
    *(
        (name, KEY)
        for name in ("Ocp-Apim-Subscription-Key", "X-Vault-Token", "X-Auth", "X_API_KEY", "X-Password")
    ),
]


@pytest.mark.parametrize(("name", "value"), CREDENTIALS)
def test_no_error_repeats_a_credential(style: Style, transport: str, name: str, value: str) -> None:
    async def scenario() -> RunAgentError:
        client = style.client("a", base_url=peer.url, transport=transport, headers={name: value})
        with pytest.raises(RunAgentError) as caught:
            await client.run_generic_stream("x").text()
        return caught.value

    error_body = {
        "error": {"code": KEY, "message": f"{KEY} is not known", "details": {"given": value, "is": [KEY]}}
    }
    with Peer(answers(http(403, error_body))) as peer:
        error = style.run(scenario)
    assert KEY not in f"{error!r} {vars(error)}"
    assert "***" in str(error)


def test_no_error_repeats_the_password_of_basic_authorization(style: Style) -> None:
    basic = "Basic " + base64.b64encode(f"user:{KEY}".encode()).decode()

    async def scenario() -> RunAgentError:
        with pytest.raises(RunAgentError) as caught:
            await style.client("a", base_url=peer.url, headers={"Authorization": basic}).run_generic("x")
        return caught.value

    with Peer(answers(http(403, f"user:{KEY} may not, {KEY} neither"))) as peer:
        assert KEY not in repr(style.run(scenario))


def test_no_error_repeats_a_credential_among_the_options(style: Style) -> None:
    async def scenario() -> RunAgentError:
        options = {"mine_api_key": KEY}
        client = style.client("a", base_url=peer.url, transport=OwnTransport(), transport_options=options)
        with pytest.raises(RunAgentError) as caught:
            await client.run_generic_stream("x").text()
        return caught.value

    with Peer(answers(http(403, f"{KEY} is not known"))) as peer:
        assert KEY not in repr(style.run(scenario))


def test_no_error_repeats_a_key_that_an_option_has_put_into_the_path(style: Style, transport: str) -> None:
    async def scenario() -> RunAgentError:
        options = {"stream_path": "/x?api_key=" + KEY.replace("-", "%2D")}
        client = style.client("a", base_url=peer.url, transport=transport, transport_options=options)
        with pytest.raises(RunAgentError) as caught:
            await client.run_generic_stream("x").text()
        return caught.value

    with Peer(answers(http(403, f"{KEY} is not known"))) as peer:
        assert KEY not in repr(style.run(scenario))


PLACES = [name for name in inspect.signature(RunAgentClient.__init__).parameters if name != "self"]
VARIABLES = [f"RUNAGENT_{name}" for name in ("API_KEY", "API_URL", "TIMEOUT", "TRANSPORT", "MAX_RETRIES")]
VARIABLES += [f"RUNAGENT_{name}" for name in ("PROXY", "LOG_LEVEL", "CONFIG", "TRANSPORT_OPTIONS")]
VARIABLES += ["HTTP_PROXY", "all_proxy"]


@pytest.mark.parametrize("place", [*PLACES, *VARIABLES])
@pytest.mark.parametrize(
    "url",
    [
        f"https://user:{KEY}@agents.example/x",
        f"ftp://{KEY}@agents.example",
        f"https://agents.example/?api_key={KEY}",
        f"WS://{KEY}:x@agents.example/ #{KEY}",
    ],
)
def test_no_url_is_shown_with_its_secrets(
    place: str, url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a URL is given for: people mix things up."""
    caplog.set_level(logging.DEBUG, "runagent")
    given: dict[str, Any] = {"agent_id": "a", "base_url": "http://nowhere.invalid", "max_retries": 0}
    if place in VARIABLES:
        monkeypatch.setenv(place, url)
        given.pop(
            {"RUNAGENT_API_URL": "base_url", "RUNAGENT_MAX_RETRIES": "max_retries"}.get(place, ""), None
        )
    else:
        given |= {place: url}
    if place in ("host", "port"):
        given |= {"local": True, "base_url": None}
    shown = ""
    try:
        client = RunAgentClient(**given)
        shown = repr(client)
        client.run_generic_stream("x")
    except RunAgentError as exc:
        shown = f"{exc!r} {vars(exc)} {exc.__cause__!r} {exc.__context__!r}"
    assert KEY not in (shown.replace(url, "") if place == "agent_id" else shown) + caplog.text


@pytest.mark.parametrize("name", ["X-Request-Id", "Idempotency-Key", "User-Agent", "X-Tokenizer", "Keyboard"])
def test_what_is_no_credential_is_shown(name: str) -> None:
    assert not is_credential(name)


@pytest.mark.parametrize("path", ["/x?key={} y", "x?key={}", "http://user:{}@agents.example/x", "/a#key={}"])
@pytest.mark.parametrize("option", ["stream_path", "invoke_path"])
def test_a_path_that_is_refused_is_not_shown_with_its_query(option: str, path: str) -> None:
    client = RunAgentClient("a", transport_options={option: path.format(KEY)})
    with pytest.raises(ConfigurationError, match="agent path") as caught:
        client.run_generic_stream("x")
    assert KEY not in repr(caught.value)


@pytest.mark.parametrize("name", ["Authorization", "x-api-key", "Cookie", "X-Auth-Token", "X-Goog-Api-Key"])
def test_a_key_in_a_custom_header_warns_as_well(
    name: str, caplog: pytest.LogCaptureFixture, fresh_host: str
) -> None:
    client = RunAgentClient("a", base_url=f"http://{fresh_host}", headers={"X-Other": "y"})
    client.run_generic_stream("x")
    assert caplog.records == []
    client.run_generic_stream("x", headers={name: f"Bearer {KEY}"})
    assert ["unencrypted" in message for message in caplog.messages] == [True]
    assert KEY not in caplog.text


def test_no_key_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    RunAgentClient("a", base_url="http://agents.example").run_generic_stream("x")
    assert caplog.records == []


def test_the_key_is_sent_and_shown_nowhere(
    style: Style, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "runagent")

    async def scenario() -> list[object]:
        shown: list[object] = []
        client = style.client(
            "a", base_url=server.url, transport=transport, api_key=KEY, headers={"X-Own": KEY}, retry_delay=0
        )
        stream = client.run_generic_stream("x")
        shown += [client, stream, stream.report, client.settings, vars(client).get("client")]
        try:
            async for _ in stream:
                pass
        except RunAgentError as exc:
            shown += [exc, vars(exc), exc.__cause__, stream.report]
        return shown

    with FakeAgentServer(api_key=KEY) as server:
        server.agent("a").reply(status(503, retry_after=0)).always("x", error("CODE", "failed"))
        shown = style.run(scenario)
        assert [request.raw_headers["authorization"] for request in server.requests] == [f"Bearer {KEY}"] * 2
        assert all(KEY not in request.path for request in server.requests)
    assert KEY not in repr(shown) + caplog.text


def test_a_key_is_asked_for_at_each_attempt(style: Style) -> None:
    keys = iter(["first", KEY])

    async def scenario() -> str:
        client = style.client("a", base_url=server.url, api_key=lambda: next(keys), max_retries=0)
        with pytest.raises(AuthenticationError):
            await client.run_generic_stream("x").text()
        return str(await client.run_generic_stream("x").text())

    with FakeAgentServer(api_key=KEY) as server:
        server.agent("a").always("x")
        assert style.run(scenario) == "x"


def test_what_a_peer_sends_forges_no_log_line(
    style: Style, transport: str, server: FakeAgentServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "runagent")
    server.agent("a").always("x", error("E\x1b[2J\nroot: INFO all is well", "m\r\nroot: INFO forged\x1b[31m"))

    async def scenario() -> None:
        with pytest.raises(RunAgentError):
            await style.client("a", base_url=server.url, transport=transport).run_generic_stream("x").text()

    style.run(scenario)
    assert all(message.isprintable() for message in caplog.messages)
    assert any("forged" in message for message in caplog.messages)


HOSTILE = "\x1b[2J\x1b]0;title\x07\r\nERROR root: forged\u2028\x85\u202e\ud83d\x00"
ESCAPED = json.dumps(HOSTILE)[1:-1]


@pytest.mark.parametrize(
    ("transport", "answer"),
    [
        ("sse", http(401,
        f'{{"error": {{"code": "{ESCAPED}", "message": "{ESCAPED}", "request_id": "{ESCAPED}"}}}}')),
        ("sse", http(500, HOSTILE.encode("utf-8", "replace"))),
        ("sse", http(422, f'{{"detail": [{{"loc": ["{ESCAPED}"], "msg": "{ESCAPED}"}}]}}')),
        ("sse", http(307, location="http://x.test/%1B\xe9\x9b")),
        ("sse", http(200, HOSTILE.encode("utf-8", "replace"), content_type="text/html; \xe9\x9b")),
        ("sse", sse(f'event: error\ndata: {{"error": "{ESCAPED}", "code": "{ESCAPED}"}}\n\n'.encode())),
        ("sse", sse(f"event: chunk\ndata: {ESCAPED}\n\n".encode())),
        ("sse", sse(f'event: chunk\ndata: {{"no": "{ESCAPED}"}}\n\n'.encode())),
        ("sse", b"\x1b[31m\xc2\x9b\r\n\r\n"),
        ("chunked", ndjson(b"\x1b[2J\x9b" + HOSTILE.encode("utf-8", "replace") + b"\n")),
        ("chunked", ndjson(f'["{ESCAPED}"]\n'.encode())),
        ("chunked", ndjson(f'{{"type": "{ESCAPED}"}}\n'.encode())),
        ("chunked", http(200, b"x", content_type="text/plain; charset=\x9b31m")),
        ("websocket", http(400, HOSTILE.encode("utf-8", "replace"))),
        ("websocket", None),
    ],
)  # fmt: skip
def test_what_a_peer_sends_is_one_harmless_line(
    style: Style, transport: str, answer: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "runagent")
    reason = HOSTILE.replace("\ud83d", "").encode()
    act = upgrade(websocket_frame(b"\x03\xe8" + reason, 8)) if answer is None else answers(answer)

    async def scenario() -> list[str]:
        client = style.client("a", base_url=peer.url, transport=transport, max_retries=1, retry_delay=0)
        stream = client.run_generic_stream("x")
        with pytest.raises(RunAgentError) as caught:
            await stream.text()
        error = pickle.loads(pickle.dumps(copy.copy(caught.value)))
        texts = [str(error), error.message, error.code or "", error.request_id or ""]
        return texts + [str(attempt.error) for attempt in stream.report.attempts]

    with Peer(act) as peer:
        texts = style.run(scenario)
    assert texts[0]
    for text in (*texts, *caplog.messages):
        assert escape_controls(text) == text
        text.encode()


def test_every_attempt_is_in_the_report_and_in_the_log(
    style: Style, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "runagent.run")

    async def scenario() -> list[type]:
        client = style.client("a", base_url=server.url, transport=transport, retry_delay=0)
        stream = client.run_generic_stream("x")
        assert await stream.text() == "x"
        return [type(attempt.error) for attempt in stream.report.attempts]

    with FakeAgentServer() as server:
        server.agent("a").reply(status(503)).reply(status(429, retry_after=0)).always("x")
        errors = style.run(scenario)
    assert [AgentServerError, RateLimitError, type(None)] == errors
    texts = [message for message in caplog.messages if " failed with " in message]
    assert [message.partition(" failed")[0].partition(": ")[2] for message in texts] == [
        f"attempt {n} over {transport}" for n in (1, 2)
    ]
