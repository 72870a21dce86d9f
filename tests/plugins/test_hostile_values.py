"""No value of a caller or of a discovery answer ever becomes a second header, request or origin."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from runagent import RunAgentClient, RunAgentError
from runagent._run.spec import Action
from runagent.transports import HttpRequest, Step, parse_url
from tests.support.peer import http
from tests.support.transports import LettersSession, OwnTransport

if TYPE_CHECKING:
    from collections.abc import Generator

    from runagent.transports import StepAnswer

HOME, THERE = "http://home.test", "http://there.test:8080"
HOSTILE = st.text(st.sampled_from("ab1:/?#@%[]. \t\r\n\0\x7f\x85\u2028é\ud800\"'\\{}"), max_size=12)
VALUE = HOSTILE | st.sampled_from(
    [
        "x\r\nX-Injected: 1",
        "x\nX-Injected: 1",
        "x\r\n\r\nGET / HTTP/1.1\r\nHost: a",
        "x\0",
        "",
        "Host",
        "Content-Length",
    ]
)
URL = st.builds("".join, st.tuples(st.sampled_from([HOME, THERE, "http://", ""]), VALUE)) | st.sampled_from(
    [
        f"{THERE}@evil.test/",
        f"{THERE}.evil.test/",
        "http://there.test:8081/",
        "https://there.test:8080/",
        "http://home.test:80/",
        "http://THERE.test:8080",
        "//evil.test/",
        "http://there.test:8080\\@evil.test/",
    ]
)
CARD = st.fixed_dictionaries({"url": URL, "name": VALUE, "value": VALUE, "id": VALUE})


class _Credulous(LettersSession):
    """Puts whatever it gets into its requests, as it is."""

    def fields(self, *own: tuple[str, str]) -> list[tuple[str, str]]:
        return [*self.call.request_headers(accept="*/*"), *own]

    def before(self) -> Generator[Step, StepAnswer, None]:
        own = ("X-Input", self.call.input["query"]), ("X-Option", self.call.options["v"])
        self.card = (yield Step(HttpRequest("GET", "/card", self.fields(*own)))).json()
        self.origin_there, self.target = parse_url(self.card["url"])
        yield Step(HttpRequest("GET", f"/{self.card['id']}", self.fields()))

    def make_request(self) -> HttpRequest:
        own = (self.card["name"], "x"), ("X-Card", self.card["value"])
        return HttpRequest("POST", self.target, self.fields(*own), b"{}", origin=self.origin_there)


def note_sent(run: Any, card: dict[str, str], sent: list[tuple[str, bytes]]) -> None:
    """Note what a run sends, and to which origin; a peer answers its first request with the card."""
    data = b""
    for answer in (json.dumps(card), "{}", ""):
        if run.action is Action.CONNECT:
            run.begin_attempt(0.0)
            run.connected(0.0, reused=False)
            data = run.data_to_send()
        if run.action is not Action.READ:
            return
        sent.append((str(run.address.origin), data))
        if answer:
            data = run.received(http(200, answer, content_type="application/json"), 0.0, 0.0)


@settings(max_examples=600)
@given(VALUE, VALUE, st.dictionaries(VALUE, VALUE, max_size=1), CARD)
@example("x", "y", {}, {"url": f"{THERE}/rpc?a=b", "name": "X-Name", "value": "v", "id": "t1"})
def test_no_value_becomes_a_second_header_request_or_origin(
    query: str, option: str, headers: dict[str, str], card: dict[str, str]
) -> None:
    sent: list[tuple[str, bytes]] = []
    try:
        client = RunAgentClient(
            "a",
            base_url=HOME,
            api_key="secret",
            headers=headers,
            allowed_origins=[THERE],
            transport=OwnTransport("credulous", _Credulous),
            transport_options={"v": option},
            max_retries=0,
        )
        note_sent(client._new_run("stream", {"query": query}), card, sent)
    except RunAgentError:
        pass
    for number, (origin, data) in enumerate(sent):
        head, end, body = data.partition(b"\r\n\r\n")
        line, *fields = head.split(b"\r\n")
        names = [field.partition(b":")[0].lower() for field in fields]
        assert (HOME if number < 2 else origin) == origin
        assert origin in (HOME, THERE)
        assert (b"\r\n\r\n", [b"", b"", b"{}"][number]) == (end, body)
        assert 3 == len(line.split(b" "))
        assert len(names) == len(set(names))
        assert b"x-injected" not in names
        assert f"Host: {origin.removeprefix('http://')}".encode() in fields
        assert not any(bad in head.replace(b"\r\n", b"") for bad in (b"\r", b"\n", b"\0"))
