"""The agents of test_servers.py, in Starlette: event streams by sse-starlette, lines, text, WebSockets."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.websockets import WebSocket

CHUNKS = ["wörld \N{GRINNING FACE}", *(f"{number} " for number in range(500))]


async def answer_of(agent_id: str) -> AsyncIterator[str]:
    """Stream this agent's chunks; of the other agents one breaks off, one is silent after its first word."""
    for chunk in CHUNKS:
        yield chunk
        if agent_id == "breaks":
            raise RuntimeError("on purpose")
        if agent_id == "waits":
            await asyncio.sleep(60)


async def events(agent_id: str) -> AsyncIterator[dict[str, str]]:
    yield {"event": "start", "data": "{}"}
    async for chunk in answer_of(agent_id):
        yield {"event": "chunk", "data": json.dumps({"content": chunk}, ensure_ascii=False)}
    yield {"event": "done", "data": "{}"}


async def lines(agent_id: str) -> AsyncIterator[str]:
    async for chunk in answer_of(agent_id):
        yield json.dumps({"type": "chunk", "content": chunk}) + "\n"
    yield '{"type": "done"}\n'


async def stream(request: Request) -> Response:
    agent_id, accepted = request.path_params["agent_id"], request.headers["accept"]
    if "event-stream" in accepted:
        return EventSourceResponse(events(agent_id))
    if "ndjson" in accepted:
        return StreamingResponse(lines(agent_id), media_type="application/x-ndjson")
    return StreamingResponse(answer_of(agent_id), media_type="text/plain")


async def invoke(request: Request) -> Response:
    return JSONResponse({"result": await request.json()})


async def run_stream(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.receive_json()

    async def say(**message: Any) -> None:
        await websocket.send_text(json.dumps(message))

    await say(type="status", status="stream_started")
    async for chunk in answer_of(websocket.path_params["agent_id"]):
        await say(type="data", content=json.dumps({"type": "string", "payload": json.dumps(chunk)}))
    await say(type="status", status="stream_completed")
    await websocket.receive()


app = Starlette(
    routes=[
        Route("/v1/agents/{agent_id}/stream", stream, methods=["POST"]),
        Route("/v1/agents/{agent_id}/invoke", invoke, methods=["POST"]),
        WebSocketRoute("/api/v1/agents/{agent_id}/run-stream", run_stream),
    ]
)
