"""Recordings written by hand, and those that a client's network makes."""

from __future__ import annotations

import json
from typing import Any

from runagent import RunAgentError
from runagent_testing import AsyncRecordingNetwork, RecordingNetwork
from runagent_testing._recorder.connection import ConnectionTap
from tests.runagent_testing.raw_client import post
from tests.runagent_testing.virtual import Virtual

__all__ = ["DONE", "SSE_HEAD", "Recorded", "header", "pass_through", "recorded", "rows", "written"]

SSE_HEAD = {"status": 200, "headers": {"content-type": "text/event-stream"}, "gap": 0.5}
DONE = 'event: done\ndata: {"type":"done"}\n\n'


def header(response: Any = SSE_HEAD, **more: Any) -> dict[str, Any]:
    """Make a header; the request's dialect is the documented one unless more is given."""
    asked = {"method": "POST", "path": "/v1/agents/a/stream", "headers": {"accept": "text/event-stream"}}
    usual = {"agent": "a", "dialect": "documented", "transport": "sse", "request": asked}
    return {"runagent_recording": 1, **usual, "response": response, **more}


def rows(*values: Any) -> bytes:
    """Write one JSON value a line."""
    return "".join(f"{json.dumps(value)}\n" for value in values).encode()


def written(path: Any, *values: Any) -> Any:
    """Write a recording, and return its path."""
    path.write_bytes(rows(*values))
    return path


class Recorded(Virtual):
    """A memory network of a style whose exchanges are recorded."""

    def __init__(self, style: str, folder: Any, **options: Any) -> None:
        super().__init__(style)
        make: Any = RecordingNetwork if style == "sync" else AsyncRecordingNetwork
        self.network = make(folder, self.network, **options)

    def events(self, transport: str = "sse", **options: Any) -> Any:
        """Run once: the events with their times, and the error."""

        async def scenario() -> Any:
            seen = []
            events = self.client(transport, max_retries=0, **options).run_generic_stream("hello").events()
            began = self.network.now()
            while True:
                try:
                    seen.append((await anext(events), self.network.now() - began))
                except StopAsyncIteration:
                    return seen, None
                except RunAgentError as exc:
                    return seen, type(exc)

        return self.run(scenario)


def recorded(folder: Any) -> list[Any]:
    """The only recording: its lines, without the time at which it was made."""
    (path,) = folder.iterdir()
    first, *rest = (json.loads(line) for line in path.read_text().splitlines())
    del first["recorded_at"]
    return [first, *rest]


def pass_through(folder: Any, *reads: bytes, path: str = "/v1/agents/a/stream", **fields: str) -> None:
    """Let the bytes of one exchange pass through a connection that is recorded."""
    tap = ConnectionTap(folder, lambda: 0.0)
    tap.sent(post(path, {"query": "x"}, **fields))
    for read in reads:
        tap.received(read)
    tap.closed()
