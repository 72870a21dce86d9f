"""Our client and the server of the published ``runagent`` package: the same name, the WebSocket protocol."""

from __future__ import annotations

import json
import signal
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runagent import (
    AgentError,
    AgentNotFoundError,
    RunAgentError,
    StreamError,
    StreamTruncatedError,
    Timeouts,
)
from tests.interop.programs import Port, Program, environment, needs_environment
from tests.support.families import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.styles import Style

pytestmark = [pytest.mark.interop, needs_environment("published")]

AGENT = """
    import asyncio, time

    def echo(*args, **kwargs):
        return {"args": list(args), "kwargs": kwargs}

    def breaks(**kwargs):
        raise ValueError("deliberate failure")

    async def words(*args, query="", **kwargs):
        for word in ("wörld \U0001f600", "", {"a": [1, None, True]}, 3, None, 0.5, list(args), query):
            yield word

    def many(**kwargs):
        for number in range(2000):
            yield f"{number} "

    async def breaks_off(**kwargs):
        yield "one"
        raise ValueError("deliberate failure")

    async def pauses(**kwargs):
        yield "one"
        await asyncio.sleep(60)
        yield "two"
"""
TAGS = {
    "generic": "echo",
    "generic_stream": "words",
    "breaks": "breaks",
    "many_stream": "many",
    "breaks_off_stream": "breaks_off",
    "pauses_stream": "pauses",
}
CONFIGURATION = {
    "agent_name": "writer",
    "agent_id": "writer",
    "description": "what the tests ask",
    "framework": "default",
    "template": "none",
    "version": "1.0",
    "created_at": "2026-01-01T00:00:00",
    "template_source": {"repo_url": "none", "author": "none", "path": "none"},
    "agent_architecture": {
        "entrypoints": [
            {"file": "agent.py", "module": function, "tag": tag} for tag, function in TAGS.items()
        ]
    },
}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("published")
    (folder / "agent.py").write_text(textwrap.dedent(AGENT), encoding="utf-8")
    (folder / "runagent.config.json").write_text(json.dumps(CONFIGURATION), encoding="utf-8")
    script = Path(__file__).with_name("published_server.py")
    variables = {"GIT_PYTHON_REFRESH": "quiet", "PYTHONUTF8": "1"}
    with Port() as port:
        command = [environment("published"), script, folder, port.number]
        with Program(command, port, folder / "log", variables, patience=60) as server:
            yield server


def client_of(style: Style, published: Program, tag: str | None = None, **options: Any) -> Any:
    limits = Timeouts(first_event=20, idle=20, total=40)
    given = {"agent_id": "writer", "transport": "websocket", "entrypoint_tag": tag, "timeout": limits}
    return style.client(base_url=published.url, **given | options)


def failure(style: Style, published: Program, tag: str, agent_id: str = "writer") -> RunAgentError:
    async def scenario() -> None:
        await client_of(style, published, tag, agent_id=agent_id).run_generic_stream("x").text()

    with pytest.raises(RunAgentError) as caught:
        style.run(scenario)
    return caught.value


def test_a_stream_gives_what_the_agent_yields(style: Style, published: Program) -> None:
    async def scenario() -> Any:
        stream = client_of(style, published).run_generic_stream({"query": "wörld"})
        return await shown(stream)

    expected = ["wörld \N{GRINNING FACE}", "", {"a": [1, None, True]}, 3, None, 0.5, [], "wörld"]
    assert ("ok", expected) == style.run(scenario)


def test_a_long_stream_arrives_whole(style: Style, published: Program) -> None:
    async def scenario() -> Any:
        return await shown(client_of(style, published, "many_stream").run_generic_stream("x"))

    assert ("ok", [f"{number} " for number in range(2000)]) == style.run(scenario)


def test_a_plain_run(style: Style, published: Program) -> None:
    async def scenario() -> Any:
        return await client_of(style, published).run_generic({"query": "wörld"})

    assert {"args": [], "kwargs": {"query": "wörld"}} == style.run(scenario)


def test_a_plain_run_that_fails(style: Style, published: Program) -> None:
    async def scenario() -> None:
        await client_of(style, published, "breaks").run(query="x")

    with pytest.raises(AgentError, match="deliberate failure"):
        style.run(scenario)


def test_positional_arguments_arrive(style: Style, published: Program) -> None:
    async def scenario() -> Any:
        client = client_of(style, published)
        return await client.run(1, "two", three=3), [chunk async for chunk in client.run_stream(1, "two")]

    answer, chunks = style.run(scenario)
    assert {"args": [1, "two"], "kwargs": {"three": 3}} == answer
    assert [1, "two"] == chunks[6]


def test_a_stream_that_fails_in_the_middle(style: Style, published: Program) -> None:
    error = failure(style, published, "breaks_off_stream")
    assert (StreamError, "one") == (type(error), getattr(error, "partial_text", None))
    assert "deliberate failure" in str(error)


def test_a_refused_tag(style: Style, published: Program) -> None:
    error = failure(style, published, "nope_stream")
    assert "nope_stream not found" in str(error)


def test_a_wrong_agent_id(style: Style, published: Program) -> None:
    error = failure(style, published, "generic_stream", "nobody")
    assert (AgentNotFoundError, 403) == (type(error), getattr(error, "status", None))


def test_auto_finds_the_transport_that_it_speaks(style: Style, published: Program) -> None:
    async def scenario() -> Any:
        stream = client_of(style, published, transport="auto").run_generic_stream("x")
        await stream.text()
        return stream.report.transport

    assert "websocket" == style.run(scenario)


def test_closing_early_leaves_the_server_in_order(style: Style, published: Program) -> None:
    async def scenario() -> Any:
        async with client_of(style, published, "pauses_stream").run_generic_stream("x") as stream:
            assert "one" == await anext(aiter(stream))
        return await client_of(style, published).run_generic("x")

    assert {"args": [], "kwargs": {"query": "x"}} == style.run(scenario)


def test_a_server_that_dies_in_the_middle(style: Style, published: Program) -> None:
    async def scenario() -> None:
        stream = client_of(style, published, "pauses_stream").run_generic_stream("x")
        assert "one" == await anext(aiter(stream))
        published.stop(signal.SIGKILL)
        await anext(aiter(stream))

    try:
        with pytest.raises(StreamTruncatedError) as caught:
            style.run(scenario)
    finally:
        published.restart()
    assert 1 == caught.value.chunks_received
