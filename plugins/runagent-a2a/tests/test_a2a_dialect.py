"""What the fake agent answers to requests that our transport does not make: versions, methods, states."""

from __future__ import annotations

import contextlib
import http.client
import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from runagent_testing import FakeAgentServer, custom, done, ending, error, reasoning

RPC, REST, OLD = ("SendStreamingMessage", "1.0"), ("message:stream", "1.0"), ("message/stream", None)


def ask(url: str, body: Any = None, version: str | None = None, **headers: str) -> tuple[int, Any]:
    """Send JSON, or GET without a body, and return status and answer: JSON, or the events of a stream."""
    fields = {"Content-Type": "application/json", **headers}
    if version is not None:
        fields["A2A-Version"] = version
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, fields)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            status, text = answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            status, text = refused.code, refused.read().decode()
    if not text.startswith("data: "):
        return status, json.loads(text)
    return status, [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]


def rpc(server: FakeAgentServer, method: str, params: Any, version: str | None = "1.0") -> Any:
    body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
    status, answer = ask(f"{server.url}/a2a/writer", body, version)
    assert 200 == status
    return answer


def message(text: str = "hi", **fields: Any) -> dict[str, Any]:
    return {"message": {"messageId": "m", "role": "user", "parts": [{"text": text}], **fields}}


def code_of(answer: Any) -> Any:
    assert 7 == answer["id"]
    return answer["error"]["code"]


@pytest.mark.parametrize(
    ("method", "version", "code"),
    [
        ("SendStreamingMessage", None, -32009),
        ("SendStreamingMessage", "0.3", -32009),
        ("SendMessage", "2.0", -32009),
        ("GetTask", None, -32009),
        ("message/stream", "1.0", -32603),
        ("tasks/get", "1.0", -32603),
        ("SendTask", "1.0", -32601),
    ],
)
def test_versions_and_methods_that_do_not_fit_are_refused(
    server: FakeAgentServer, method: str, version: str | None, code: int
) -> None:
    server.agent("writer")
    assert code == code_of(rpc(server, method, message(), version))


def test_http_json_refuses_by_status(server: FakeAgentServer) -> None:
    server.agent("writer")
    base = f"{server.url}/a2a/writer"
    status, answer = ask(f"{base}/message:stream", message())
    assert (400, "VERSION_NOT_SUPPORTED") == (status, answer["error"]["details"][0]["reason"])
    status, answer = ask(f"{base}/tasks/nobody", version="1.0")
    assert (404, "TASK_NOT_FOUND") == (status, answer["error"]["details"][0]["reason"])
    status, answer = ask(f"{base}/tasks/nobody:cancel", {}, version="1.0")
    assert (404, "NOT_FOUND") == (status, answer["error"]["status"])


@pytest.mark.parametrize("broken", [{}, {"message": {}}, {"message": {"messageId": "m", "role": "user"}}, []])
def test_an_incomplete_message_is_refused(server: FakeAgentServer, broken: Any) -> None:
    server.agent("writer")
    assert -32602 == code_of(rpc(server, "SendStreamingMessage", broken))


@pytest.mark.parametrize(
    ("end", "state", "goes_on"),
    [
        (done(), "COMPLETED", False),
        (error("X", "no room"), "FAILED", False),
        (error("CANCELLED"), "CANCELED", False),
        (done("Which?", interrupts=[{"a": 1}]), "INPUT_REQUIRED", True),
        (ending("cut"), "WORKING", True),
    ],
)
def test_a_task_can_be_asked_for(server: FakeAgentServer, end: Any, state: str, goes_on: bool) -> None:
    agent = server.agent("writer")
    agent.reply("Once", {"page": 1}, end)
    body = {"jsonrpc": "2.0", "id": 7, "method": "SendStreamingMessage", "params": message()}
    request = urllib.request.Request(
        f"{server.url}/a2a/writer", json.dumps(body).encode(), {"A2A-Version": "1.0"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        task = json.loads(answer.readline()[6:])["result"]["task"]
        with contextlib.suppress(OSError, http.client.HTTPException):  # of the cut
            answer.read()
    found = rpc(server, "GetTask", {"id": task["id"]})["result"]
    parts = [{"text": "Once"}, {"data": {"page": 1}}]
    assert (f"TASK_STATE_{state}", task["contextId"]) == (found["status"]["state"], found["contextId"])
    assert [{"artifactId": "answer", "parts": parts}] == found["artifacts"]
    old = rpc(server, "tasks/get", {"id": task["id"]}, None)["result"]
    assert (state.lower().replace("_", "-"), "task") == (old["status"]["state"], old["kind"])
    agent.reply("more")
    again = rpc(server, "SendStreamingMessage", message(taskId=task["id"]))
    assert goes_on == isinstance(again, list)
    if not goes_on:
        assert -32004 == code_of(again)
        assert "more" in str(rpc(server, "SendStreamingMessage", message()))


def test_a_script_with_what_a2a_has_no_place_for_is_refused(server: FakeAgentServer) -> None:
    for step in (reasoning("hm"), custom("file", 7)):
        server.agent("writer").reply(step)
        status, _ = ask(f"{server.url}/a2a/writer/message:stream", message(), "1.0")
        assert 500 == status
        with pytest.raises(AssertionError, match=r"reasoning\(\.\.\.\)|custom\('file', {...}\)"):
            server.check()
        server.clear()


def test_a_key_is_asked_for_by_all_requests() -> None:
    with FakeAgentServer(api_key="k3y") as server:
        server.agent("writer").reply("Once")
        base = f"{server.url}/a2a/writer"
        assert 401 == ask(f"{base}/.well-known/agent-card.json")[0]
        assert 401 == ask(f"{base}/message:stream", message(), "1.0")[0]
        key = {"Authorization": "Bearer k3y"}
        assert 200 == ask(f"{base}/.well-known/agent-card.json", **key)[0]
        assert 200 == ask(f"{base}/message:stream", message(), "1.0", **key)[0]


def test_a_card_is_below_each_agents_url_behind_any_prefix(server: FakeAgentServer) -> None:
    server.agent("a/b")
    status, card = ask(f"{server.url}/some/where/a2a/a%2Fb/.well-known/agent-card.json")
    urls = {interface["url"] for interface in card["supportedInterfaces"]}
    assert (200, "a/b", {f"{server.url}/some/where/a2a/a%2Fb"}) == (status, card["name"], urls)
    assert 404 == ask(f"{server.url}/a2a/nobody/.well-known/agent-card.json")[0]
