"""The agents of test_servers.py, on the server of `websockets`, which pings all the time."""

from __future__ import annotations

import asyncio
import json
import sys

from websockets.asyncio.server import ServerConnection, serve

CHUNKS = ["wörld \N{GRINNING FACE}", *(f"{number} " for number in range(500))]


async def answer(connection: ServerConnection) -> None:
    assert connection.request is not None
    agent_id = connection.request.path.split("/")[4]
    await connection.recv()
    await connection.send('{"type": "status", "status": "stream_started"}')
    for chunk in CHUNKS:
        content = json.dumps({"type": "string", "payload": json.dumps(chunk)})
        await connection.send(json.dumps({"type": "data", "content": content}))
        if agent_id == "breaks":
            raise RuntimeError("on purpose")
        if agent_id == "waits":
            await connection.wait_closed()
    await connection.send('{"type": "status", "status": "stream_completed"}')
    await connection.wait_closed()


async def main() -> None:
    async with serve(answer, "127.0.0.1", int(sys.argv[1]), ping_interval=0.05):
        await asyncio.Future()


if __name__ == "__main__":
    asyncio.run(main())
