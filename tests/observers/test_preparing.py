"""What observers may change of a call before it begins."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

import runagent
from runagent._plugins.call_observers import CHANGEABLE
from tests.docs.pages import DOCS
from tests.observers.watcher import read_to_the_end

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent.transports import AgentCall
    from runagent_testing import FakeAgentServer
    from tests.support.styles import Style


class Preparer:
    """Changes a call as a test wants it."""

    def __init__(self, change: Callable[[AgentCall], Any]) -> None:
        self.change = change

    def observe_call(self, call: AgentCall) -> Preparer:
        return self

    def prepare(self, call: AgentCall) -> Any:
        return self.change(call)


def with_header(name: str, value: str) -> Preparer:
    return Preparer(lambda call: call.replace(headers=(*call.headers, (name, value))))


def run_prepared(style: Style, server: FakeAgentServer, *preparers: Any) -> Any:
    """Run once and return the request that the agent saw."""
    server.agent("a").always("x")

    async def scenario() -> None:
        await read_to_the_end(style.client("a", base_url=server.url, headers={"X-Own": "1"}), style)

    with ExitStack() as registered:
        for preparer in preparers:
            registered.enter_context(runagent.register_observer(preparer))
        style.run(scenario)
    return server.requests[0]


def test_a_call_is_prepared_by_one_after_the_other(style: Style, server: FakeAgentServer) -> None:
    seen = []

    def look(call: AgentCall) -> None:
        seen.append(dict(call.headers))

    request = run_prepared(
        style,
        server,
        Preparer(lambda call: call.replace(input={**call.input, "added": True})),
        with_header("Traceparent", "00-1"),
        Preparer(look),
    )
    assert ("00-1", "1") == (request.headers["traceparent"], request.headers["x-own"])
    assert {"query": "x", "added": True} == request.body
    assert [{"X-Own": "1", "Traceparent": "00-1"}] == seen


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda _call: "text", "returned 'text' instead of an AgentCall"),
        (lambda call: call.replace(agent_id="another"), "changed agent_id; it may change args"),
        (lambda call: call.replace(api_key="stolen"), "changed api_key"),
        (lambda call: call.replace(headers=(("X", "a\r\nY: b"),)), "X"),
        (lambda call: call.replace(headers=(("Host", "elsewhere"),)), "Host"),
        (lambda call: call.replace(input={"query": object()}), "input"),
        (lambda _call: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_what_must_not_be_changed_is_not(
    style: Style, server: FakeAgentServer, caplog: pytest.LogCaptureFixture, change: Any, complaint: str
) -> None:
    request = run_prepared(style, server, Preparer(change))
    assert ({"query": "x"}, "1", "a") == (request.body, request.headers["x-own"], request.agent_id)
    own = [record for record in caplog.records if record.name.startswith("runagent")]
    (record,) = (record for record in own if record.levelno == logging.WARNING)
    assert "Preparer" in record.getMessage()
    assert "is asked nothing more about this call" in record.getMessage()
    assert complaint in str(caplog.text)


@pytest.mark.parametrize("name", sorted(CHANGEABLE))
def test_what_may_be_changed_is_documented(name: str) -> None:
    assert name in DOCS["observers"].spans()


@pytest.mark.parametrize(
    "change",
    [
        {"entrypoint_tag": "\ud83d"},
        {"entrypoint_tag": 5},
        {"headers": (("X-A", "\ud83d"),)},
        {"headers": (("X-A", "a"), ("x-a", "b"))},
        {"input": {"query": "\ud83d"}},
        {"args": ("\ud83d",)},
    ],
    ids=ascii,
)
def test_what_cannot_be_sent_is_not_taken(
    style: Style, server: FakeAgentServer, caplog: pytest.LogCaptureFixture, change: dict[str, Any]
) -> None:
    async def scenario() -> str:
        return str(await style.client("a", base_url=server.url, transport="websocket").run_stream("x").text())

    server.agent("a").always("good")
    with runagent.register_observer(Preparer(lambda call: call.replace(**change))):
        assert "good" == style.run(scenario)
    assert "is asked nothing more about this call" in caplog.text
