"""Our client and servers that nobody here wrote: what they do to a stream, and to one that breaks off."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runagent import Timeouts
from tests.interop.programs import Port, Program, environment, find, needs, needs_environment
from tests.support.families import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.styles import Style

pytestmark = pytest.mark.interop

AGENTS = Path(__file__).with_name("agents")
CHUNKS = ["wörld \N{GRINNING FACE}", *(f"{number} " for number in range(500))]
HTTP = ("sse", "chunked", "text")
# Name to the program or module, its arguments (PORT is the port), and what it speaks.
SERVERS: dict[str, tuple[str, list[str], tuple[str, ...]]] = {
    "uvicorn on h11": ("uvicorn", ["asgi:app", "--port", "PORT", "--http", "h11"], (*HTTP, "websocket")),
    "uvicorn on httptools": (
        "uvicorn",
        ["asgi:app", "--port", "PORT", "--http", "httptools"],
        (*HTTP, "websocket"),
    ),
    "hypercorn": ("hypercorn", ["asgi:app", "--bind", "127.0.0.1:PORT"], (*HTTP, "websocket")),
    "gunicorn": ("gunicorn", ["wsgi:app", "--bind", "127.0.0.1:PORT", "--threads", "4"], HTTP),
    "werkzeug": ("flask", ["--app", "wsgi", "run", "--port", "PORT"], HTTP),
    "websockets": ("", [str(AGENTS / "sockets.py"), "PORT"], ("websocket",)),
    "node": ("node", [str(AGENTS / "node.mjs"), "PORT"], HTTP),
}
WAYS = [(server, transport) for server, (_, _, spoken) in SERVERS.items() for transport in spoken]


def command_of(server: str, port: Port) -> list[object]:
    program, arguments, _ = SERVERS[server]
    module = ["-m", program] if program else []
    start: list[object] = [find("node")] if program == "node" else [environment("servers"), *module]
    return [*start, *(argument.replace("PORT", str(port.number)) for argument in arguments)]


def is_here(server: str) -> bool:
    return (find("node") is not None) if server == "node" else environment("servers").exists()


def needed_by(server: str) -> pytest.MarkDecorator:
    return needs("node") if server == "node" else needs_environment("servers")


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """All servers that this machine has."""
    variables = {"PYTHONPATH": str(AGENTS), "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    found = {}
    with contextlib.ExitStack() as running:
        for server in filter(is_here, SERVERS):
            port, log = running.enter_context(Port()), tmp_path_factory.mktemp("server") / "log"
            program = Program(command_of(server, port), port, log, variables)
            found[server] = running.enter_context(program).url
        yield found


@pytest.fixture
def url(urls: dict[str, str], server_name: str) -> str:
    return urls[server_name]


def servers(but: str = "") -> pytest.MarkDecorator:
    """Parametrize over the servers and what they speak."""
    ways = [way for way in WAYS if way[1] != but]
    params = [pytest.param(*way, marks=needed_by(way[0]), id=" ".join(way)) for way in ways]
    return pytest.mark.parametrize(("server_name", "transport"), params)


def client_of(style: Style, url: str, transport: str, agent_id: str = "writer", **options: Any) -> Any:
    given: dict[str, Any] = {"timeout": Timeouts(first_event=20, idle=20, total=40), "max_retries": 0}
    if transport == "text":
        transport, given["headers"] = "chunked", {"Accept": "text/plain"}
    return style.client(agent_id, base_url=url, transport=transport, **given | options)


@servers()
def test_a_story_arrives_whole(style: Style, url: str, transport: str) -> None:
    async def scenario() -> Any:
        client = client_of(style, url, transport)
        return [await shown(client.run_generic_stream("x")) for _ in range(3)]

    for verdict, contents in style.run(scenario):
        assert "ok" == verdict
        assert contents == CHUNKS if transport != "text" else "".join(contents) == "".join(CHUNKS)


@servers()
def test_a_server_whose_agent_breaks_off(style: Style, url: str, transport: str) -> None:
    async def scenario() -> Any:
        return await shown(client_of(style, url, transport, "breaks").run_generic_stream("x"))

    verdict, contents = style.run(scenario)
    assert ("truncated", CHUNKS[:1]) == (verdict, contents)


@servers()
def test_closing_early(style: Style, url: str, transport: str) -> None:
    async def scenario() -> Any:
        async with client_of(style, url, transport, "waits").run_generic_stream("x") as stream:
            first = await anext(aiter(stream))
        return first, await shown(client_of(style, url, transport).run_generic_stream("x"))

    first, (verdict, _) = style.run(scenario)
    assert (CHUNKS[0], "ok") == (first, verdict)


@servers(but="websocket")
def test_a_plain_run(style: Style, url: str, transport: str) -> None:
    async def scenario() -> Any:
        return await client_of(style, url, transport).run_generic({"query": "wörld", "n": [1, None]})

    assert {"query": "wörld", "n": [1, None]} == style.run(scenario)
