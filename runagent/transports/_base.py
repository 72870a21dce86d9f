"""The transport API between a session, which knows a protocol, and a pump, which moves bytes.

A transport opens a session for each attempt to run an agent. A session owns no socket, no clock and no
thread, so one plain class serves synchronous code, asyncio and trio.

The pump promises a session:

* It makes one call at a time, though not always from the same thread.
* After it has opened the session, and after **every** call to it, it calls ``data_to_send`` until that is
  empty.
* It passes bytes to ``receive_data`` in order, in pieces of any size but never empty. It calls
  ``receive_eof`` at the connection's end, at most once, and passes no bytes after that.
* Once ``wants`` is ``DONE`` or ``error`` is set, it calls only ``close``, ``data_to_send`` and, if
  ``keeps_connection`` is true, ``receive_data`` until it has read ``reusable``.
* After ``wants`` became ``RECONNECT``, it drops the old connection, calls ``reconnecting`` with the way to
  ``origin``, and opens a new connection. It sends what ``data_to_send`` returns, and then reads from
  ``wants`` what the session needs next.
* If the reader closes the stream early (``break``, ``close``, a cancellation), it calls ``close``, sends what
  ``data_to_send`` returns if that needs no wait, and drops the session. It does not call ``receive_eof``.
* If a read is cancelled or times out, it calls nothing: the session has all state, and the next read
  continues.
* If a time limit of the run passes or the connection breaks, it calls ``receive_eof``, so that the session
  can report a refusal of which only the beginning has come.

A session must never wait, read a clock, start a thread or a task, use a socket, share state with another
session, hold more than its limits allow, raise because of what the peer sent, or return an event after
``Completed``, ``RunResult`` or ``error``.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from runagent._errors import RunAgentError
from runagent._internal.tracebacks import is_ours
from runagent._public import publish
from runagent.transports._request import check_bytes
from runagent.transports._usage import read_tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runagent._address.route import Address, Route
    from runagent._address.url import Origin
    from runagent._call import AgentCall, ResumePoint
    from runagent._events import Event
    from runagent._net.base import AsyncConnection, AsyncNetwork, Connection, Network
    from runagent._report import Tokens
    from runagent.capabilities import Capability

__all__ = ["BaseSession", "ConnectingSession", "Session", "Transport", "Wants", "count_ignored"]

__tracebackhide__ = is_ours

_MAX_IGNORED_KINDS = 50  # a peer may invent a new kind for every message


def count_ignored(ignored: dict[str, int], kind: str) -> None:
    """Count something harmless that was ignored, under "others" once there are too many kinds."""
    if kind not in ignored and len(ignored) >= _MAX_IGNORED_KINDS:
        kind = "others"
    ignored[kind] = ignored.get(kind, 0) + 1


class Wants(enum.Enum):
    """What a session needs next.

    Attributes:
        READ: Bytes, or the end of the connection.
        CLOSE_WRITE: To end the sending direction (a FIN), and then bytes.
        RECONNECT: A new connection, for a redirect, a step or a repeated subscription; right after ``open``,
            one to another origin than the base URL's.
        TURN: Time: it has bytes that it has not looked at, which take ``go_on``.
        DONE: Nothing: the run is over.
    """

    READ = "read"
    CLOSE_WRITE = "close_write"
    RECONNECT = "reconnect"
    TURN = "turn"
    DONE = "done"


class Session(Protocol):
    """One run on one connection.

    Attributes:
        wants: What the session needs next; read after every call.
        error: Why the run failed; set, never raised, and final. The reader gets the events before it first.
            An ``AgentError`` means that the service refused the run before it returned anything, a
            ``StreamError`` that the run failed after it began, a ``ProtocolError`` that the peer violated the
            format.
        unsupported: The error proves that the peer does not support this transport, so that another one may
            be tried. An outage never proves that.
        answered: The answer's head has come.
        preparing: The session has sent nothing yet that could begin the run, but steps before it.
        following: The stream is over, and steps after it are going on: their failure never repeats the run.
        origin: Where the connection has to go; None for the origin of the base URL. Read when ``wants`` is
            ``RECONNECT``.
        asks_again: A further request was sent over the connection, and no byte of its answer has come.
        accepted: The service has accepted the run, although no event may have come yet: a good head of a type
            that is read. A first event means the same.
        retry_delay: Seconds that the peer asks to wait before another attempt; None if it asks for nothing.
        status: The HTTP status of the answer, if there is one.
        request_id: The service's id of the request.
        usage: Token counts as the service sent them, as soon as they have come; those of the last event need
            not be here.
        ignored: Counts of harmless things that were ignored, by kind; they are part of the report.
    """

    # Properties, as the client only reads them: a session has attributes, whose types may be narrower.

    @property
    def wants(self) -> Wants: ...

    @property
    def error(self) -> RunAgentError | None: ...

    @property
    def unsupported(self) -> bool: ...

    @property
    def answered(self) -> bool: ...

    @property
    def preparing(self) -> bool: ...

    @property
    def following(self) -> bool: ...

    @property
    def accepted(self) -> bool: ...

    @property
    def retry_delay(self) -> float | None: ...

    @property
    def status(self) -> int | None: ...

    @property
    def request_id(self) -> str | None: ...

    @property
    def usage(self) -> dict[str, Any] | None: ...

    @property
    def ignored(self) -> dict[str, int]: ...

    @property
    def origin(self) -> Origin | None: ...

    @property
    def asks_again(self) -> bool: ...

    def reconnecting(self, route: Route) -> None:
        """Take note of the way that the next connection goes; called before each one but the first."""

    @property
    def tokens(self) -> Tokens | None:
        """``usage`` by its meaning; read when there is another ``usage``."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields of the answer, by lower-case name; read once there is a ``status``."""

    @property
    def resume_point(self) -> ResumePoint | None:
        """Where another attempt could resume, or None if it could not prove that it does.

        It is read only if the transport has a capability to resume, which has to fit the point's ``proof``.
        """

    def data_to_send(self) -> bytes:
        """Take the bytes to send now; empty if there are none. Bytes are returned once."""

    def receive_data(self, data: bytes) -> list[Event]:
        """Take the next bytes of the connection and return the events that they complete.

        The same bytes in other pieces give the same events in the same order. If a fault follows good events,
        those are returned and ``error`` is set. The last event is ``Completed`` for a stream and
        ``RunResult`` for a plain run; with it, ``wants`` becomes ``DONE``.
        """

    def go_on(self) -> list[Event]:
        """Look at more of the bytes at hand, after ``wants`` became ``TURN``, and return their events.

        A session asks for that if a few bytes can mean much work, such as those of a compressed answer: the
        client gives others their turn in between, and looks at its time limits. It calls nothing else
        meanwhile, but ``data_to_send``, ``close`` and, if a limit has passed, ``receive_eof``. Sessions that
        never ask for it need no such method.
        """

    def receive_eof(self) -> list[Event]:
        """Take note that the connection has ended; the session decides whether that ends the run well.

        Afterwards ``wants`` is ``DONE`` or ``RECONNECT``, or ``error`` is set. An end in the middle of the
        answer is a ``StreamTruncatedError``, never a good end.
        """

    def close(self) -> None:
        """Queue the protocol's closing bytes, if any: the stream has been closed, or the run is over."""

    @property
    def keeps_connection(self) -> bool:
        """Whether the connection is reusable, or will be at the formal end of the last answer."""

    @property
    def reusable(self) -> bool:
        """Whether the connection may serve another call now, as no more bytes of this one can come."""


class ConnectingSession(Session, Protocol):
    """A session of an asynchronous library, with its own connection; the pump moves no bytes over it."""

    def connect(self, address: Address, network: Network) -> Connection:
        """Begin the run, for a synchronous reader."""

    async def connect_async(self, address: Address, network: AsyncNetwork) -> AsyncConnection:
        """Begin the run, for a reader in an event loop."""


@runtime_checkable
class Transport(Protocol):
    """A way to run agents, shared by all clients and threads of the process.

    Attributes:
        name: The name by which the configuration chooses this transport.
        api_version: The version of the transport API that it was written for: the number itself, not
            ``TRANSPORT_API_VERSION``, which would always be the installed one.
        capabilities: What it can do beyond streaming a run.
        tunnels: Whether a proxy must pass the bytes through unchanged (CONNECT) even without TLS.
    """

    name: str
    api_version: int
    capabilities: frozenset[Capability]
    tunnels: bool

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> Session:
        """Open a session whose request is ready in ``data_to_send``.

        The client calls this when an attempt begins, from any thread; it must not wait.

        Args:
            call: The call, with the key, idempotency key and time of this attempt.
            route: The origin, and the proxy if there is one.
            resume: Where to resume a broken stream; None without a capability to resume.

        Raises:
            ConfigurationError: The call asks for something that this transport cannot do.
        """


class BaseSession:
    """The base of most sessions; a subclass adds ``receive_data`` and ``receive_eof``.

    A subclass queues bytes with ``send``, and ends the run with ``fail`` or by setting ``wants =
    Wants.DONE``.

    Attributes:
        handle_ids: The protocol's ids of the run, by name, once another request can name it; None before, and
            for protocols whose runs end with their stream. They become part of ``stream.handle``, which a
            caller may store, and come back as ``call.attach_to``: no key, and 4 KiB at most.
    """

    unsupported: bool = False
    answered: bool = False
    resume_point: ResumePoint | None = None
    retry_delay: float | None = None
    status: int | None = None
    request_id: str | None = None
    accepted: bool = False
    usage: dict[str, Any] | None = None
    preparing: bool = False
    following: bool = False
    handle_ids: Mapping[str, str] | None = None

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
        return read_tokens(self.usage)

    @property
    def last_ignored(self) -> str:
        """The last message that was ignored, quoted; "" if there is none.

        The error of a failed run shows it, as it may be the only trace of the reason.
        """
        return ""

    def ignore(self, kind: str) -> None:
        """Count something harmless that the session ignored; the report shows the counts."""
        count_ignored(self.ignored, kind)

    def send(self, data: bytes) -> None:
        """Queue bytes for the peer."""
        check_bytes(data, "send")
        self._outgoing.append(data)

    @property
    def origin(self) -> Origin | None:
        """Where the connection has to go; None for the origin of the base URL."""
        return None

    @property
    def asks_again(self) -> bool:
        """Whether a further request was sent over the connection, and no byte of its answer has come."""
        return False

    def reconnecting(self, route: Route) -> None:
        """Take note of the way that the next connection goes."""

    def go_on(self) -> list[Event]:
        """See `Session.go_on`; most sessions look at all bytes at once."""
        return []

    def data_to_send(self) -> bytes:
        """Take the bytes to send now; empty if there are none."""
        if not self._outgoing:
            return b""
        data = b"".join(self._outgoing)
        self._outgoing.clear()
        return data

    def close(self) -> None:
        """Send no closing bytes; a subclass whose protocol has some queues it here."""

    @property
    def keeps_connection(self) -> bool:
        """Whether the connection is reusable, or will be at the formal end of the last answer."""
        return False

    @property
    def reusable(self) -> bool:
        """Whether the connection may serve another call now."""
        return False

    def fail(self, error: RunAgentError) -> None:
        """End the session with an error; does nothing if it has ended already, well or badly.

        Raises:
            TypeError: The argument is not a `RunAgentError`.
        """
        if not isinstance(error, RunAgentError):
            raise TypeError(
                f"fail takes a RunAgentError, such as StreamError or ProtocolError, not {error!r}"
            )
        if self.wants is not Wants.DONE:
            # A traceback would keep the pump's frames, and all they hold, for as long as the session lives.
            self.error = error.with_traceback(None)
            self.wants = Wants.DONE


publish(BaseSession, Session, Transport, Wants, module="runagent.transports")
