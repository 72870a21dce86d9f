"""No transport gets a request onto the wire that the caller's own header fields and paths could not make."""

from __future__ import annotations

import ast
import copy
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runagent import PluginError, RunAgentError
from runagent._address.fields import validate_headers
from runagent._address.url import parse_base_url
from runagent._call import AgentCall
from runagent._plugins.registry import default_registry
from runagent.transports import BaseSession, HttpRequest, HttpSession, InvokeSession, MessageSession, Route
from tests.support.peer import Peer, answers, http, sse, upgrade
from tests.support.transports import LettersSession, OwnTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.styles import Style

GOOD: dict[str, Any] = {"method": "POST", "target": "/x", "headers": [("Accept", "*/*")], "body": b"{}"}
SECRET = "sk-secret-0123456789"

BAD = [
    ("x-opt", {"headers": [("X-Opt", "x\r\nX-Injected: yes")]}),
    ("x-opt", {"headers": [("X-Opt", f"{SECRET}\n")]}),
    ("x-opt", {"headers": [("X-Opt", "a\rb")]}),
    ("x-opt", {"headers": [("X-Opt", "a\0b")]}),
    ("x-opt", {"headers": [("X-Opt", "\ud83d")]}),
    ("x-opt", {"headers": [("X-Opt", "日本")]}),
    ("x-opt", {"headers": [("X-Opt", b"x")]}),
    ("x-opt", {"headers": [("X-Opt", None)]}),
    ("x-opt", {"headers": [("X-Opt", 5)]}),
    ("x\r\ny", {"headers": [("X\r\nY", "x")]}),
    ("headers", {"headers": [("", "x")]}),
    ("headers", {"headers": [(b"X", "x")]}),
    ("x y", {"headers": [("X Y", "x")]}),
    ("x:", {"headers": [("X:", "x")]}),
    *(
        (name.lower(), {"headers": [(name, "x")]})
        for name in ("Host", "host", "Content-Length", "Transfer-Encoding", "TE", "Trailer", "Expect")
    ),
    *((name.lower(), {"headers": [(name, "x")]}) for name in ("Connection", "Keep-Alive", "Upgrade")),
    *((name.lower(), {"headers": [(name, "x")]}) for name in ("Proxy-Authorization", "Sec-WebSocket-Key")),
    ("accept", {"headers": [("Accept", "a"), ("accept", "b")]}),
    ("headers", {"headers": [("Accept",)]}),
    ("headers", {"headers": ["Accept: a"]}),
    ("headers", {"headers": None}),
    ("headers", {"headers": {"Accept": "a"}}),
    *(
        ("target", {"target": target})
        for target in ("http://evil.example/x", "evil.example:80", "*", "", "x")
    ),
    *(("target", {"target": target}) for target in ("/a b", "/a\r\nX: y", "/a\tb", "/a\0", "/ü", "/\ud83d")),
    *(
        ("target", {"target": target})
        for target in ("/a#b", "/a\\b", "/%zz", "/{agent_id}", "/<a>", b"/", None)
    ),
    ("target", {"target": f"http://user:{SECRET}@evil.example/?key={SECRET}"}),
    *(
        ("method", {"method": method})
        for method in ("", "PO ST", "GET\r\nX: y", "CONNECT", "GÉT", b"GET", None)
    ),
    *(("body", {"body": body}) for body in ("{}", None, 5, ["x"])),
    ("host", {"upgrade": [("Host", "evil.example")]}),
    ("upgrade", {"upgrade": [("Upgrade", "x\r\nX-Injected: yes")]}),
    ("upgrade", {"upgrade": [("Upgrade", "a"), ("upgrade", "b")]}),
    *(("upgrade", {"upgrade": fields}) for fields in ("Upgrade: x", "", None, 0)),
]
IDS = [f"{field}-{number}".encode("unicode_escape").decode() for number, (field, _) in enumerate(BAD)]


def asks(request: Any, base: type[HttpSession] = LettersSession) -> type[HttpSession]:
    """Make a session that asks for just this."""
    return type("Asking", (base,), {"make_request": lambda _: request})


def run_it(style: Style, session: type, mode: str = "stream", **options: Any) -> tuple[Any, Peer]:
    async def scenario() -> None:
        client = style.client("a", transport=OwnTransport("mine", session), **options)
        if mode == "invoke":
            await client.run_generic({"query": "x"})
        else:
            await client.run_generic_stream({"query": "x"}).text()

    with Peer(answers(http(200, "abc", content_type="text/plain"))) as peer:
        options["base_url"] = peer.url
        try:
            return style.run(scenario), peer
        except RunAgentError as exc:
            return exc, peer


@pytest.mark.parametrize("mode", ["stream", "invoke"])
@pytest.mark.parametrize(("field", "parts"), BAD, ids=IDS)
def test_a_request_that_cannot_be_sent_names_transport_and_field(
    style: Style, mode: str, field: str, parts: dict[str, Any]
) -> None:
    error, peer = run_it(style, asks(HttpRequest(**GOOD | parts)), mode)
    assert (PluginError, "INVALID_REQUEST", "mine") == (type(error), error.code, error.plugin)
    assert field.encode("unicode_escape").decode() == error.details["field"].encode("unicode_escape").decode()
    assert str(error).startswith("the transport 'mine' cannot send its request: ")
    assert SECRET not in repr(error)
    assert 0 == peer.connections


@pytest.mark.parametrize("request_", [None, "GET / HTTP/1.1", ("POST", "/", [])])
def test_what_is_no_request_is_refused(style: Style, request_: Any) -> None:
    error, peer = run_it(style, asks(request_))
    assert (PluginError, "request", 0) == (type(error), error.details["field"], peer.connections)


@pytest.mark.parametrize("value", ["x\r\nX-Injected: yes", "a\0b", "\ud83d", "日本", b"x", None, 5])
def test_names_that_were_sent_before_excuse_no_value(value: Any) -> None:
    def opened(*headers: tuple[str, Any]) -> bytes:
        request = HttpRequest(**(GOOD | {"headers": list(headers)}))
        return asks(request)(CALL, Route(CALL.base.origin), None).data_to_send()

    for _ in range(3):
        assert b"\r\nX-First: a\r\nX-Second: b\r\n" in opened(("X-First", "a"), ("X-Second", "b"))
        with pytest.raises(PluginError, match="x-second"):
            opened(("X-First", "a"), ("X-Second", value))


def test_a_request_that_can_be_sent_is_sent(style: Style) -> None:
    error, peer = run_it(style, asks(HttpRequest(**GOOD)))
    assert error is None
    assert [("POST", "/x", b"{}")] == [(*r.line.split(" ")[:2], r.body) for r in peer.requests]


class EchoSession(MessageSession):
    """Sends what a test wants over a WebSocket."""

    say: Callable[[EchoSession], None] = staticmethod(lambda session: session.send_text(b"x"))
    target = "/echo"
    fields: Any = ()

    def make_target(self) -> str:
        return self.target

    def make_headers(self) -> list[tuple[str, str]]:
        return [*super().make_headers(), *self.fields]

    def opened(self) -> None:
        type(self).say(self)


@pytest.mark.parametrize(
    ("field", "members"),
    [
        ("target", {"target": "http://evil.example/"}),
        ("target", {"target": "/a\r\nX: y"}),
        ("x-opt", {"fields": [("X-Opt", "x\r\nX-Injected: yes")]}),
        ("sec-websocket-key", {"fields": [("Sec-WebSocket-Key", "x")]}),
        ("sec-websocket-protocol", {"fields": [("Sec-WebSocket-Protocol", "x")]}),
        ("upgrade", {"fields": [("Upgrade", "h2c")]}),
        ("host", {"fields": [("Host", "evil.example")]}),
        ("subprotocols", {"subprotocols": ("a\r\nX-Injected: yes",)}),
        ("subprotocols", {"subprotocols": ("a, b",)}),
        ("subprotocols", {"subprotocols": ("a", "a")}),
        ("subprotocols", {"subprotocols": "chat"}),
        ("subprotocols", {"subprotocols": (b"a",)}),
    ],
)
def test_a_handshake_is_checked_as_well(style: Style, field: str, members: dict[str, Any]) -> None:
    error, peer = run_it(style, type("Asking", (EchoSession,), members))
    assert (PluginError, "mine", field) == (type(error), error.plugin, error.details["field"])
    assert 0 == peer.connections


@pytest.mark.parametrize("how", ["send_text", "send_binary"])
@pytest.mark.parametrize("what", ["text", None, [b"x"]])
def test_a_message_has_to_be_bytes(style: Style, how: str, what: Any) -> None:
    def say(session: EchoSession) -> None:
        session.send_text(b"good")
        getattr(session, how)(what)

    members = {"say": staticmethod(say)}

    async def scenario() -> None:
        transport = OwnTransport("mine", type("Saying", (EchoSession,), members))
        await style.client("a", base_url=peer.url, transport=transport).run_generic_stream("x").text()

    with (
        Peer(upgrade(b"")) as peer,
        pytest.raises(PluginError, match=f"the transport 'mine' .*{how}") as caught,
    ):
        style.run(scenario)
    assert how == caught.value.details["field"]


@pytest.mark.parametrize("given", [None, "session", HttpSession, 5])
def test_what_open_gives_has_to_be_a_session(style: Style, given: Any) -> None:
    error, peer = run_it(style, lambda *_: given)  # type: ignore[arg-type]
    assert (PluginError, "mine", "open", 0) == (
        type(error),
        error.plugin,
        error.details["field"],
        peer.connections,
    )


class RawSession(BaseSession):
    """Writes its bytes itself."""

    def __init__(self, *_: Any) -> None:
        super().__init__()

    def data_to_send(self) -> Any:
        return "GET / HTTP/1.1\r\n\r\n"


class SendingSession(RawSession):
    def __init__(self, *_: Any) -> None:
        super().__init__()
        self.send("GET / HTTP/1.1\r\n\r\n")  # type: ignore[arg-type]


@pytest.mark.parametrize(("session", "field"), [(RawSession, "data_to_send"), (SendingSession, "send")])
def test_what_a_session_writes_itself_has_to_be_bytes(style: Style, session: type, field: str) -> None:
    error, peer = run_it(style, session)
    assert (PluginError, "mine", field) == (type(error), error.plugin, error.details["field"])
    assert [] == peer.requests


@pytest.mark.parametrize("mode", ["stream", "invoke"])
@pytest.mark.parametrize("value", ["text/x", "application/json", "no-store"])
@pytest.mark.parametrize("name", ["Content-Type", "cache-control", "ACCEPT", "Idempotency-Key", "User-Agent"])
def test_the_callers_field_is_sent_in_place_of_the_transports(
    transport: str, mode: Any, name: str, value: str
) -> None:
    call = CALL.replace(mode=mode, headers=((name, value),), idempotency_key="ours")
    session = default_registry().get(transport).open(call, Route(call.base.origin), None)
    head = session.data_to_send().partition(b"\r\n\r\n")[0].decode("latin-1")
    fields = [line.partition(": ") for line in head.split("\r\n")[1:]]
    assert [value] == [sent for field, _, sent in fields if field.lower() == name.lower()]


def test_an_event_id_that_no_header_can_carry_is_left_to_the_index(style: Style) -> None:
    cut = sse(b'event: chunk\nid: \x01\ndata: {"content": "a", "index": 0}\n\n', end=False)
    rest = sse(("chunk", {"content": "b", "index": 1}), ("done", {}))

    async def scenario() -> str:
        client = style.client("a", base_url=peer.url, retry_delay=0)
        return str(await client.run_generic_stream("x").text())

    with Peer(answers(cut), answers(rest)) as peer:
        assert "ab" == style.run(scenario)
        assert "last-event-id" not in peer.requests[1].headers


CALL = AgentCall(agent_id="a", base=parse_base_url("http://agents.example"), api_key=SECRET)
ANY_TEXT = st.text(st.characters(), max_size=12) | st.sampled_from(
    [
        "Host",
        "X-A",
        "/x",
        "POST",
        "a\r\nX: y",
        "a\nX: y",
        "a\rb",
        "\0",
        "Content-Length",
        "\ud83d",
        "ü",
        "  x ",
    ]
)
FIELDS = st.lists(st.tuples(ANY_TEXT, ANY_TEXT), max_size=4)


@settings(max_examples=500)
@given(
    method=ANY_TEXT,
    target=ANY_TEXT | ANY_TEXT.map("/{}".format),
    headers=FIELDS,
    extra=FIELDS,
    body=st.binary(),
)
def test_whatever_is_asked_for_is_one_request_or_none(
    method: str, target: str, headers: Any, extra: Any, body: bytes
) -> None:
    request = HttpRequest(method, target, headers, body, extra)
    try:
        session = asks(request, InvokeSession)(CALL, Route(CALL.base.origin), None)
    except PluginError:
        return
    head, _, sent = session.data_to_send().partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    framing = [f"Content-Length: {len(body)}"] if body else []
    expected = [f"{name}: {value}" for name, value in (*headers, *extra)]
    assert [f"{method} {target} HTTP/1.1", "Host: agents.example", *expected, *framing] == lines
    assert not any(control in line for line in lines for control in "\r\n\0")
    assert len({line.partition(":")[0].lower() for line in lines[1:]}) == len(lines) - 1
    assert body == sent


def test_a_request_shows_no_value_of_a_header_and_no_query() -> None:
    request = HttpRequest(
        "POST", f"/x?key={SECRET}", [("Authorization", f"Bearer {SECRET}")], SECRET.encode()
    )
    assert SECRET not in repr(request)
    assert "Authorization" in repr(request)


def test_a_call_shows_no_header_field_no_key_and_no_option() -> None:
    call = CALL.replace(headers=(("Cookie", SECRET),), options={"token": SECRET}, run_id="r")
    assert SECRET not in repr(call)
    assert SECRET not in str(call.__rich_repr__())
    assert repr(call).startswith("AgentCall(agent_id='a', base=")
    assert " run_id='r', " in repr(call)


def test_a_call_is_a_value() -> None:
    call = CALL.replace(run_id="r", input={"query": ["x"]})
    assert call != CALL
    assert call == CALL.replace(run_id="r", input={"query": ["x"]}) == pickle.loads(pickle.dumps(call))
    assert call == copy.deepcopy(call)
    with pytest.raises(TypeError):
        call.replace(agent="b")
    with pytest.raises(AttributeError):
        call.agent_id = "b"  # type: ignore[misc]


CALLS = [
    ("sse", "stream"),
    ("sse", "invoke"),
    ("chunked", "stream"),
    ("websocket", "stream"),
    ("websocket", "invoke"),
]


@settings(max_examples=300)
@given(st.sampled_from(CALLS), st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=2), ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_no_text_of_a_caller_adds_a_line_to_a_request(
    way: tuple[str, Any], headers: dict[str, str], path: str, key: str, agent_id: str
) -> None:
    transport, mode = way
    options = {f"{mode}_path": f"/{path}"}
    try:
        validate_headers(headers)
        call = CALL.replace(mode=mode, agent_id=agent_id, api_key=key, headers=(), options=options)
        plain = default_registry().get(transport).open(call, Route(call.base.origin), None).data_to_send()
        call = call.replace(headers=tuple(headers.items()))
        session = default_registry().get(transport).open(call, Route(call.base.origin), None)
    except RunAgentError:
        return
    head = session.data_to_send().partition(b"\r\n\r\n")[0]
    lines = head.split(b"\r\n")
    assert not any(control in line for line in lines for control in b"\r\n\0")
    names = [line.partition(b":")[0].lower() for line in lines[1:]]
    usual = {line.partition(b":")[0].lower() for line in plain.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]}
    assert len(names) == len(set(names))
    assert usual | {name.lower().encode() for name in headers} == set(names)


def test_nothing_writes_a_request_without_the_check() -> None:
    root = Path(__file__).resolve().parents[2] / "runagent"
    writers = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if _writes_request(node)
    }
    # The session's request is checked; a tunnel's is made of parts that were checked as settings.
    assert {"transports/_requesting.py", "_net/tunnel.py", "_wire/http1.py"} == writers


def _writes_request(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        text = node.value.decode("latin-1") if isinstance(node.value, bytes) else str(node.value)
        return text.rstrip().endswith(" HTTP/1.1")
    return isinstance(node, ast.Name) and node.id == "encode_request"
