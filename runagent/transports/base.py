"""The seam between what is said on the wire and how the wire is read.

A transport opens a session for each attempt; a pump moves its bytes. A session owns no socket,
no clock and no thread, so one plain class serves synchronous code, asyncio and trio.

What the pump promises a session:

* after the session is made, and after **every** call to it, ``data_to_send`` is taken and sent;
* bytes come in order through ``receive_data``, the end of the connection through ``receive_eof``, once;
* nothing is called any more once ``wants`` is ``DONE`` or ``error`` is set, but for ``close``
  and, where the connection may be kept, ``receive_data`` until ``reusable`` has been asked;
* after ``wants`` became ``RECONNECT`` the old connection is dropped, and what ``data_to_send``
  gives next opens a new one to the same origin.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from runagent.call import AgentCall, ResumePoint, Route
    from runagent.errors import RunAgentError
    from runagent.events import Event

__all__ = ["BaseSession", "Session", "Transport", "Wants"]


class Wants(enum.Enum):
    """What a session needs next."""

    READ = "read"
    CLOSE_WRITE = "close_write"
    RECONNECT = "reconnect"
    DONE = "done"


class Session(Protocol):
    """One run on one connection.

    Attributes:
        wants: What the session needs next.
        error: What the peer did wrong or refused; set, never raised, and final.
        unsupported: The error is positive proof that the peer does not speak this transport.
        answered: The answer's head has come: the peer has taken the request.
        resume_point: Where another attempt could go on, or None where it could not prove that it does.
        status: The HTTP status of the answer, if there is one.
        request_id: The id by which the service knows the request.
        ignored: What was understood to be harmless and left out, by kind.
    """

    wants: Wants
    error: RunAgentError | None
    unsupported: bool
    answered: bool
    resume_point: ResumePoint | None
    status: int | None
    request_id: str | None
    ignored: dict[str, int]

    def data_to_send(self) -> bytes:
        """Take the bytes that are to be sent now; empty where there are none."""

    def receive_data(self, data: bytes) -> list[Event]:
        """Take the next bytes of the connection and return the events that they complete."""

    def receive_eof(self) -> list[Event]:
        """Say that the connection has ended; whether that is a good end is the session's to judge."""

    def close(self) -> None:
        """Queue the farewell, if the protocol has one."""

    @property
    def keeps_connection(self) -> bool:
        """Whether the connection is, or with the last answer's formal end becomes, reusable."""

    @property
    def reusable(self) -> bool:
        """Whether the connection may serve another call now."""


@runtime_checkable
class Transport(Protocol):
    """A way to speak to agents, shared by all clients of the process.

    Attributes:
        name: The word in the configuration that chooses it.
        tunnels: A proxy must pass the bytes through untouched (CONNECT), also without TLS.
    """

    name: str
    tunnels: bool

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> Session:
        """Begin a session; its request is then waiting in ``data_to_send``.

        Raises:
            ConfigurationError: The call asks for something that this transport cannot do.
        """


class BaseSession:
    """What most sessions have in common; a subclass brings ``receive_data`` and ``receive_eof``."""

    error: RunAgentError | None = None
    unsupported: bool = False
    answered: bool = False
    resume_point: ResumePoint | None = None
    status: int | None = None
    request_id: str | None = None

    def __init__(self) -> None:
        self.wants = Wants.READ
        self.ignored: dict[str, int] = {}
        self._outgoing: list[bytes] = []

    def data_to_send(self) -> bytes:
        """Take the bytes that are to be sent now; empty where there are none."""
        if not self._outgoing:
            return b""
        data = b"".join(self._outgoing)
        self._outgoing.clear()
        return data

    def close(self) -> None:
        """Leave without a word."""

    @property
    def keeps_connection(self) -> bool:
        """Whether the connection is, or with the last answer's formal end becomes, reusable."""
        return False

    @property
    def reusable(self) -> bool:
        """Whether the connection may serve another call now."""
        return False

    def fail(self, error: RunAgentError) -> None:
        """End the session with an error; the first one stays."""
        if self.error is None:
            # A traceback would keep the pump's frames, and all they hold, for as long as the session lives.
            self.error = error.with_traceback(None)
        self.wants = Wants.DONE
