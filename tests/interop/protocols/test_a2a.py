"""The transport ``a2a`` and a2a-sdk: its server read by us, and the fake agent read by its client."""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runagent import AgentError, Custom, StreamError, ValidationError, answer
from runagent_testing import chunk, custom, done, error, gate, heartbeat
from tests.interop.peers import met
from tests.interop.programs import PATIENCE, Port, Program, environment, needs_environment
from tests.support.peer import Peer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runagent_testing import FakeAgentServer
    from tests.support.peer import PeerConnection
    from tests.support.styles import Style

pytestmark = [pytest.mark.interop, needs_environment("a2a")]

SERVER = met("a2a", "a2a-sdk", "server")
CLIENT = met("a2a", "a2a-sdk", "client")

AGENTS = Path(__file__).parents[1] / "agents"
BINDINGS = {"JSON-RPC": ("JSONRPC", "1.0"), "HTTP+JSON": ("HTTP+JSON", "1.0"), "0.3": ("JSONRPC", "0.3")}
PATHS = {"JSON-RPC": "/rpc", "HTTP+JSON": "/rest", "0.3": "/rpc"}
STORY = "Once upon a time 😀"
FILE = {"raw": "UE5H", "mediaType": "image/png", "filename": "a.png"}


@pytest.fixture(scope="module")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    log = tmp_path_factory.mktemp("a2a") / "log"
    with Port() as port:
        command = [environment("a2a"), AGENTS / "a2a_server.py", port.number]
        with Program(command, port, log, patience=120) as running:
            yield running


@pytest.fixture(params=BINDINGS)
def binding(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(autouse=True)
def chosen_by_the_environment_alone(monkeypatch: pytest.MonkeyPatch, sdk: Program) -> None:
    monkeypatch.setenv("RUNAGENT_TRANSPORT", "a2a")
    monkeypatch.setenv("RUNAGENT_API_URL", sdk.url)


def client(style: Style, binding: str, **options: Any) -> Any:
    """Make a client of the agents over a binding, which the path and two options name."""
    kind, version = BINDINGS[binding]
    named = {"a2a_path": PATHS[binding], "a2a_binding": kind, "a2a_version": version}
    return style.client("agents", transport_options=named, retry_delay=0.01, **options)


def open_gate(sdk: Program, name: str) -> None:
    with urllib.request.urlopen(f"{sdk.url}/open/{name}", b"") as answered:
        assert 204 == answered.status


def pass_on(connection: PeerConnection, port: int, size: int) -> None:
    """Connect to a port, and pass on what comes both ways until it has sent so many bytes."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as upstream,
        selectors.DefaultSelector() as selector,
        contextlib.suppress(ConnectionError),
    ):
        selector.register(connection.socket, selectors.EVENT_READ, upstream)
        selector.register(upstream, selectors.EVENT_READ, connection.socket)
        while size > 0 and (ready := selector.select(PATIENCE)):
            for key, _ in ready:
                source = key.fileobj
                assert isinstance(source, socket.socket)
                if not (data := source.recv(65_536)):
                    return
                if source is upstream:
                    data, size = data[:size], size - len(data)
                key.data.sendall(data)


# Our transport reads its server.


@SERVER
def test_the_card_leads_to_json_rpc(style: Style) -> None:
    async def scenario() -> str:
        async with style.client("agents") as user:
            text: str = await user.run_generic_stream("story").text()
            return text

    assert STORY == style.run(scenario)


@SERVER
def test_text_data_and_files(style: Style, binding: str) -> None:
    async def scenario() -> tuple[str, list[Any]]:
        async with client(style, binding) as user:
            text = await user.run_generic_stream("story").text()
            return text, [event async for event in user.run_generic_stream("data").events()]

    text, events = style.run(scenario)
    contents = [event.content for event in events if hasattr(event, "content")]
    customs = {event.name: event.value for event in events if isinstance(event, Custom)}
    assert (STORY, ["See: ", {"page": 1, "of": [2.5, None, True]}]) == (text, contents)
    assert ({"artifactId": "pages", "name": "pages"}, FILE) == (customs["artifact"], customs["file"])


@SERVER
def test_a_message_without_a_task(style: Style, binding: str) -> None:
    async def scenario() -> tuple[str, Any]:
        async with client(style, binding) as user:
            return await user.run_generic_stream("message").text(), await user.run_generic("message")

    assert ("Once upon a time",) * 2 == style.run(scenario)


@SERVER
def test_three_turns_of_one_conversation(style: Style, binding: str) -> None:
    async def scenario() -> None:
        async with client(style, binding) as user:
            first = user.run_generic_stream("ask")
            assert "Well." == await first.text()
            [waits], context = first.completed.interrupts, first.started.session_id
            assert "Which city?" == first.completed.message
            resume = {"resume": [answer(waits, "answer Oslo")]}
            second = user.run_generic_stream(resume, session_id=context)
            assert "Rain in Oslo." == await second.text()
            assert waits["id"] == second.started.invocation_id
            third = user.run_generic_stream("recall", session_id=context)
            assert "ask, answer Oslo, recall" == await third.text()
            login = user.run_generic_stream("login", session_id=context)
            assert "" == await login.text()
            assert login.completed.stop_reason.upper().replace("-", "_").endswith("AUTH_REQUIRED")

    style.run(scenario)


@SERVER
@pytest.mark.parametrize(
    ("query", "text", "message", "codes"),
    [
        ("fail", "Well.", "no room left", {"FAILED"}),
        ("reject", "", "not my job", {"REJECTED"}),
        ("raise", "Well.", "", {"-32603", "INTERNAL"}),
    ],
)
def test_failures(style: Style, binding: str, query: str, text: str, message: str, codes: set[str]) -> None:
    async def scenario() -> tuple[StreamError, AgentError]:
        async with client(style, binding) as user:
            with pytest.raises(StreamError) as streamed:
                await user.run_generic_stream(query).text()
            with pytest.raises(AgentError) as plain:
                await user.run_generic(query)
            return streamed.value, plain.value

    streamed, plain = style.run(scenario)
    assert (text, message) == (streamed.partial_text, message and streamed.message)
    assert codes & {streamed.code, "INTERNAL" if streamed.code == "500" else ""}
    assert message in plain.message


@SERVER
def test_refusals(style: Style, binding: str) -> None:
    async def scenario() -> None:
        async with client(style, binding) as user:
            done_with = user.run_generic_stream("story")
            await done_with.text()
            for task in (done_with.started.invocation_id, "nobody's"):
                resume = [{"id": task, "payload": "story"}]
                with pytest.raises(ValidationError) as caught:
                    await user.run_generic_stream({"resume": resume}).text()
                assert caught.value.code in ("-32001", "TASK_NOT_FOUND", "-32004", "UNSUPPORTED_OPERATION")

    style.run(scenario)


@SERVER
def test_plain_runs(style: Style, binding: str) -> None:
    async def scenario() -> tuple[Any, Any]:
        async with client(style, binding) as user:
            return await user.run_generic("story"), await user.run_generic_with_metadata("ask")

    story, waits = style.run(scenario)
    assert (STORY, "Well.") == (story, waits.result)
    [interrupt] = waits.metadata["interrupts"]
    assert interrupt["id"] == waits.metadata["taskId"]


@SERVER
def test_a_stream_that_is_cut_goes_on_without_loss_or_repeat(
    style: Style, binding: str, sdk: Program
) -> None:
    """A proxy cuts the first connection in the middle of the stream."""
    expected = "".join(f"{number} " for number in range(40))

    async def scenario(url: str) -> tuple[str, int]:
        async with client(style, binding, base_url=url) as user:
            stream = user.run_generic_stream("count")
            return await stream.text(), len(stream.report.attempts)

    port = sdk.port.number
    first, others = (lambda peer: pass_on(peer, port, 6000)), (lambda peer: pass_on(peer, port, sys.maxsize))
    with Peer(first, others) as proxy:
        text, attempts = style.run(lambda: scenario(proxy.url))
    assert expected == text
    assert attempts in range(2, 6)  # an update that may be in the snapshot is another one


@SERVER
def test_another_process_reads_on(style: Style, binding: str, sdk: Program) -> None:
    name = f"read-{style.name}-{binding}"

    async def scenario() -> str:
        async with client(style, binding) as user:
            stream = user.run_generic_stream(f"wait {name}")
            assert ["Once", " upon"] == [await anext(stream), await anext(stream)]
            handle: str = stream.handle
            await stream.aclose()
            return handle

    handle = style.run(scenario)
    kind, version = BINDINGS[binding]
    options = {"a2a_path": PATHS[binding], "a2a_binding": kind, "a2a_version": version}
    code = (
        "import sys, runagent\n"
        f"client = runagent.RunAgentClient('agents', transport_options={options!r})\n"
        "stream = client.attach(sys.argv[1])\n"
        "stream.accepted(); print('reading', flush=True); print(stream.text())\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, handle], stdout=subprocess.PIPE, text=True) as other:
        stop = threading.Timer(PATIENCE, other.kill)
        stop.start()
        try:
            assert other.stdout is not None
            assert "reading\n" == other.stdout.readline()
            open_gate(sdk, name)
            assert " a time\n" == other.stdout.read()
        finally:
            stop.cancel()
            stop.join()
            other.kill()


@SERVER
def test_a_task_that_is_over_is_read_as_a_whole(style: Style, binding: str, sdk: Program) -> None:
    name = f"over-{style.name}-{binding}"

    async def scenario() -> tuple[str, str]:
        async with client(style, binding) as user:
            stream = user.run_generic_stream(f"wait {name}")
            assert ["Once", " upon"] == [await anext(stream), await anext(stream)]
            handle = stream.handle
            await style.in_thread(open_gate, sdk, name)
            rest = await stream.text()
            return rest, await user.attach(handle).text()

    assert (" a time",) * 2 == style.run(scenario)


@SERVER
def test_a_task_is_cancelled(style: Style, binding: str) -> None:
    async def scenario() -> None:
        async with client(style, binding) as user:
            stream = user.run_generic_stream("wait for-ever")
            assert ["Once", " upon"] == [await anext(stream), await anext(stream)]
            handle = stream.handle
            assert await stream.cancel()
            assert not await user.attach(handle).cancel()
            with pytest.raises(StreamError) as caught:
                await user.attach(handle).text()
            assert "CANCELLED" == caught.value.code

    style.run(scenario)


# Its client reads the fake agent.


def their(agents: FakeAgentServer, binding: str, *action: str) -> list[Any]:
    kind, version = BINDINGS[binding]
    command = [
        environment("a2a"),
        AGENTS / "a2a_client.py",
        f"{agents.url}/a2a/writer",
        kind,
        version,
        *action,
    ]
    ran = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=60, check=False
    )
    assert (0, "") == (ran.returncode, ran.stderr)
    return [json.loads(line) for line in ran.stdout.splitlines()]


def states(events: list[Any]) -> list[str]:
    found = [event["statusUpdate"]["status"]["state"] for event in events if "statusUpdate" in event]
    return [state.removeprefix("TASK_STATE_") for state in found]


def parts(events: list[Any]) -> list[Any]:
    return [
        part
        for event in events
        if "artifactUpdate" in event
        for part in event["artifactUpdate"]["artifact"]["parts"]
    ]


@CLIENT
def test_it_reads_text_data_files_and_the_end(agents: FakeAgentServer, binding: str) -> None:
    agents.agent("writer").reply(
        "Once",
        {"page": 1},
        7,
        chunk("Un", event="title"),
        heartbeat(),
        custom("file", FILE),
        custom("urn:n", 1),
    )
    begun, *events = their(agents, binding, "send", "hi")
    assert "TASK_STATE_SUBMITTED" == begun["task"]["status"]["state"]
    assert (["WORKING", "WORKING", "COMPLETED"], "hi") == (states(events), agents.requests[0].input["query"])
    assert [{"text": "Once"}, {"data": {"page": 1}}, {"data": 7}, {"text": "Un"}, FILE] == parts(events)


@CLIENT
def test_it_continues_a_task(agents: FakeAgentServer, binding: str) -> None:
    agents.agent("writer").reply("Well.", done("Which city?", interrupts=[{"form": 1}])).reply("Rain")
    begun, *events = their(agents, binding, "send", "weather")
    task, context = begun["task"]["id"], begun["task"]["contextId"]
    assert ["WORKING", "INPUT_REQUIRED"] == states(events)
    second = their(agents, binding, "send", "Oslo", task, context)
    assert (["WORKING", "COMPLETED"], [{"text": "Rain"}]) == (states(second), parts(second))


@CLIENT
def test_it_sees_failures(agents: FakeAgentServer, binding: str) -> None:
    agents.agent("writer").reply("Well.", error("X", "no room")).reply(error("REJECTED")).reply(
        error("-32603", "kettle")
    )
    assert ["WORKING", "FAILED"] == states(their(agents, binding, "send", "hi"))
    assert ["WORKING", "REJECTED"] == states(their(agents, binding, "send", "hi"))
    assert ("InternalError", "kettle") == tuple(their(agents, binding, "send", "hi")[-1].values())


@CLIENT
def test_it_subscribes_gets_and_cancels(agents: FakeAgentServer, binding: str, style: Style) -> None:
    async def scenario() -> None:
        named = {"a2a_binding": BINDINGS[binding][0], "a2a_version": BINDINGS[binding][1]}
        url = f"{agents.url}/a2a/writer"
        async with style.client("writer", base_url=url, transport_options=named) as user:
            stream = user.run_generic_stream("hi")
            assert "Once" == await anext(stream)
            task = stream.started.invocation_id
            whole = (await style.in_thread(their, agents, binding, "get", task))[0]
            assert ("TASK_STATE_WORKING", [{"text": "Once"}]) == (
                whole["status"]["state"],
                whole["artifacts"][0]["parts"],
            )
            cancelled = (await style.in_thread(their, agents, binding, "cancel", task))[0]
            assert "TASK_STATE_CANCELED" == cancelled["status"]["state"]
            with pytest.raises(StreamError) as caught:
                await stream.text()
            assert "CANCELLED" == caught.value.code
            for action, expected in (
                ("subscribe", "UnsupportedOperationError"),
                ("cancel", "TaskNotCancelableError"),
            ):
                assert expected == (await style.in_thread(their, agents, binding, action, task))[-1]["raised"]
            lost = await style.in_thread(their, agents, binding, "get", "nobody's")
            assert "TaskNotFoundError" == lost[-1]["raised"]

    agents.agent("writer").reply("Once", gate("never opened"), " upon")
    style.run(scenario)


@CLIENT
def test_it_reads_a_plain_answer(agents: FakeAgentServer, binding: str) -> None:
    agents.agent("writer").returns("Once upon")
    [event] = their(agents, binding, "plain", "hi")
    assert ("TASK_STATE_COMPLETED", [{"text": "Once upon"}]) == (
        event["task"]["status"]["state"],
        event["task"]["artifacts"][0]["parts"],
    )
