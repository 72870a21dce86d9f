"""The session of one run: on a thread, over server-sent events without an end marker.

The stream ends with its body, whether the run has ended or something has cut it off. So the run's status is
asked for afterwards, and decides.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from runagent import (
    Chunk,
    Completed,
    ProtocolError,
    RunAgentError,
    StreamError,
    StreamTruncatedError,
    Tokens,
)
from runagent.transports import (
    CancelSession,
    EventStreamSession,
    InvalidJSONError,
    ResumePoint,
    RunIds,
    Step,
    Wants,
    decode_json,
    path_segment,
    quote,
)
from runagent_langgraph.content import (
    NO_TEXT_PIECE,
    MessageCalls,
    add_usage,
    parts_of,
    read_message,
    read_text_pieces,
    read_tokens,
    stop_reason,
)
from runagent_langgraph.order import BEGINNING, EventOrder, are_placed, id_to_ask
from runagent_langgraph.requests import (
    failure_of,
    get,
    post,
    run_body,
    run_named_by,
    run_path,
    thread_of,
    thread_path,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from runagent.transports import (
        AgentCall,
        Event,
        HttpRequest,
        Route,
        ServerSentEvent,
        StepAnswer,
    )

__all__ = ["CancelRun", "RunSession"]

_INTERRUPT = "__interrupt__"
_GOING_ON = ("pending", "running")
_BLOCK = 512  # events that are looked at together


class RunSession(EventStreamSession):
    """Begins a run on a thread; with the ids of a run, reads on in it."""

    _order: EventOrder | None = None
    _is_clear = False  # nothing is kept back: a piece of plain text goes on where the stream could be resumed

    def __init__(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> None:
        super().__init__(call, route, resume)
        self._calls = MessageCalls(call.limits.max_event_bytes)
        self._interrupts: dict[Any, dict[str, Any]] = {}
        self._message: Any = None
        self._about: dict[str, Any] = {}
        self.usage = self._kept_usage = call.found.get("usage")

    # Requests

    def before(self) -> Generator[Step, StepAnswer, None]:
        """Make a thread, unless the caller, the run or an earlier attempt has one."""
        self._goes_on = False
        if self.call.attach_to is not None:
            yield from self._look_at(self.call.attach_to)
            return
        self._body = run_body(self.call)  # an invalid input is refused before anything is sent
        self._thread = yield from thread_of(self.call)

    def _look_at(self, ids: RunIds) -> Generator[Step, StepAnswer, None]:
        """Prepare to read on; behind a stream that was unclear, find out whether the run still goes on.

        Only of such a run events can come twice.
        """
        self._thread, self.handle_ids, self._goes_on = ids["thread"], ids, True
        if self.call.found.get("unclear"):
            answer = yield Step(get(self.call, run_path(self.call, ids)))
            self._goes_on = answer.json()["status"] in _GOING_ON

    def make_request(self) -> HttpRequest:
        """Begin the run, or read on in the run of the call."""
        self._order = EventOrder(self.resume, replayed=self._goes_on)
        ids = self.call.attach_to
        if ids is None:
            path = thread_path(self.call, self._thread, "/runs/stream")
            return post(self.call, path, self._body, accept=self.expects)
        request = get(self.call, run_path(self.call, ids, "/stream"), accept=self.expects)
        request.headers.append(("Last-Event-ID", id_to_ask(self.resume)))
        return request

    def open_body(self, content_type: str, charset: str) -> bool:
        """Accept an event stream, whose head names the run already."""
        if (run := run_named_by(self.headers)) is not None:
            self._name_run(run)
        return super().open_body(content_type, charset)

    def _name_run(self, run: str) -> None:
        if self.handle_ids is None:
            try:
                path_segment(run)
            except ValueError as exc:
                raise ProtocolError(f"the service named a run {quote(run)}") from exc
            self.handle_ids = RunIds({"thread": self._thread, "run": run})

    @property
    def resume_point(self) -> ResumePoint | None:  # type: ignore[override]  # made when it is asked for
        """Where another stream of the run can go on, once the run has a name."""
        if self.handle_ids is None:
            return None
        if self._order is None:
            return self.resume or ResumePoint(last_event_id=BEGINNING, proof="id")
        return self._order.resume_point()

    # Events

    def take_each(self, items: Iterable[ServerSentEvent], events: list[Event]) -> None:
        """Take pieces of text in one go, as most events are, and any other event by itself."""
        all_items, at = list(items), 0
        is_placed = bool(all_items) and are_placed(all_items)
        while at < len(all_items):
            if self._is_clear:
                block = all_items[at : at + _BLOCK]
                taken = self._take_texts(block, is_placed, events)
                at += taken
                if taken == len(block):
                    continue
            super().take_each(all_items[at : at + 1], events)
            if self.wants is not Wants.READ or self.following:
                return
            at += 1

    def _take_texts(self, items: list[ServerSentEvent], is_placed: bool, events: list[Event]) -> int:
        """Take the pieces of the message under way that follow one another; return how many.

        Invariant: the effect is that of `take` for each of them.
        """
        order, known, taken = self._order, self._message, 0
        assert order is not None
        with contextlib.suppress(*NO_TEXT_PIECE):
            for event, (piece, _) in zip(items, read_text_pieces(items), strict=False):
                if event.event != "messages" or piece.id != known:
                    break
                if not order.follows(event, is_placed=is_placed):
                    break
                # Its text is whole characters, as the decoder refuses half of one.
                if piece.content:
                    events.append(Chunk(piece.content, None, event.id))
                taken += 1
        return taken

    def take(self, event: ServerSentEvent, events: list[Event]) -> None:
        """See `EventStreamSession.take`."""
        order = self._order
        assert order is not None
        try:
            if not order.is_new(event):
                return
        except StreamTruncatedError:
            self.call.found.keep("unclear", True)
            raise
        given = len(events)
        if event.event.partition("|")[0] == "messages":
            self._take_message(event, events)
        elif event.event != "end":  # of older servers, also behind an error
            self._take_value(event.event, _decoded(event), events)
        holds = bool(self._calls or self._interrupts or self.keeps_half)
        order.note(gives=len(events) > given, holds=holds)
        self._is_clear = not holds
        if not holds and self.usage is not self._kept_usage:  # the next attempt goes on behind this event
            self._kept_usage = self.usage
            self.call.found.keep("usage", self.usage)

    def _take_message(self, event: ServerSentEvent, events: list[Event]) -> None:
        message = read_message(event.data)
        if not message.of_model:
            is_tool = message.type == "tool"
            events += self._calls.answered(message.tool_call_id) if is_tool else ()
            self.add_custom("tool_result" if is_tool else "messages", _decoded(event)[0], events)
            return
        if message.id != self._message:  # half a character goes on in its message only
            self.flush_text(events)
            self._message = message.id
        id_ = event.id if event.has_id else None
        for kind, part in parts_of(message):
            if kind == "text":
                self.add_text(part, events, id=id_)
            elif kind == "reasoning":
                self.add_reasoning(part, events, id=message.id)
            else:
                self.add_custom(kind, part, events)
        events += self._calls.add(message)
        self._about = message.about_answer or self._about
        if isinstance(message.usage_metadata, dict):
            self.usage = add_usage(self.usage, message.usage_metadata)

    def _take_value(self, name: str, value: Any, events: list[Event]) -> None:
        mode = name.partition("|")[0]
        match mode, value:
            case "metadata", {"run_id": str(run)} if not self._begun:
                self._name_run(run)
                self.begin(events, session_id=self._thread, invocation_id=run)
                return
            case "updates" | "values", {"__interrupt__": list(interrupts)}:
                for interrupt in interrupts:
                    if isinstance(interrupt, dict):
                        self._interrupts[str(interrupt.get("id", interrupt))] = interrupt
                value = {key: each for key, each in value.items() if key != _INTERRUPT}
                if not value:
                    return
        self.add_custom("state" if name == "values" else name, value, events)

    def make_error(self, message: dict[str, Any]) -> RunAgentError:
        """Make the error with which a graph has failed, or the server: ``error`` is its class."""
        kind, text = message.get("error"), message.get("message")
        if self.call.attach_to is not None and kind == "HTTPException" and str(text).startswith("404"):
            return StreamError(f"the service does not know the run, or no longer: {text}", code="GONE")
        if not isinstance(kind, str) or not isinstance(text, str):
            return super().make_error(message)
        return StreamError(text or kind, code=kind)

    # The end

    def end_body(self, proven: bool) -> list[Event]:
        """Ask for the run's status: the end of its stream proves nothing."""
        if self.handle_ids is None or self.decoder.incomplete:
            raise StreamTruncatedError("the stream ended within an event, or before the run was named")
        self.follow(self._ask_for_status(RunIds(self.handle_ids), proven))
        return []

    def _ask_for_status(self, ids: RunIds, proven: bool) -> Generator[Step, StepAnswer, list[Event]]:
        answer = yield Step(get(self.call, run_path(self.call, ids)), accept={404})
        if answer.status == 404:
            raise StreamError("the run was deleted while it was read", code="GONE")
        status = str(answer.json()["status"])
        if status in _GOING_ON:
            raise StreamTruncatedError(f"the stream ended while the run was {status}")
        if (failure := failure_of(status, has_interrupts=bool(self._interrupts))) is not None:
            raise StreamError(failure[0], code=failure[1])
        events: list[Event] = [*self._calls.take()]
        self.flush_text(events)
        ended = Completed(
            usage=self.usage,
            stop_reason=stop_reason(self._about),
            interrupts=list(self._interrupts.values()),
            metadata=self._about or None,
            proven=proven,
        )
        return [*events, ended]

    @property
    def tokens(self) -> Tokens | None:
        """The token counts under LangChain's names."""
        return read_tokens(self.usage)


class CancelRun(CancelSession):
    """Asks to stop a run."""

    def make_request(self) -> HttpRequest:
        """See `CancelSession`."""
        assert self.call.attach_to is not None
        return post(self.call, run_path(self.call, self.call.attach_to, "/cancel"), {}, accept="*/*")


def _decoded(event: ServerSentEvent) -> Any:
    try:
        return decode_json(event.data)
    except InvalidJSONError as exc:
        raise ProtocolError(f"the event {quote(event.event)} is {exc}: {quote(event.data)}") from None
