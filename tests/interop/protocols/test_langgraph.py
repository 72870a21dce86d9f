"""The transport ``langgraph`` and the server of ``langgraph dev``; its client and the dialect."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import pytest

from runagent import (
    AgentError,
    AgentNotFoundError,
    Chunk,
    Custom,
    Reasoning,
    RunResult,
    StreamError,
    StreamTruncatedError,
    ToolCall,
    ValidationError,
    answer,
)
from runagent_testing import FakeAgentServer, done, ending, error, gate, tool_call
from tests.docs.pages import ROOT
from tests.interop.peers import met
from tests.interop.programs import Port, Program, environment, needs_environment
from tests.interop.protocols.cut import relays
from tests.support.peer import Peer
from tests.support.styles import Style

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.interop, needs_environment("langgraph")]

SERVER = met("langgraph", "langgraph-api", "server")
CLIENT = met("langgraph", "langgraph-sdk", "client")

AGENTS = Path(__file__).parents[1] / "agents"
WORDS = "slowly " + " ".join(f"w{number}" for number in range(20))
SLOW = f"1: {WORDS}"
QUIET = {"LANGSMITH_TRACING": "false", "LANGGRAPH_CLI_NO_ANALYTICS": "1"}
NOBODY = "6e1b1b1e-0000-4000-8000-000000000000"


class LangGraph(Program):
    """The development server with the graphs of this folder, in memory."""

    def __init__(self, folder: Path, port: Port) -> None:
        names = ("chat", "asking", "failing")
        graphs = {name: f"{AGENTS / 'graphs.py'}:{name}" for name in names}
        settings = {"dependencies": [str(AGENTS)], "graphs": graphs}
        folder.joinpath("langgraph.json").write_text(json.dumps(settings), encoding="utf-8")
        program = environment("langgraph").with_name("langgraph")
        options = ["--no-browser", "--no-reload", "--host", "127.0.0.1", "--port", port.number]
        super().__init__([program, "dev", *options], port, folder / "log", QUIET, patience=120)


@pytest.fixture(scope="module")
def langgraph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LangGraph]:
    with Port() as port, LangGraph(tmp_path_factory.mktemp("langgraph"), port) as running:
        yield running


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch, langgraph: LangGraph) -> None:
    """Configure everything by variables."""
    monkeypatch.setenv("RUNAGENT_TRANSPORT", "langgraph")
    monkeypatch.setenv("RUNAGENT_API_URL", langgraph.url)


pytestmark.append(pytest.mark.usefixtures("chosen"))


@SERVER
def test_a_conversation_of_three_turns(style: Style) -> None:
    async def scenario() -> list[str]:
        user = style.client("chat")
        texts, session = [], None
        for question in ("one", "two", "three"):
            stream = user.run_generic_stream(question, session_id=session)
            texts.append(await stream.text())
            session = stream.started.session_id
        return texts

    assert ["1: one", "2: two", "3: three"] == style.run(scenario)


@SERVER
def test_a_tool_loop_with_reasoning_and_tokens(style: Style) -> None:
    async def scenario() -> tuple[list[Any], Any]:
        stream = style.client("chat").run_generic_stream("the weather?")
        return [event async for event in stream.events()], stream.report.tokens

    events, tokens = style.run(scenario)
    kinds = [event for event in events[1:-1] if not isinstance(event, Custom) or event.name != "updates"]
    thought, first, call, result, second = kinds
    assert (Reasoning, Custom) == (type(thought), type(result))
    assert ("A tool knows.", "Let me see. ", "It is sunny in Oslo") == (
        thought.text,
        first.content,
        second.content,
    )
    assert ToolCall("c1", "weather", '{"city": "Oslo"}', 0) == call
    assert ("tool_result", "c1", "sunny in Oslo") == (
        result.name,
        result.value["tool_call_id"],
        result.value["content"],
    )
    assert (8, 4, 12, "stop") == (tokens.input, tokens.output, tokens.total, events[-1].stop_reason)


@SERVER
def test_plain_runs(style: Style) -> None:
    async def scenario() -> list[RunResult]:
        user = style.client("chat")
        first = await user.run_generic_with_metadata("the weather?")
        second = await user.run_generic_with_metadata("two", session_id=first.metadata["thread_id"])
        asked = await style.client("asking").run_generic_with_metadata("do it")
        thread, (interrupt,) = asked.metadata["thread_id"], asked.result["__interrupt__"]
        reply = {"resume": [answer(interrupt, "yes")]}
        return [
            first,
            second,
            await style.client("asking").run_generic_with_metadata(reply, session_id=thread),
        ]

    results = style.run(scenario)
    assert ["It is sunny in Oslo", "2: two", "The answer was yes."] == [each.result for each in results]
    assert [12, 6, None] == [each.tokens_used for each in results]


@SERVER
def test_a_plain_run_whose_node_fails(style: Style) -> None:
    async def scenario() -> AgentError:
        with pytest.raises(AgentError, match="the node is broken") as caught:
            await style.client("failing").run_generic("hi")
        return caught.value

    assert "ValueError" == style.run(scenario).code


@SERVER
def test_a_plain_run_that_is_cancelled(style: Style, langgraph: LangGraph) -> None:
    async def scenario() -> StreamError:
        user = style.client("chat")
        thread = (await user.run_generic_with_metadata("hi")).metadata["thread_id"]
        canceller = threading.Thread(target=cancel_the_run, args=(f"{langgraph.url}/threads/{thread}/runs",))
        canceller.start()
        with pytest.raises(StreamError) as caught:
            await user.run_generic({"messages": [{"role": "user", "content": "stuck"}]}, session_id=thread)
        canceller.join(10)
        return caught.value

    assert "CANCELLED" == style.run(scenario).code


def cancel_the_run(runs: str) -> None:
    """Cancel the run of a thread that goes on, once there is one."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with urlopen(runs, timeout=10) as answered:
            going = [each["run_id"] for each in json.load(answered) if each["status"] == "running"]
        if going:
            urlopen(Request(f"{runs}/{going[0]}/cancel", data=b"{}", method="POST"), timeout=10).close()
            return
        time.sleep(0.05)


@SERVER
def test_an_interrupt_and_its_answer(style: Style) -> None:
    async def scenario() -> tuple[Any, str]:
        user = style.client("asking")
        stream = user.run_generic_stream("do it")
        *_, end = [event async for event in stream.events()]
        reply = {"resume": [answer(end.interrupts[0], "yes")]}
        more = user.run_generic_stream(reply, session_id=stream.started.session_id)
        return end.interrupts, await more.text()

    interrupts, text = style.run(scenario)
    assert ([{"question": "May I?"}], "The answer was yes.") == ([each["value"] for each in interrupts], text)


@SERVER
def test_the_state(style: Style) -> None:
    async def scenario() -> list[Any]:
        options = {"langgraph_stream_mode": ["values"]}
        stream = style.client("chat", transport_options=options).run_generic_stream(
            {"query": "hi", "asked": 6}
        )
        return [event async for event in stream.events() if isinstance(event, Custom)]

    states = style.run(scenario)
    assert {"state"} == {event.name for event in states}
    assert (7, "1: hi") == (states[-1].value["asked"], states[-1].value["messages"][-1]["content"])


@SERVER
def test_a_failed_node(style: Style) -> None:
    async def scenario() -> StreamError:
        with pytest.raises(StreamError, match="the node is broken") as caught:
            await style.client("failing").run_generic_stream("hi").text()
        return caught.value

    assert "ValueError" == style.run(scenario).code


@SERVER
@pytest.mark.parametrize(
    ("agent", "session", "kind"),
    [("nobody", None, ValidationError), ("chat", NOBODY, AgentNotFoundError), ("chat", "x", ValidationError)],
)
def test_a_refusal(style: Style, agent: str, session: str | None, kind: type[Exception]) -> None:
    async def scenario() -> None:
        with pytest.raises(kind):
            await style.client(agent, max_retries=0).run_generic_stream("hi", session_id=session).text()

    style.run(scenario)


@SERVER
@pytest.mark.parametrize("properly", [False, True])
@pytest.mark.parametrize("events", [0, 1, 2, 9])
def test_a_stream_that_is_cut_goes_on_in_its_run(langgraph: LangGraph, events: int, properly: bool) -> None:
    port = langgraph.port.number
    style = Style("sync")

    async def scenario() -> tuple[str, list[str]]:
        stream = style.client("chat", base_url=peer.url, retry_delay=0.01).run_generic_stream(WORDS)
        return await stream.text(), [request.line.split(" ")[0] for request in peer.requests]

    with Peer(relays(port, events=events, properly=properly), relays(port)) as peer:
        text, methods = style.run(scenario)
    # One thread and one run, however often a busy server ends what it sends of the run before the run's end.
    assert (SLOW, 2) == (text, methods.count("POST"))
    assert methods.count("GET") >= (3 if properly else 2)


@SERVER
def test_a_stream_that_ends_properly_before_its_run_raises_without_resuming(langgraph: LangGraph) -> None:
    style = Style("sync")

    async def scenario() -> None:
        user = style.client("chat", base_url=peer.url, resume=False)
        with pytest.raises(StreamTruncatedError, match="ended while the run was running"):
            await user.run_generic_stream(WORDS).text()

    with Peer(relays(langgraph.port.number, events=5, properly=True)) as peer:
        style.run(scenario)


@SERVER
def test_a_fast_stream_whose_events_share_ids_is_read_again(style: Style) -> None:
    question = " ".join(["again"] * 300)

    async def scenario() -> tuple[str, str, int]:
        user = style.client("chat", retry_delay=0.01)
        stream = user.run_generic_stream(question)
        ids, text, before, handle = [], "", "", None
        async for event in stream.events():
            if isinstance(event, Chunk):
                text += str(event.content)
                ids.append(event.id)
                if handle is None and (handle := stream.handle) is not None:
                    before = text
        return text, before + await user.attach(handle).text(), len(ids) - len(set(ids))

    text, again, shared = style.run(scenario)
    assert (f"1: {question}", f"1: {question}") == (text, again)
    assert 0 < shared


PROGRAM = """
import json, sys
from runagent import RunAgentClient
stream = RunAgentClient("chat").attach(sys.argv[1])
found = stream.cancel() if sys.argv[2] == "cancel" else stream.text()
print(json.dumps(found))
"""


def in_another_process(handle: str, what: str) -> Any:
    command = [sys.executable, "-c", PROGRAM, handle, what]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(ran.stdout)


@SERVER
def test_another_process_reads_on(style: Style) -> None:
    async def scenario() -> tuple[str, str]:
        stream = style.client("chat").run_generic_stream(WORDS)
        text, handle = "", None
        while handle is None or text.count(" ") < 4:
            text += await stream.__anext__()
            handle = stream.handle
        await stream.aclose()
        return text, await style.in_thread(in_another_process, handle, "read")

    assert SLOW == "".join(style.run(scenario))


@SERVER
def test_another_process_cancels(style: Style) -> None:
    async def scenario() -> tuple[bool, StreamError]:
        stream = style.client("chat").run_generic_stream(WORDS * 9)
        await stream.__anext__()
        while (handle := stream.handle) is None:
            await stream.__anext__()
        cancelled = await style.in_thread(in_another_process, handle, "cancel")
        with pytest.raises(StreamError) as caught:
            await stream.text()
        return cancelled, caught.value

    cancelled, failed = style.run(scenario)
    assert (True, "CANCELLED") == (cancelled, failed.code)


# Its client, and the fake agent


@CLIENT
@pytest.mark.parametrize("way", ["sync", "async"])
def test_the_client_reads_the_dialect(way: str, agents: FakeAgentServer) -> None:
    chat = agents.agent("chat")
    chat.reply(
        "Once", tool_call("weather", {"city": "Oslo"}, id="c1"), " upon", done(usage={"total_tokens": 3})
    )
    chat.reply(done(interrupts=[{"id": "i1", "value": "May I?"}])).reply("Thanks")
    chat.reply("Once", error("ValueError", "broken")).reply("Once", " upon").returns("Once")
    agents.agent("slow").reply("Once", gate("never opened"))
    agents.agent("cut").reply("Once", ending("no-done")).reply("Once", " upon")
    command = [environment("langgraph"), AGENTS / "langgraph_client.py", way, agents.url]
    ran = subprocess.run(
        list(map(str, command)),
        env=QUIET | {"HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (0, "") == (ran.returncode, ran.stderr)
    assert {
        "text": "Once upon",
        "calls": [{"city": "Oslo"}],
        "usage": 3,
        "status": "success",
        "interrupts": ["May I?"],
        "answered": "Thanks",
        "failed": {"error": "ValueError", "message": "broken"},
        "joined": " upon",
        "cancelled": "interrupted",
        "waited": "Once",
        "unknown": 422,
        "cut": "Once upon",  # it asks for the run's status, too, and reads on
    } == json.loads(ran.stdout)
