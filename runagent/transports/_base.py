"""The transport API between what is said on the wire and how the wire is read.

A transport opens a session for each attempt to run an agent; a pump moves its bytes. A session owns no
socket, no clock and no thread, so one plain class serves synchronous code, asyncio and trio.

What the pump promises a session:

* Calls come one at a time, though not always from the same thread.
* After the session is made, and after **every** call to it, ``data_to_send`` is taken until it is empty.
* Bytes come in order through ``receive_data``, cut at any place and never empty; the end of the
  connection comes through ``receive_eof``, at most once, and no bytes come after it.
* Once ``wants`` is ``DONE`` or ``error`` is set nothing is called any more but ``close``, ``data_to_send``
  and, where ``keeps_connection`` is true, ``receive_data`` until ``reusable`` has been asked.
* After ``wants`` became ``RECONNECT`` the old connection is dropped. What ``data_to_send`` gives then opens
  a new one to the same origin, and with that the session says what it wants next.
* When the run is left early (``break``, ``close``, a cancellation) ``close`` is called, what ``data_to_send``
  gives is sent if that needs no wait, and the session is dropped. It is not told that its connection ended.
* A read that is cancelled or timed out calls nothing: all state is the session's, and the next read goes on.
* When a time limit has passed or the connection broke, ``receive_eof`` is called, so that a refusal whose
  beginning has come can still be told.

What a session must never do: wait, read a clock, start a thread or a task, touch a socket, keep state that
another session sees, hold more than its limits allow, raise for what the peer sent, or give an event after
``Completed``, ``RunResult`` or ``error``.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from runagent._errors import RunAgentError
from runagent.transports._request import check_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runagent._address.route import Address, Route
    from runagent._call import AgentCall, ResumePoint
    from runagent._events import Event
    from runagent._net.base import AsyncConnection, AsyncNetwork, Connection, Network
    from runagent._report import Tokens
    from runagent.capabilities import Capability

__all__ = ["BaseSession", "ConnectingSession", "Session", "Transport", "Wants", "count_ignored"]

_MAX_IGNORED_KINDS = 50  # a peer may invent a new kind for every message


def count_ignored(ignored: dict[str, int], kind: str) -> None:
    """Count what is harmless and left out, under "others" once there are too many kinds."""
    if kind not in ignored and len(ignored) >= _MAX_IGNORED_KINDS:
        kind = "others"
    ignored[kind] = ignored.get(kind, 0) + 1


class Wants(enum.Enum):
    """What a session needs next.

    Attributes:
        READ: Bytes, or the end of the connection.
        CLOSE_WRITE: To say that it sends nothing more (a FIN), and then to read on.
        RECONNECT: A fresh connection to the same origin: a redirect, a subscription made anew.
        DONE: Nothing: the run is over.
    """

    READ = "read"
    CLOSE_WRITE = "close_write"
    RECONNECT = "reconnect"
    DONE = "done"


class Session(Protocol):
    """One run on one connection.

    Attributes:
        wants: What the session needs next; read after every call.
        error: What the peer did wrong or refused; set, never raised, and final. The events before it are
            handed out first. An ``AgentError`` says that the service refused the run before it gave
            anything, a ``StreamError`` that the run failed after it began, a ``ProtocolError`` that the
            peer broke the format.
        unsupported: The error is positive proof that the peer does not speak this transport, so that
            another one may be tried. An outage never proves that.
        answered: The answer's head has come: the peer has taken the request.
        retry_delay: Seconds that the peer asks to wait before another attempt; None if it asks for nothing.
        status: The HTTP status of the answer, if there is one.
        request_id: The id by which the service knows the request.
        usage: Token counts as the service sent them, as soon as they have come; those of the last event
            need not be here.
        ignored: What was understood to be harmless and left out, by kind; it ends up in the report.
    """

    wants: Wants
    error: RunAgentError | None
    unsupported: bool
    answered: bool
    retry_delay: float | None
    status: int | None
    request_id: str | None
    usage: dict[str, Any] | None
    ignored: dict[str, int]

    @property
    def tokens(self) -> Tokens | None:
        """``usage`` by its meaning; read when there is another ``usage``."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields of the answer, by lower-case name; read once there is a ``status``."""

    @property
    def resume_point(self) -> ResumePoint | None:
        """Where another attempt could go on, or None where it could not prove that it does.

        Read only of transports with the capability ``resume``.
        """

    def data_to_send(self) -> bytes:
        """Take the bytes that are to be sent now; empty where there are none.

        What was given once is not given again.
        """

    def receive_data(self, data: bytes) -> list[Event]:
        """Take the next bytes of the connection and return the events that they complete.

        The same bytes cut elsewhere give the same events in the same order. A fault behind good events
        returns those and sets ``error``. A stream's last event is ``Completed``, a plain run's only one
        that counts is ``RunResult``; with it ``wants`` becomes ``DONE``.
        """

    def receive_eof(self) -> list[Event]:
        """Say that the connection has ended; whether that is a good end is the session's to judge.

        Afterwards ``wants`` is ``DONE`` or ``RECONNECT``, or ``error`` is set: an end in the middle of the
        answer is a ``StreamTruncatedError``, never a good end.
        """

    def close(self) -> None:
        """Queue the farewell, if the protocol has one; the reader has left, or the run is over."""

    @property
    def keeps_connection(self) -> bool:
        """Whether the connection is, or with the last answer's formal end becomes, reusable."""

    @property
    def reusable(self) -> bool:
        """Whether the connection may serve another call now: nothing of this one can still come."""


class ConnectingSession(Session, Protocol):
    """A session that brings its own connection, which carries no bytes: that of an asynchronous library."""

    def connect(self, address: Address, network: Network) -> Connection:
        """Begin the run, for a reader that blocks."""

    async def connect_async(self, address: Address, network: AsyncNetwork) -> AsyncConnection:
        """Begin the run, for a reader in an event loop."""


@runtime_checkable
class Transport(Protocol):
    """A way to speak to agents, shared by all clients and threads of the process.

    Attributes:
        name: The word in the configuration that chooses it.
        api_version: The version of the transport API that it was written for: the number itself, not
            ``TRANSPORT_API_VERSION``, which would always be the installed one.
        capabilities: What it can do beyond streaming a run.
        tunnels: A proxy must pass the bytes through untouched (CONNECT), also without TLS.
    """

    name: str
    api_version: int
    capabilities: frozenset[Capability]
    tunnels: bool

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> Session:
        """Begin a session; its request is then waiting in ``data_to_send``.

        Called for each attempt, at the moment it begins, from any thread; it must not wait.

        Args:
            call: What is asked; key, idempotency key and time are those of this attempt.
            route: How the request travels.
            resume: Where a broken stream is to go on; None without the capability ``resume``.

        Raises:
            ConfigurationError: The call asks for something that this transport cannot do.
        """


class BaseSession:
    """What most sessions have in common; a subclass brings ``receive_data`` and ``receive_eof``.

    It queues what is to be sent in ``send``, and ends with ``fail`` or by ``wants = Wants.DONE``.
    """

    unsupported: bool = False
    answered: bool = False
    resume_point: ResumePoint | None = None
    retry_delay: float | None = None
    status: int | None = None
    request_id: str | None = None
    usage: dict[str, Any] | None = None

    def __init__(self) -> None:
        self.wants: Wants = Wants.READ
        self.error: RunAgentError | None = None
        self.ignored: dict[str, int] = {}
        self._outgoing: list[bytes] = []

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields of the answer; a protocol without an HTTP answer has none."""
        return {}

    @property
    def tokens(self) -> Tokens | None:
        """``usage`` by its meaning: counts under the names that OpenAI's and Anthropic's interfaces use."""
        from runagent.transports._usage import read_tokens  # many runs have none

        return read_tokens(self.usage)

    @property
    def last_ignored(self) -> str:
        """The last message that was left out, quoted; "" if there is none.

        A run that ends badly shows it, because it may be the only word about the failure.
        """
        return ""

    def ignore(self, kind: str) -> None:
        """Count what is harmless and left out; it ends up in the report."""
        count_ignored(self.ignored, kind)

    def send(self, data: bytes) -> None:
        """Queue bytes for the peer."""
        check_bytes(data, "send")
        self._outgoing.append(data)

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
        """End the session with an error; does nothing where it has ended already, well or badly.

        Raises:
            TypeError: It is no `RunAgentError`.
        """
        if not isinstance(error, RunAgentError):
            raise TypeError(
                f"fail takes a RunAgentError, such as StreamError or ProtocolError, not {error!r}"
            )
        if self.wants is not Wants.DONE:
            # A traceback would keep the pump's frames, and all they hold, for as long as the session lives.
            self.error = error.with_traceback(None)
            self.wants = Wants.DONE
