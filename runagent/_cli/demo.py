"""``runagent demo``: one story over every transport, in every style, from a fake agent in this process."""

from __future__ import annotations

import asyncio
import contextlib
from importlib import import_module
from typing import TYPE_CHECKING, Any

from runagent._cli.arguments import UsageError
from runagent._client.async_client import AsyncRunAgentClient
from runagent._client.client import RunAgentClient
from runagent._errors import NetworkError, ProtocolError
from runagent._internal import clock
from runagent._version import install_command

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from runagent._cli.console import Console
    from runagent._report import RunReport
    from runagent_testing import FakeAgentServer

__all__ = ["demo"]

STORY = (
    "Mara kept the lamp",
    " at Low Point,",
    " where no ship",
    " had passed",
    " for nine years.\n",
    "Every dusk",
    " she lit it;",
    " every dawn the sea",
    " was as empty",
    " as before.\n",
    "Then, one night,",
    " far out in the dark,",
    " a small light",
    " blinked twice:",
    " thank you.\n",
)
AGENT = "storyteller"
QUERY = {"query": "Tell me a story about a lighthouse"}
TRANSPORTS = ("sse", "chunked", "websocket")
NEEDED = ("aiohttp", "trio")
PAUSE_SECONDS, SHORT_PAUSE_SECONDS = 0.03, 0.002


def demo(arguments: argparse.Namespace, console: Console) -> None:
    """Stream the story in all ways and compare them.

    Raises:
        UsageError: A library that it needs is not installed.
        RunAgentError: A run failed, or returned another story.
    """
    _import_libraries()
    with _fake_agent(SHORT_PAUSE_SECONDS if arguments.fast else PAUSE_SECONDS) as server:
        console.line(f"A fake agent streams a story at {server.url}; nothing leaves this machine.")
        reports = [
            (transport, style, _stream_once(transport, style, server.url, console))
            for transport in TRANSPORTS
            for style in STYLES
        ]
    console.line("\ntransport  style    first chunk  chunks  seconds")
    for transport, style, report in reports:
        first = 1000 * (report.first_chunk_seconds or 0.0)
        seconds = report.total_seconds or 0.0
        console.line(f"{transport:9}  {style:7}  {first:8.1f} ms  {report.chunks:6}  {seconds:7.2f}")


def _import_libraries() -> None:
    """Import what is not part of every installation; before the runs, so that they are timed without it."""
    missing = []
    for name in NEEDED:
        try:
            import_module(name)
        except ModuleNotFoundError:
            missing.append(name)
    if missing:
        install = install_command("testing", "trio")
        raise UsageError(f"the demo needs {' and '.join(missing)}; install with: {install}")


@contextlib.contextmanager
def _fake_agent(pause: float) -> Iterator[FakeAgentServer]:
    from runagent_testing import FakeAgentServer, delay

    server = FakeAgentServer()
    server.agent(AGENT).always(*(step for text in STORY for step in (delay(pause), text)))
    try:
        server.start()
    except OSError as exc:
        raise NetworkError(f"the demo's agent cannot listen on this machine: {exc}") from exc
    try:
        yield server
    finally:
        server.close()


def _stream_once(transport: str, style: str, url: str, console: Console) -> RunReport:
    """Stream the story in one way, each line with the time at which its first chunk came."""
    console.line(f"\n{transport}, {style}")
    begun = clock.now()
    texts: list[str] = []

    def show(text: str) -> None:
        line_begins = not texts or texts[-1].endswith("\n")
        console.write(f"{clock.now() - begun:7.3f} s  {text}" if line_begins else text)
        texts.append(text)

    report = STYLES[style](_options(transport, url), show)
    if tuple(texts) != STORY:
        raise ProtocolError(
            f"the story came as {len(texts)} chunks over {transport}, and is not the original"
        )
    return report


def _options(transport: str, url: str) -> dict[str, Any]:
    """Leave out the settings of the person who runs it, the key above all."""
    return {
        "agent_id": AGENT,
        "api_key": "demo",
        "base_url": url,
        "transport": transport,
        "transport_options": {},
        "timeout": 10.0,
        "max_retries": 0,
        "proxy": "",
    }


def _sync(options: dict[str, Any], show: Callable[[str], None]) -> RunReport:
    with RunAgentClient(**options) as client, client.run_generic_stream(QUERY) as stream:
        for chunk in stream:
            show(chunk)
    return stream.report


async def _async(options: dict[str, Any], show: Callable[[str], None]) -> RunReport:
    async with AsyncRunAgentClient(**options) as client, client.run_generic_stream(QUERY) as stream:
        async for chunk in stream:
            show(chunk)
    return stream.report


def _asyncio(options: dict[str, Any], show: Callable[[str], None]) -> RunReport:
    return asyncio.run(_async(options, show))


def _trio(options: dict[str, Any], show: Callable[[str], None]) -> RunReport:
    import trio

    return trio.run(_async, options, show)


STYLES = {"sync": _sync, "asyncio": _asyncio, "trio": _trio}
