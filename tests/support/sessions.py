"""Sessions fed with literals: no sockets, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runagent._address.route import Route
from runagent._address.url import parse_base_url
from runagent._call import AgentCall, ResumePoint
from runagent._limits import Limits
from runagent._plugins.registry import default_registry
from runagent._wire.websocket import accept_value
from runagent.transports._base import Session, Wants

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent._events import Event
    from runagent.transports import Transport

__all__ = ["WAYS", "Seen", "call_of", "feed", "open_session", "refused"]

WHOLE = 1 << 30
WAYS = [
    ("sse", "stream"),
    ("chunked", "stream"),
    ("websocket", "stream"),
    ("sse", "invoke"),
    ("websocket", "invoke"),
]


@dataclass
class Seen:
    """The result of a session.

    Attributes:
        request: What it sent at first.
        sent: What it sent later.
        rest: What was not fed to it.
    """

    session: Session
    request: bytes
    events: list[Event]
    sent: bytes = b""
    rest: bytes = b""

    @property
    def error(self) -> Any:
        """The session's error."""
        return self.session.error

    @property
    def outcome(self) -> tuple[list[Event], type | None, str | None]:
        """What must not depend on where the bytes are cut."""
        error = self.session.error
        return self.events, None if error is None else type(error), None if error is None else error.code

    @property
    def contents(self) -> list[Any]:
        """The contents of the chunks."""
        return [event.content for event in self.events if hasattr(event, "content")]


def call_of(**fields: Any) -> AgentCall:
    """Make a call; ``limits`` are given by name, ``base_url`` as text, the rest as `AgentCall` has it."""
    base = parse_base_url(fields.pop("base_url", "http://agent.test"))
    limits = Limits(**fields.pop("limits", {}))
    return AgentCall(base=base, limits=limits, **{"agent_id": "a", "input": {"query": "x"}, **fields})


def open_session(
    transport: str | Transport, *, resume: ResumePoint | None = None, proxy: Any = None, **fields: Any
) -> Session:
    """Open a session of a transport, or of the one with a name; the fields are those of `call_of`."""
    call = call_of(**fields)
    opener = default_registry().get(transport) if isinstance(transport, str) else transport
    return opener.open(call, Route(call.base.origin, proxy), resume)


def feed(
    session: Session,
    answer: bytes | list[bytes] | Callable[[bytes], bytes],
    *,
    step: int = WHOLE,
    eof: bool = False,
) -> Seen:
    """Feed an answer, also one in pieces, or what a function makes of the request, until the end."""
    request = session.data_to_send()
    data = answer(request) if callable(answer) else answer
    seen = Seen(session, request, [])
    pieces = data if isinstance(data, list) else [data[at : at + step] for at in range(0, len(data), step)]
    for number, piece in enumerate(pieces):
        if session.wants is not Wants.READ or session.error is not None:
            seen.rest = b"".join(pieces[number:])
            break
        seen.events += session.receive_data(piece)
        while _wants_a_turn(session):
            seen.events += session.go_on()
        if not _reconnects(session):
            seen.sent += session.data_to_send()
    if eof and session.wants is Wants.READ and session.error is None:
        seen.events += session.receive_eof()
        seen.sent += session.data_to_send()
    return seen


def refused(way: tuple[str, str], answer: bytes, step: int = WHOLE, **fields: Any) -> Seen:
    """Feed an answer and the end of the connection to a session of one of `WAYS`."""
    session = open_session(way[0], mode=way[1], **fields)
    return feed(session, answer, step=step, eof=True)


def _wants_a_turn(session: Session) -> bool:
    return session.wants is Wants.TURN and session.error is None


def _reconnects(session: Session) -> bool:
    return session.wants is Wants.RECONNECT


def handshake_answer(request: bytes, *frames: bytes) -> bytes:
    """Write the answer that opens the WebSocket asked for, and what comes behind it."""
    key = next(line for line in request.decode().split("\r\n") if line.startswith("Sec-WebSocket-Key: "))
    accept = accept_value(key.partition(": ")[2])
    head = (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    return head.encode() + b"".join(frames)
