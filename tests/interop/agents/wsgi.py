"""The agents of test_servers.py, in Flask, where everything is synchronous."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from flask import Flask, Response, request

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNKS = ["wörld \N{GRINNING FACE}", *(f"{number} " for number in range(500))]
app = Flask(__name__)


def answer_of(agent_id: str) -> Iterator[str]:
    for chunk in CHUNKS:
        yield chunk
        if agent_id == "breaks":
            raise RuntimeError("on purpose")
        if agent_id == "waits":
            time.sleep(0.2)  # the next write shows that the client has disconnected, and nothing sooner


def events(agent_id: str) -> Iterator[str]:
    for chunk in answer_of(agent_id):
        yield f"event: chunk\ndata: {json.dumps({'content': chunk}, ensure_ascii=False)}\n\n"
    yield "event: done\ndata: {}\n\n"


def lines(agent_id: str) -> Iterator[str]:
    for chunk in answer_of(agent_id):
        yield json.dumps({"type": "chunk", "content": chunk}) + "\n"
    yield '{"type": "done"}\n'


@app.post("/v1/agents/<agent_id>/stream")
def stream(agent_id: str) -> Response:
    accepted = request.headers["accept"]
    if "event-stream" in accepted:
        return Response(events(agent_id), mimetype="text/event-stream")
    if "ndjson" in accepted:
        return Response(lines(agent_id), mimetype="application/x-ndjson")
    return Response(answer_of(agent_id), mimetype="text/plain")


@app.post("/v1/agents/<agent_id>/invoke")
def invoke(agent_id: str) -> Response:
    return Response(json.dumps({"result": request.get_json()}), mimetype="application/json")
