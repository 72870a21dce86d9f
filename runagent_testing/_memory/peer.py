"""The agent's end of a memory connection: a state machine that plays plans on a clock."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from runagent_testing._host.answers import Pending, WebSocketAnswer
from runagent_testing._host.foreign import foreign_protocol
from runagent_testing._journal.recorder import Recorder
from runagent_testing._memory.computing import answered
from runagent_testing._memory.playing import Playing
from runagent_testing._memory.requests import BadRequestError, RequestReader
from runagent_testing._render.lazy import LazyPlan
from runagent_testing._render.plan import ENDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent_testing._host.parsed import Answer
    from runagent_testing._host.scopes import ScopedEndpoints
    from runagent_testing._host.websocket import Conversation
    from runagent_testing._journal.exchange import Exchange
    from runagent_testing._journal.record import ClientState
    from runagent_testing._memory.calls import Clock, Timer
    from runagent_testing._memory.wire import Wire
    from runagent_testing._render.plan import AnyPlan, ConnectionFault, Write
    from runagent_testing.dialects._request import Request

__all__ = ["Peer"]

_ROOM = 64 * 1024  # bytes that a generator may be ahead of its reader


class Peer:
    """One connection.

    Args:
        endpoints: Decides on the answers.
        number: The connection's number.
        clock: Measures the waits.
        wire: Carries the bytes.
        ping_interval: Seconds of a WebSocket client's silence until it is pinged, and from a ping until it
            is given up.

    Attributes:
        ping_timer: The timer of the next ping.
    """

    def __init__(
        self, endpoints: ScopedEndpoints, number: int, clock: Clock, wire: Wire, ping_interval: float
    ) -> None:
        self._endpoints = endpoints
        self._number = number
        self._clock = clock
        self._wire = wire
        self._reader = RequestReader(number, clock.time)
        self._requests: deque[Request] = deque()
        self._playing: Playing | None = None
        self._exchange: Exchange | None = None
        self._opened: WebSocketAnswer | None = None
        self._closed = self._deaf = False
        self._ping_interval = ping_interval
        self._heard = 0.0
        self.ping_timer: Timer | None = None
        wire.on_room = self._on_room

    @property
    def is_at_gate(self) -> bool:
        """Whether it waits at a closed gate."""
        return self._playing is not None and self._playing.is_at_gate

    def wait_at_gate(self, seconds: float) -> bool:
        """Wait for another thread to open the gate, and return whether it has."""
        return self._playing is None or self._playing.wait_at_gate(seconds)

    @property
    def waits_for(self) -> str:
        """A description of what it waits for."""
        if self._playing is not None:
            return self._playing.waits_for
        return "a stall without end" if self._exchange is not None else "a request that never comes"

    def spoil(self, fault: ConnectionFault) -> None:
        """Break the connection before anything is read."""
        self._deaf = True
        if fault != "silent":
            self._close(reset=fault == "reset")

    def receive_data(self, data: bytes) -> None:
        """Take what the client sends."""
        if self._closed or self._deaf:
            return
        if self._reader.rest is not None:
            self._hear(data)
            return
        try:
            self._requests.extend(self._reader.feed(data))
        except BadRequestError:
            if (protocol := foreign_protocol(data)) is not None:
                self._endpoints.note_foreign(protocol, self._number, self._clock.time)
            self._wire.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self._close()
            return
        if self._reader.expects_continue:
            self._reader.expects_continue = False
            self._wire.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._next()

    def client_left(self, how: ClientState = "closed") -> None:
        """Note that the client has disconnected, or at least sends nothing more."""
        self._stop()
        if (exchange := self.answers) is not None:
            recorder = Recorder(exchange)
            recorder.note_departure(how, self._wire.unread)
            if isinstance(exchange.plan, LazyPlan) and exchange.plan.is_answered:
                recorder.end("done")
            recorder.end("client disconnected")
        self._close()

    def drop(self) -> None:
        """Close the connection, even in the middle of an answer."""
        self._stop()
        self._close()

    def _stop(self) -> None:
        if self._playing is not None:
            self._playing.stop()
        if self._opened is not None:
            self._opened.give_up()

    def _close(self, *, reset: bool = False) -> None:
        self._closed = True
        if self.ping_timer is not None:
            self.ping_timer.cancel()
            self.ping_timer = None
        self._playing = None
        self._wire.end(reset=reset)
        if (exchange := self.answers) is not None:
            Recorder(exchange).close()

    def _next(self) -> None:
        """Answer the next request, unless one is being answered."""
        if self._playing is not None or self._exchange is not None or self._closed or not self._requests:
            return
        answer = self._endpoints.answer(self._requests.popleft())
        if isinstance(answer, WebSocketAnswer):
            self._opened = answer
            self._play(answer.handshake, None, self._shaken)
        else:
            self._answer(answer)

    def _answer(self, asked: Answer | Pending) -> None:
        answer = self._decided(asked)
        if answer.reading is not None:
            answer.reading.stop.on_open(lambda: self._cancel(answer))
        self._play(answer.plan, answer.exchange, lambda: self._ended(answer))

    def _cancel(self, answer: Answer) -> None:
        """End an answer whose run is cancelled."""
        if self._playing is None or self._exchange is not answer.exchange or answer.reading is None:
            return
        self._playing.stop()
        farewell = answer.reading.farewell()
        self._wire.write(farewell.data)
        Recorder(answer.exchange).note_unplanned(farewell.data)
        self._ended(replace(answer, plan=farewell))

    def _decided(self, asked: Answer | Pending) -> Answer:
        answer = answered(asked) if isinstance(asked, Pending) else asked
        if isinstance(answer.plan, LazyPlan):
            self._wire.limit_room(_ROOM)  # the steps may be endless
        return answer

    def _play(self, plan: AnyPlan, exchange: Exchange | None, then: Callable[[], None]) -> None:
        self._exchange = exchange
        recorder = None if exchange is None else Recorder(exchange)
        self._playing = Playing(plan, self._wire, self._write, self._clock, recorder, then, self._close)
        self._playing.go()

    def _on_room(self) -> None:
        if self._playing is not None and self._playing.wants_room:
            self._playing.go()

    def _write(self, write: Write) -> None:
        self._wire.write(write.data)
        if self._opened is not None and self._exchange is None:
            Recorder(self._opened.exchange).note_unplanned(write.data)
        elif self._conversation is not None:
            self._conversation.wrote(write)
            self._flush()

    def _ended(self, answer: Answer) -> None:
        """End the connection as the plan demands."""
        self._playing = None
        end = ENDS[answer.plan.end]
        if self._conversation is not None:
            self._conversation.played(answer.plan)
        if end.is_done:
            Recorder(answer.exchange).end("done")
        if end.drops:
            self._close(reset=end.resets)
        elif end.shuts_writing:
            self._wire.end()
        elif self._conversation is not None:
            self._flush()
        elif end.closes:
            self._close()
        elif end.serves_on:
            Recorder(answer.exchange).close()
            self._exchange = None
            self._next()

    # The WebSocket

    @property
    def answers(self) -> Exchange | None:
        """The exchange whose run or handshake is being answered."""
        if self._exchange is None and self._opened is not None and self._opened.is_noted:
            return self._opened.exchange
        return self._exchange

    @property
    def _conversation(self) -> Conversation | None:
        return None if self._opened is None else self._opened.conversation

    def _shaken(self) -> None:
        self._playing = None
        self._hear(self._reader.rest or b"")

    def _hear(self, data: bytes) -> None:
        if self._opened is None or (self._playing is not None and self._exchange is None):
            self._reader.feed(data)  # sent early: the handshake is not answered yet
            return
        conversation = self._opened.conversation
        self._heard = self._clock.time()
        conversation.receive_data(data)
        self._opened.take_messages()
        self._flush()
        if self._exchange is None and self._opened.asked is not None:
            answer = self._decided(self._opened.asked)
            conversation.begin(answer.plan)
            end = ENDS[answer.plan.end]
            if end.is_mute:
                conversation.played(answer.plan)
            elif end.pings:
                self._ping_later()
            self._play(answer.plan, answer.exchange, lambda: self._ended(answer))
        if self._opened.is_stopped and self._playing is not None and self._exchange is not None:
            self._playing.stop()
            self._playing = None
            Recorder(self._exchange).end("cancelled")
            if conversation.is_in_frame:
                self._close()
        if conversation.left and not conversation.silent:
            self.client_left()

    def _ping_later(self) -> None:
        self.ping_timer = self._clock.call_at(self._heard + self._ping_interval, self._ping)

    def _ping(self) -> None:
        """Ping a silent client; give it up if it has not answered the last ping."""
        assert self._opened is not None
        assert self._exchange is not None
        if self._clock.time() >= self._heard + self._ping_interval:
            self._heard = self._clock.time()
            self._opened.conversation.idle()
            self._flush()
        if not self._opened.conversation.left:
            self._ping_later()
            return
        Recorder(self._exchange).end("client disconnected")
        self.drop()

    def _flush(self) -> None:
        if self._opened is not None and (data := self._opened.conversation.data_to_send()):
            self._wire.write(data)
            Recorder(self._opened.exchange).note_unplanned(data)
