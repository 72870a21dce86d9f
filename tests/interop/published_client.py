"""What the published ``runagent`` package makes of a fake agent; run by an environment that has it.

    python published_client.py HOST PORT FILE

writes what came out as JSON to FILE. Whatever is not loopback is refused, and no process is started.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import sys
from pathlib import Path
from typing import Any


def only_loopback(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse connections to other machines and new processes (an audit hook)."""
    if event in ("subprocess.Popen", "os.system", "os.posix_spawn"):
        raise PermissionError(f"{event} {arguments}")
    address = arguments[1] if event == "socket.connect" else None
    if isinstance(address, tuple) and not ipaddress.ip_address(address[0]).is_loopback:
        raise PermissionError(f"{event} {address}")
    if event == "socket.getaddrinfo" and arguments[0] not in ("127.0.0.1", "localhost"):
        raise PermissionError(f"{event} {arguments[0]}")


def outcome(call: Any) -> Any:
    """Call, and report the result."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - the published package raises bare Exception
        return {"raised": type(error).__name__, "text": str(error)}


def main(host: str, port: str, result: str) -> None:
    """Run the agents in every way the package has."""
    import websockets
    from websockets.legacy.client import connect

    from runagent import RunAgentClient  # type: ignore[attr-defined, unused-ignore]

    # The package's asynchronous method passes an argument that only this older client knows.
    setattr(websockets, "connect", connect)  # noqa: B010 - an assignment mypy would refuse

    def client(agent_id: str, tag: str) -> Any:
        address: dict[str, Any] = {"entrypoint_tag": tag, "local": True, "host": host, "port": int(port)}
        return RunAgentClient(agent_id, **address)

    async def streamed(agent_id: str) -> list[Any]:
        streams = client(agent_id, "words_stream").socket_client
        return [chunk async for chunk in streams.run_stream_async(agent_id, "words_stream", 1, query="wörld")]

    found = {
        "run": lambda: client("writer", "generic").run(1, query="wörld"),
        "run, failing": lambda: client("failing", "generic").run(),
        "stream": lambda: list(client("writer", "words_stream").run_stream(1, query="wörld")),
        "run of a stream": lambda: list(client("writer", "words_stream").run(1, query="wörld")),
        "stream, failing": lambda: list(client("failing", "words_stream").run_stream()),
        "stream, unknown tag": lambda: list(client("writer", "nope_stream").run_stream()),
        "stream, unknown agent": lambda: list(client("nobody", "words_stream").run_stream()),
        "async stream": lambda: asyncio.run(streamed("writer")),
        "async stream, failing": lambda: asyncio.run(streamed("failing")),
    }
    outcomes = {name: outcome(call) for name, call in found.items()}
    Path(result).write_text(json.dumps(outcomes), encoding="utf-8")


if __name__ == "__main__":
    sys.addaudithook(only_loopback)
    main(*sys.argv[1:])
