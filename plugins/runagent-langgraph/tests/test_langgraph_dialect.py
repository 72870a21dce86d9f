"""The fake agent as a LangGraph server, as its other clients see it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from runagent_testing import custom, done, ending, error, gate, status, tool_call

if TYPE_CHECKING:
    from runagent_testing import FakeAgentServer

THREAD = "00000000-0000-0000-0000-000000000001"
ASK = {"assistant_id": "chat", "input": {"messages": [{"role": "user", "content": "hi"}]}}


def ask(
    server: FakeAgentServer, path: str, body: Any = None, method: str | None = None, **headers: str
) -> tuple[int, Any, str]:
    """Return the status of an answer, its header fields and its body."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    data = None if body is None else json.dumps(body).encode()
    request = Request(server.url + path, data, fields, method=method)
    try:
        with urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except HTTPError as refused:
        with refused:
            return refused.code, refused.headers, refused.read().decode()


def events(text: str) -> list[tuple[str, Any]]:
    """Return the names and values of the events of a body."""
    assert "\n" not in text.replace("\r\n", "")
    fields = [
        dict(line.split(": ", 1) for line in event.split("\r\n")) for event in text.split("\r\n\r\n")[:-1]
    ]
    return [(field["event"], json.loads(field["data"])) for field in fields]


def test_a_run_as_a_client_sees_it(server: FakeAgentServer) -> None:
    server.agent("chat").reply(
        "Once", tool_call("look", {"at": "x"}, id="c1"), done(usage={"total_tokens": 3})
    )
    code, _, body = ask(server, "/threads", {"metadata": {"user": "u1"}})
    assert (200, THREAD, {"user": "u1"}) == (code, (made := json.loads(body))["thread_id"], made["metadata"])
    _, headers, body = ask(server, f"/threads/{THREAD}/runs/stream", ASK)
    names = [name for name, _ in events(body)]
    assert ["metadata", *["messages"] * 5, "updates", "messages", "updates"] == names
    (run,) = {value["run_id"] for name, value in events(body) if name == "metadata"}
    assert f"/threads/{THREAD}/runs/{run}" == headers["content-location"]
    first, second = (value["agent"]["messages"] for name, value in events(body) if name == "updates")
    assert ("Once", {"at": "x"}, 3) == (
        first[0]["content"],
        first[0]["tool_calls"][0]["args"],
        second[0]["usage_metadata"]["total_tokens"],
    )
    assert "success" == json.loads(ask(server, f"/threads/{THREAD}/runs/{run}")[2])["status"]


@pytest.mark.parametrize(
    ("modes", "expected"),
    [
        ("values", ["metadata", "custom", "values"]),
        (["updates"], ["metadata", "custom", "updates"]),
        (["messages-tuple", "values"], ["metadata", "messages", "custom", "messages", "values"]),
    ],
)
def test_only_the_modes_that_were_asked_for_are_written(
    server: FakeAgentServer, modes: Any, expected: list[str]
) -> None:
    server.agent("chat").reply("Once", custom("custom", {"progress": 1}))
    *_, body = ask(server, "/threads/t1/runs/stream", {**ASK, "stream_mode": modes})
    assert expected == [name for name, _ in events(body)]


def test_a_run_without_a_thread_and_below_a_prefix(server: FakeAgentServer) -> None:
    agent = server.agent("chat").always("Once").returns("Once")
    *_, body = ask(server, "/deployment/runs/stream", ASK)
    assert "metadata" == events(body)[0][0]
    assert "Once" == json.loads(ask(server, "/runs/wait", ASK)[2])["messages"][0]["content"]
    agent.returns({"turns": 1})
    assert {"turns": 1} == json.loads(ask(server, "/threads/t1/runs/wait", ASK)[2])
    assert [{"query": "hi"}] * 3 == [exchange.input for exchange in server.requests]


@pytest.mark.parametrize("prefix", ["", "/deployment"])
@pytest.mark.parametrize("kind", ["stream", "wait"])
def test_the_head_names_the_thread_and_the_run(prefix: str, kind: str, server: FakeAgentServer) -> None:
    server.agent("chat").always("Once").returns("Once")
    _, headers, _ = ask(server, f"{prefix}/threads/t1/runs/{kind}", ASK)
    assert headers["content-location"].startswith("/threads/t1/runs/")


def test_a_plain_run_that_fails(server: FakeAgentServer) -> None:
    server.agent("chat").returns(error("ValueError", "broken"))
    code, _, body = ask(server, "/runs/wait", ASK)
    assert (200, {"__error__": {"error": "ValueError", "message": "broken"}}) == (code, json.loads(body))


def test_a_run_is_joined_behind_an_id_and_cancelled(server: FakeAgentServer) -> None:
    server.agent("chat").reply("Once", ending("cut")).reply("Once", " upon", gate("never opened"))
    with pytest.raises(Exception, match=r"IncompleteRead|incomplete|bytes"):
        ask(server, "/threads/t1/runs/stream", ASK)
    request = Request(f"{server.url}/threads/t1/runs/stream", json.dumps(ASK).encode())
    with urlopen(request, timeout=10) as stream:
        place = stream.headers["content-location"]
        assert b"event: metadata\r\n" == stream.readline()
        joined = Request(f"{server.url}{place}/stream", headers={"Last-Event-ID": "1764000000000-1"})
        with urlopen(joined, timeout=10) as again:
            lines = [again.readline().decode() for _ in range(3)]
            assert ("event: messages\r\n", "id: 1764000000000-2\r\n") == (lines[0], lines[2])
            assert "running" == json.loads(ask(server, place)[2])["status"]
            assert 202 == ask(server, f"{place}/cancel", {})[0]
            again.read()
        stream.read()
    assert "interrupted" == json.loads(ask(server, place)[2])["status"]
    assert 404 == ask(server, f"{place}/cancel", {})[0]


def test_what_there_is_not(server: FakeAgentServer) -> None:
    for path in ("/threads/t9", "/threads/t9/runs/r9", "/threads/t9/runs/r9/stream"):
        assert 404 == ask(server, path)[0]
    ask(server, "/threads", {"thread_id": "t1"})
    assert "t1" == json.loads(ask(server, "/threads/t1")[2])["thread_id"]


def test_refusals_in_the_server_s_form(server: FakeAgentServer) -> None:
    assert (422, {"detail": "Invalid assistant: 'nobody'."}) == _refused(server, assistant_id="nobody")
    server.agent("chat").reply(status(409, message="Thread is busy")).reply(
        status(400, code="X", message="no")
    )
    assert (409, {"detail": "Thread is busy"}) == _refused(server)
    assert (400, {"detail": {"code": "X", "message": "no"}}) == _refused(server)


def _refused(server: FakeAgentServer, **fields: Any) -> tuple[int, Any]:
    code, _, body = ask(server, "/threads/t1/runs/stream", ASK | fields)
    return code, json.loads(body)


@pytest.mark.parametrize("name", ["messages", "metadata", "error", "values", "two words", ""])
def test_events_that_no_server_sends(server: FakeAgentServer, name: str) -> None:
    server.agent("chat").reply("Once", custom(name, 1))
    assert 500 == ask(server, "/threads/t1/runs/stream", ASK)[0]
