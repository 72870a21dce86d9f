"""Feeds sessions by hand: the fake agent's bytes, cut or corrupted at will, without network and pump."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from runagent._address.route import Address
from runagent._address.url import parse_base_url
from runagent._events import Chunk, Completed, RunResult, StreamEvent
from runagent.transports._base import Session, Wants
from runagent_testing._memory.blocking import VirtualClock
from runagent_testing.conformance._harness.differences import brief
from runagent_testing.conformance._harness.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runagent._errors import RunAgentError
    from runagent._events import Event
    from runagent_testing._journal.exchange import Exchange
    from runagent_testing.conformance._harness.recording import Agents, Line, Remote

__all__ = ["Cut", "Feeding", "Seen", "byte_by_byte", "in_two", "rechunked", "whole"]

_ALL = 1 << 40
_CONNECTIONS = 20  # a session that asks for more would never end
_PATIENCE = 3600  # seconds, which pass at once: a peer may ping for ever while it waits for the session
_SENDS = 100  # as would one that returns more pieces to send in a row

Cut = Callable[[bytes, int], Iterable[bytes]]


def whole(data: bytes, _at: int) -> Iterable[bytes]:
    """Cut nothing."""
    return (data,)


def byte_by_byte(data: bytes, _at: int) -> Iterable[bytes]:
    """Cut after every byte."""
    return (data[place : place + 1] for place in range(len(data)))


def in_two(place: int) -> Cut:
    """Cut once, at an offset into all that the agent sends."""

    def cut(data: bytes, at: int) -> Iterable[bytes]:
        here = min(max(place - at, 0), len(data))
        return (piece for piece in (data[:here], data[here:]) if piece)

    return cut


def rechunked(seed: int) -> Cut:
    """Cut anywhere, at random."""

    def cut(data: bytes, at: int) -> Iterator[bytes]:
        random, place = Random(f"{seed}/{at}"), 0
        while place < len(data):
            size = random.randint(1, random.choice((2, 8, 64, 512)))
            yield data[place : place + size]
            place += size

    return cut


@dataclass
class Seen:
    """What a session did with the bytes it was fed.

    Attributes:
        session: The session.
        exchange: The agent's record of its last request; None if it understood no request.
        events: In order.
        raised: The exception that one of its methods raised.
        sent: What it sent, in order.
        received: How many bytes it received.
        before: How many of these had come when the agent got the last request that starts a run: those of
            steps before the run, or of a WebSocket's handshake.
        asked: How many items of ``sent`` there were at the first such request.
        ended: Whether it was informed of the last connection's end.
    """

    session: Session
    exchange: Exchange | None = None
    events: list[Event] = field(default_factory=list)
    raised: Exception | None = None
    sent: list[bytes] = field(default_factory=list)
    received: int = 0
    before: int = 0
    asked: int = 0
    ended: bool = False

    @property
    def error(self) -> RunAgentError | None:
        """The session's error."""
        return self.session.error

    @property
    def contents(self) -> list[Any]:
        """The chunks' contents."""
        return [event.content for event in self.events if isinstance(event, Chunk)]

    @property
    def completed(self) -> bool:
        """Whether the session returned Completed."""
        return any(isinstance(event, Completed | RunResult) for event in self.events)

    @property
    def asked_more(self) -> bool:
        """Whether it has sent further requests after the one that starts the run, such as for its status."""
        return len(self.sent) > self.asked

    @property
    def over(self) -> bool:
        """Whether the session needs no more bytes."""
        return self.raised is not None or self.error is not None or self.session.wants is Wants.DONE

    def outcome(self, *, delimited: bool) -> tuple[Any, ...]:
        """Everything that must not depend on where the bytes were cut."""
        error = self.error
        how = (None, None) if error is None else (type(error).__name__, error.code)
        if delimited:
            return (*self.events, *how)
        others = [event for event in self.events if not isinstance(event, Chunk)]
        return ("".join(map(str, self.contents)), *others, *how)

    def summarize(self) -> str:
        """Describe events and end in one line."""
        failure = "no end" if self.error is None else f"{type(self.error).__name__}: {self.error}"
        end = "Completed" if self.completed else failure
        if self.completed and self.error is not None:
            end += f", and after that {failure}: call finish() where Completed is returned"
        elif self.completed and not self.over:
            end += f", but the session still wants {self.session.wants.value!r}: call finish()"
        return f"{brief(self.contents)}, then {end if self.raised is None else f'raised {self.raised!r}'}"

    def check_sound(self) -> Seen:
        """Reject what no session may do, whatever bytes it received.

        Raises:
            Violation: A method raised, or returned something other than events, or error is not an error.
        """
        if self.raised is not None:
            raise Violation(f"the session raised {self.raised!r} instead of setting error") from self.raised
        return self

    def check_written(self) -> Seen:
        """Reject an answer that the dialect was unable to write.

        Raises:
            Violation: The dialect failed.
        """
        if self.exchange is not None and self.exchange.failure is not None:
            raise Violation(f"the dialect was unable to write the answer: {self.exchange.failure}")
        return self


class Feeding:
    """Feeds one session, connection by connection."""

    def __init__(
        self,
        agents: Agents,
        session: Session,
        cut: Cut = whole,
        until: float = math.inf,
        tamper: Callable[[bytes], bytes] | None = None,
    ) -> None:
        self._agents = agents
        self._address = Address(parse_base_url(agents.url).origin)
        self._cut = cut
        self._until = until
        self._tamper = tamper
        self._clock = VirtualClock()
        self.seen = Seen(session)

    def run(self) -> Seen:
        """Feed the session until it wants nothing more."""
        for _ in self.steps():
            pass
        return self.seen

    def steps(self) -> Iterator[None]:
        """Feed the session piece by piece, for sessions that are fed in turn."""
        seen, connections = self.seen, 0
        while not seen.over:
            connections += 1
            if connections > _CONNECTIONS:
                raise Violation(f"the session wants another connection for the {connections}th time")
            yield from self._converse(*self._agents.open(self._address, self._clock))
            if seen.session.wants is not Wants.RECONNECT:
                break
        if self._agents.requests:
            seen.exchange = self._agents.requests[-1]

    def _converse(self, line: Line, remote: Remote) -> Iterator[None]:
        seen = self.seen
        seen.ended = False  # of this connection
        self._flush(remote)
        while not self._leaves:
            if seen.received >= self._until:
                self._end()
            elif (data := line.poll(_ALL)) is None:
                if not self._clock.step(_PATIENCE):
                    return
            elif data:
                yield from self._give(data if self._tamper is None else self._tamper(data), remote)
            else:
                self._end()
            if seen.session.wants is not Wants.RECONNECT:
                self._flush(remote)  # bytes from before a reconnect belong to the next connection
            if seen.ended:
                return

    @property
    def _leaves(self) -> bool:
        return self.seen.over or self.seen.session.wants is Wants.RECONNECT

    def _give(self, data: bytes, remote: Remote) -> Iterator[None]:
        seen = self.seen
        room = self._until - seen.received
        data = data if len(data) <= room else data[: int(room)]
        for piece in self._cut(data, seen.received):
            seen.received += len(piece)
            self._call(lambda piece=piece: seen.session.receive_data(piece))  # type: ignore[misc]
            yield
            while not seen.over and seen.session.wants is Wants.TURN:
                self._call(seen.session.go_on)
            if self._leaves:
                return
            self._flush(remote)

    def _end(self) -> None:
        self.seen.ended = True
        self._call(self.seen.session.receive_eof)

    def _call(self, function: Callable[[], list[Event]]) -> None:
        seen = self.seen
        try:
            events = function()
        except Exception as exc:  # noqa: BLE001 - a third party's session may raise anything
            seen.raised = exc
            return
        if not isinstance(events, list):
            raise Violation(f"the session returned {events!r} instead of a list of events")
        for event in events:
            if not isinstance(event, StreamEvent | RunResult):
                raise Violation(f"the session returned {event!r} as an event")
        seen.events += events

    def _flush(self, remote: Remote) -> None:
        seen = self.seen
        for _ in range(_SENDS):
            data = seen.session.data_to_send()
            if not data:
                return
            seen.sent.append(data)
            runs = len(self._agents.requests)
            remote.receive_data(data)
            if len(self._agents.requests) > runs:
                seen.before, seen.asked = seen.received, seen.asked or len(seen.sent)
        raise Violation("data_to_send never becomes empty: it must return each byte only once")
