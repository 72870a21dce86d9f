"""No way out of a fake agent shows a credential: whatever kind it is of, and wherever it turns up again."""

from __future__ import annotations

import ast
import base64
import io
import json
import logging
from pathlib import Path

import pytest

from runagent import RunAgentClient, _redact
from runagent._redact import is_credential
from runagent.transports._sse import SSESession
from runagent_testing import FakeAgentServer, MemoryNetwork, chunk, every, head
from runagent_testing._internal import names
from runagent_testing._internal.credentials import Names
from runagent_testing._internal.redaction import Secrets
from runagent_testing._standalone.log import ExchangeLog
from runagent_testing.conformance import check_transport
from runagent_testing.conformance._broken import Broken
from runagent_testing.dialects import Dialect, Format, Request, RunRequest
from tests.runagent_testing.project import run
from tests.runagent_testing.raw_client import connected, post, stream

SECRET = 'sk-l1ve"Öa/b+c=7812'  # what JSON, URLs and repr each write in another way
PLAIN = "sk-l1ve-90a7812"
BASIC = base64.b64encode(f"user:{PLAIN}".encode()).decode()
STREAM = "/v1/agents/a/stream"

HEADERS = {
    "Authorization": f"Bearer {PLAIN}",
    "authorization": f"Basic {BASIC}",
    "Proxy-Authorization": f"Basic {PLAIN}",
    "Cookie": f"theme=dark; session={PLAIN}",
    "Set-Cookie": f"session={PLAIN}; Path=/",
    "X-Api-Key": PLAIN,
    "api-key": PLAIN,
    "X-Goog-Api-Key": PLAIN,
    "X-Auth-Token": PLAIN,
    "Ocp-Apim-Subscription-Key": PLAIN,
    "X-Amz-Security-Token": PLAIN,
    "OpenAI-Api-Key": PLAIN,
}
PATHS = {
    "the query": f"{STREAM}?key={PLAIN}&x=1",
    "a name that is encoded": f"{STREAM}?x=1&api%5Fkey={PLAIN}",
    "a signature": f"{STREAM}?sig={PLAIN}",
    "the user of a URL": f"http://user:{PLAIN}@localhost{STREAM}",
    "the query of an unknown endpoint": f"/v1/agents/a/streem?access_token={PLAIN}",
    "the user of an unknown one": f"http://user:{PLAIN}@localhost/v1/streem",
}
BODIES = {
    "api_key": {"api_key": PLAIN},
    "openai_api_key": {"options": [{"openai_api_key": PLAIN}]},
    "clientSecret": {"config": {"clientSecret": PLAIN}},
    "credentials": {"credentials": {"user": "u", "value": PLAIN}},
    "JSON in JSON": {"arguments": json.dumps({"client_secret": PLAIN})},
    "a header in JSON": {"headers": [f"Authorization: Bearer {PLAIN}"]},
    "a number": {"password": 8127364512, "passwd": PLAIN},
}
REQUESTS = (
    {f"header {name}": post(STREAM, **{name: value}) for name, value in HEADERS.items()}
    | {name: post(path) for name, path in PATHS.items()}
    | {f"body with {name}": post(STREAM, body) for name, body in BODIES.items()}
    | {"a GET": f"GET {STREAM}?q=1&token={PLAIN} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()}
)


def shown_ways(host):
    """Call everything that shows something to people."""
    for exchange in [*host.requests, *host.unmatched]:
        yield "title", exchange.title
        yield "repr", repr(exchange)
        yield "timeline", exchange.timeline()
        yield "writes", f"{exchange.sent!r} {exchange.plan!r}"
        yield "headers", str(exchange.headers)
        yield "raw_headers", f"{exchange.raw_headers!r} {exchange.raw_headers}"
        yield "failure", f"{exchange.failure} {exchange.refused} {exchange.unmatched}"
        yield "as_dict", json.dumps(exchange.as_dict())
        yield "transcript", f"{exchange.transcript()} {exchange.transcript_dict()}"
    yield "timelines", host.timelines()
    yield "journal", json.dumps(host.journal.as_dict())
    yield "har", json.dumps(host.journal.as_har())
    yield "transcripts", host.journal.transcript()
    yield "problems", "\n".join(host.problems())
    with pytest.raises(AssertionError) as raised:
        host.check()
    yield "check", str(raised.value)
    with pytest.raises(TimeoutError) as late:
        host.wait_request(9, timeout=0.0)
    yield "wait_request", str(late.value)


@pytest.fixture
def records(caplog):
    """Collect what is logged, as pytest shows it and as ``runagent-fake serve`` does."""
    screen = io.StringIO()
    handler = ExchangeLog(screen)
    caplog.set_level(logging.DEBUG)
    logging.root.addHandler(handler)
    yield lambda: f"{caplog.text}\n{screen.getvalue()}"
    logging.root.removeHandler(handler)


def demand_hidden(host, records, *forms):
    ways = [*shown_ways(host), ("log", records())]
    assert [] == [(way, text) for way, text in ways for form in forms if form in text]


def echoes(exchange):
    """Repeat the key, as some services do."""
    return [f"you are {PLAIN}", {"you": [PLAIN]}, "left"]


def quotes(exchange):
    """Fail, and quote what was asked."""
    raise ValueError(f"{dict(exchange.raw_headers)} {exchange.path} {exchange.body}\n{PLAIN}")


@pytest.mark.parametrize("responds", [echoes, quotes])
@pytest.mark.parametrize("request_bytes", REQUESTS.values(), ids=REQUESTS)
def test_no_credential_of_a_request_is_shown(request_bytes, responds, records):
    with FakeAgentServer() as server, connected(server.url) as client:
        server.agent("a").responds(responds, writes=every(7))
        server.agent("a").returns_once(PLAIN)
        client.send(request_bytes)
        answered = request_bytes.split()[1].startswith(STREAM.encode())
        client.until(b"left" if answered and responds is echoes else b"}}")
        demand_hidden(server, records, PLAIN, BASIC, "8127364512", "l1ve-90a")


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_nor_is_one_of_the_message_of_a_websocket(body, records):
    memory = MemoryNetwork()
    memory.agent("a").responds(echoes)
    memory.agent("a").returns_once("x")
    client = RunAgentClient("a", base_url=memory.url, network=memory.blocking, transport="websocket")
    with client:
        assert 3 == len(list(client.run_generic_stream(body)))
    demand_hidden(memory, records, PLAIN, "8127364512")


@pytest.mark.parametrize("form", ["plain", "JSON", "ASCII"])
def test_a_key_with_special_characters_is_found_in_every_form(form):
    written = {
        "plain": SECRET,
        "JSON": json.dumps({"x": SECRET}, ensure_ascii=False),
        "ASCII": json.dumps([SECRET]),
    }
    secrets = Secrets().seen_in({"x-api-key": SECRET})
    shown = [secrets.text(written[form]), repr(secrets.value({"a": written[form]}))]
    shown.append(secrets.data(written[form].encode()).decode())
    assert [] == [text for text in shown if "sk-l1ve" in text or "7812" in text]


def test_what_only_looks_like_a_key_is_shown():
    with FakeAgentServer() as server, connected(server.url) as client:
        server.agent("a").always({"token": "Once"}, {"key": "upon"})
        client.send(
            post(
                STREAM,
                {"max_tokens": 4096, "prompt_cache_key": "shown-1", "q": "the key: is it?"},
                **{"Idempotency-Key": "shown-2", "authorization": "Bearer wrong"},
            )
        )
        client.until(b"0\r\n\r\n")
        shown = server.timelines() + str(server.requests[0].raw_headers)
    assert ["4096", "shown-1", "shown-2", "Once", "upon"] == [
        word for word in ("4096", "shown-1", "shown-2", "Once", "upon", "wrong") if word in shown
    ]


def test_a_test_reads_the_real_values():
    with FakeAgentServer() as server, connected(server.url) as client:
        server.agent("a").always("x")
        client.send(post(f"{STREAM}?key={PLAIN}", {"api_key": PLAIN}, authorization=f"Bearer {PLAIN}"))
        client.until(b"0\r\n\r\n")
        (exchange,) = server.requests
    assert {"api_key": PLAIN} == exchange.body == exchange.input
    assert f"Bearer {PLAIN}" == exchange.raw_headers["authorization"]
    assert exchange.path.endswith(PLAIN)
    assert exchange.raw_headers == dict(exchange.raw_headers)


class Custom(Dialect):
    """A protocol with the key in unusual places."""

    name = "custom"
    transports = ("custom",)
    credential_fields = ("X-Tenant-Code", "passport")

    def parse_request(self, request):
        if not request.path.startswith("/custom"):
            return None
        body = json.loads(request.body)
        return RunRequest(agent_id="a", transport="custom", body=body, input=body)

    def find_api_key(self, request):
        return request.path.split("/")[2] if request.path.startswith("/custom") else None

    def stream(self, run):
        class Lines(Format):
            def start(self, run):
                return b""

            def chunk(self, step, index, id):
                return f"{step.content}\n".encode()

            def done(self, step, run, chunks):
                return b""

            def error(self, step):
                return b""

        return Lines()


@pytest.mark.parametrize(
    "request_bytes",
    [
        post("/custom/x", {}, **{"x-tenant-code": PLAIN}),
        post("/custom/x", {"passport": PLAIN}),
        post(f"/custom/{PLAIN}", {}),
        post("/other/x", {}, **{"x-tenant-code": PLAIN}),
    ],
    ids=["header", "body", "path", "unknown endpoint"],
)
def test_a_dialect_declares_where_its_credentials_are(request_bytes, records):
    with FakeAgentServer(dialects=[Custom()]) as server, connected(server.url) as client:
        server.agent("a").responds(quotes)
        server.agent("a").returns_once("left")
        client.send(request_bytes)
        client.until(b"}}")
        demand_hidden(server, records, PLAIN)


def test_an_answer_shows_no_cookie_that_it_sets(records):
    with FakeAgentServer(api_key=PLAIN) as server, connected(server.url) as client:
        server.agent("a").always(
            head(headers={"Set-Cookie": "session=f00d5678"}), chunk(PLAIN), writes=every(3)
        )
        server.agent("a").reply(PLAIN)
        server.agent("a").reply(PLAIN)
        for _ in range(2):
            client.send(stream(authorization=f"Bearer {PLAIN}"))
            client.until(b"0\r\n\r\n")
        client.send(stream(authorization=f"Bearer {PLAIN}"))
        client.until(b"0\r\n\r\n")
        server.agent("a").returns_once(PLAIN)
        demand_hidden(server, records, PLAIN, "f00d5678")


def test_no_report_of_the_kit_shows_an_option_that_is_a_credential():
    class Quoting(SSESession):
        def read_body(self, data):
            raise ValueError(f"{self.call.options} {self.call.headers}")

    options = {"transport_options": {"openai_api_key": PLAIN}, "headers": {"X-Auth-Token": f"{PLAIN}-2"}}
    report = check_transport(
        Broken("quotes", "session.done", Quoting), options=options, only=["session.done"]
    )
    assert (False, True, False) == (report.ok, "ValueError" in str(report), PLAIN in str(report))


# What is no request

MALFORMED = {
    "a bad header": f"POST {STREAM} HTTP/1.1\r\nAuthorizat\x00ion: Bearer {PLAIN}\r\n\r\n",
    "no header": f"POST {STREAM} HTTP/1.1\r\nBearer {PLAIN}\r\n\r\n",
    "a bad target": f"POST {STREAM}?x={PLAIN} \x01 HTTP/1.1\r\n\r\n",
    "no HTTP": f"{PLAIN}\r\n\r\n",
    "a bad length": f"POST {STREAM} HTTP/1.1\r\nContent-Length: {PLAIN}\r\n\r\n",
    "a bad chunk": f"POST {STREAM} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{PLAIN}\r\n",
    "a long line": f"POST {STREAM} HTTP/1.1\r\nX-Api-Key: {PLAIN}{'x' * 9000}\r\n\r\n",
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_request_is_not_quoted(data, records, capfd):
    with FakeAgentServer() as server, connected(server.url) as client:
        server.agent("a").always("x")
        client.send(data.encode("latin-1"))
        client.socket.shutdown(1)
        answer, _ = client.rest()
    out, err = capfd.readouterr()
    assert [False] * 4 == [PLAIN in text for text in (records(), out, err, answer.decode("latin-1"))]
    assert "Traceback" not in records() + err


# What pytest shows


@pytest.mark.parametrize("fails_in", ["the test", "the function", "the comparison"])
def test_no_report_of_pytest_shows_a_credential(fails_in, project):
    result = run(
        project,
        f"""
import logging

def reply(exchange):
    inside = exchange
    if {fails_in == "the function"}:
        raise ValueError(exchange.raw_headers["authorization"])
    return ["x"]

def test_it(memory_network, caplog):
    caplog.set_level(logging.DEBUG)
    memory_network.agent("a").responds(reply).returns_once("left")
    client = RunAgentClient("a", base_url=memory_network.url, network=memory_network.blocking,
                            api_key="{PLAIN}", headers={{"X-Tenant": "shown"}}, max_retries=0)
    try:
        client.run_generic_stream({{"client_secret": "{PLAIN}"}}).text()
    except Exception as error:
        raised = repr(error)
    exchange = memory_network.requests[0]
    text = repr(client)
    del client
    if {fails_in == "the comparison"}:
        assert exchange.raw_headers == {{}}
    assert 0
""",
        *("--showlocals", "--tb=long", "-vv", "-rA", "--full-trace"),
    )
    result.assert_outcomes(failed=1)
    source = (f'api_key="{PLAIN}"', f'"client_secret": "{PLAIN}"')  # the test's own text
    lines = [line for line in result.outlines + result.errlines if PLAIN in line]
    assert [] == [line for line in lines if not any(text in line for text in source)]


# The kind: one place decides what is shown

PACKAGE = Path(__file__).parents[2] / "runagent_testing"
WRITERS = {
    "_internal/log.py": "the logger",
    "_standalone/command.py": "the command",
    "_standalone/serve.py": "the command",
    "_standalone/log.py": "the log of the command",
    "_standalone/output.py": "the log of the command",
    "_memory/real_time.py": "a warning that never changes",
}
NAMES = ("print", "logging", "warnings", "pprint", "breakpoint", "syslog")
ATTRIBUTES = ("stderr", "stdout", "exception", "excepthook", "format_exception", "print_exc", "format_exc")


def writers(source):
    """List what in a source writes to people by itself."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and node.id in NAMES and isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Attribute) and (node.attr in ATTRIBUTES or _logs(node)):
            yield node.attr


def _logs(node):
    return isinstance(node.value, ast.Name) and node.value.id == "logger" and node.attr != "name"


def test_nothing_else_writes_to_people():
    served = [path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] != "conformance"]
    found = {path.relative_to(PACKAGE).as_posix(): set(writers(path.read_text("utf-8"))) for path in served}
    assert {} == {name: words for name, words in found.items() if words and name not in WRITERS}


def test_a_second_writer_would_be_found():
    assert {"stderr"} == set(writers("import sys\nsys.stderr.write('x')"))
    assert {"exception"} == set(writers("logger.exception('x')"))
    assert {"print"} == set(writers("print('x')"))
    assert {"info"} == set(writers("logger.info('x')"))


@pytest.mark.parametrize(
    "name",
    [
        "X-Tenant-Key",
        "service_token",
        "my-secret",
        "DB_PASSWORD",
        "x-auth",
        "set-cookie",
        "webhook-signature",
    ],
)
def test_what_is_a_credential_to_the_client_is_one_here(name):
    assert (True, True) == (is_credential(name), Names().mean_a_credential(name))


def test_client_and_fake_have_the_same_list_of_credential_names():
    assert (_redact._CREDENTIAL, _redact._NO_CREDENTIAL) == (names.PATTERN, names.NO_CREDENTIAL)


def test_the_exchange_of_every_request_knows_what_to_hide():
    assert "_SECRETS" not in (PACKAGE / "_host/endpoints.py").read_text("utf-8")
    endpoints = MemoryNetwork(api_key=PLAIN)._endpoints
    answer = endpoints.answer(Request("GET", "/", {}, 1))
    assert "<redacted>" == answer.exchange.secrets.text(PLAIN)
