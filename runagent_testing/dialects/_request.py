"""Requests as dialects and agents see them, from any parser."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from runagent_testing._internal.clock import now
from runagent_testing._internal.public import publish
from runagent_testing._internal.redaction import Secrets

__all__ = ["MAX_BODY", "Request", "RunRequest", "joined", "parse_json"]

_SECRETS = Secrets()
MAX_BODY = 16 * 1024 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request.

    Attributes:
        method: As received.
        path: As received, percent-encoded, with the query.
        headers: Names in lower case; a repeated header's values joined with a comma.
        connection: Number of the connection, counted from 1.
        body: None if it was larger than `MAX_BODY`; it is then not read to its end.
        http_1_1: False for HTTP/1.0.
        keep_alive: Whether the client wants to use the connection again.
        reused: Whether the connection has carried a request before.
        now: Returns the time in seconds.
    """

    method: str
    path: str
    headers: dict[str, str]
    connection: int
    body: bytes | None = b""
    http_1_1: bool = True
    keep_alive: bool = True
    reused: bool = False
    now: Callable[[], float] = now

    def __repr__(self) -> str:
        return f"<Request {self.method} {_SECRETS.line(self.path)}>"

    def __reduce__(self) -> tuple[Any, ...]:
        # Without `now`, behind which there may be an event loop.
        return Request, tuple(getattr(self, field.name) for field in fields(self) if field.name != "now")

    @property
    def handshake_fault(self) -> tuple[int, str] | None:
        """The status and reason that refuse it as a WebSocket's handshake, or None (RFC 6455 section 4.2)."""
        tokens = [token.strip().lower() for token in self.headers.get("connection", "").split(",")]
        if self.headers.get("upgrade", "").lower() != "websocket" or "upgrade" not in tokens:
            return 426, "this is a WebSocket endpoint: the request does not ask for an upgrade to websocket"
        if self.headers.get("sec-websocket-version") != "13":
            return 426, "Sec-WebSocket-Version is not 13"
        try:
            key = base64.b64decode(self.headers.get("sec-websocket-key", ""), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        return None if len(key) == 16 else (400, "Sec-WebSocket-Key is not 16 bytes in base64")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """A request that asks for a run, as its dialect understands it.

    Attributes:
        agent_id: The id of the requested agent.
        transport: The transport's name, as ``exchange.transport`` shows it; a dialect with several formats
            distinguishes them by it.
        kind: "stream", "plain" for one whole answer, "websocket" for a handshake, whose request follows
            in a message.
        body: The decoded request, as ``exchange.body`` shows it; None on a WebSocket, where it is still to
            come.
        input: The agent's input, as ``exchange.input`` shows it.
        resume_from: The index, from 0, of the first requested chunk; None for all chunks.
        resume_after: The id of the last event that the client has, in the protocol's own form; the `Format`
            then writes nothing for events up to that one. None for all events.
        run_id: The id of a new run, if the client chooses it, for dialects with `Dialect.keeps_runs`; None:
            the host makes one.
        attach_to: The id of a run that exists, which this request reads instead of beginning one; the agent's
            id may then be empty. For dialects with `Dialect.keeps_runs`.
        snapshot: Whether the answer begins with `Format.snapshot` of what the run has sent before this
            request; only with ``attach_to``.
        subprotocol: The ``Sec-WebSocket-Protocol`` in the handshake's answer; None for none.
    """

    agent_id: str
    transport: str
    kind: Literal["stream", "plain", "websocket"] = "stream"
    body: Any = field(default=None, repr=False)
    input: Any = field(default=None, repr=False)
    resume_from: int | None = None
    resume_after: str | None = None
    run_id: str | None = None
    attach_to: str | None = None
    snapshot: bool = False
    subprotocol: str | None = None


def joined(fields: Mapping[str, Any] | list[tuple[str, str]]) -> dict[str, str]:
    """Return header fields in the form of `Request.headers`."""
    headers: dict[str, str] = {}
    for name, value in fields.items() if isinstance(fields, Mapping) else fields:
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers


def parse_json(body: bytes | None) -> Any:
    """Decode a body; None if it is missing or not JSON."""
    try:
        return json.loads(body or b"")
    except (ValueError, RecursionError):
        return None


publish(Request, RunRequest, module="runagent_testing.dialects")
