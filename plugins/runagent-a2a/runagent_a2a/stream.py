"""The stream of a task, or the lone message of an agent that needs no task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent import Chunk, Completed, ProtocolError, StreamError, StreamLimitError, StreamTruncatedError
from runagent.transports import (
    EventStreamSession,
    InvalidJSONError,
    Step,
    Wants,
    decode_json,
    quote,
)
from runagent_a2a.artifacts import Artifacts
from runagent_a2a.client import A2AClient
from runagent_a2a.faults import find_fault, why_not_completed
from runagent_a2a.requests import message_params
from runagent_a2a.words import ENDED, INTERRUPTED, pieces_of, state_of, text_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from runagent import RunAgentError
    from runagent.transports import (
        AgentCall,
        Event,
        HttpRequest,
        ResumePoint,
        Route,
        ServerSentEvent,
        StepAnswer,
    )
    from runagent_a2a.faults import Fault
    from runagent_a2a.words import Piece

__all__ = ["A2AStream"]

_JSON = ("application/json", "application/a2a+json")
_OF_ARTIFACT = ("artifactId", "parts")


class A2AStream(A2AClient, EventStreamSession):
    """Reads one run: a message that is sent, or a task that is read on in."""

    expects = "text/event-stream"
    end_marker = "a state in which its task is over, or waits for the caller"
    refuses_inside = True

    def __init__(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> None:
        self.artifacts = Artifacts(resume, call.limits.max_snapshot_parts)
        self.whole: bytearray | None = None  # an answer that is no stream
        self.continues = False  # whether the message belongs to a task that waited for it
        self.waiting: dict[str, Any] | None = None  # how such a task was, until something new is known
        self.has_begun = self.has_task = self.is_over = False  # whether an event, a task, the end has come
        self.is_rpc = True
        super().__init__(call, route, resume)

    @property
    def resume_point(self) -> ResumePoint | None:  # type: ignore[override]  # made when it is asked for
        """Where another attempt could go on."""
        return None if self.handle_ids is None else self.artifacts.resume_point()

    # What is asked

    def make_request(self) -> HttpRequest:
        """Send the message, or subscribe to the task of the call."""
        if self.call.attach_to is not None:
            self.handle_ids = self.call.attach_to
            return self.ask_for_task("subscribe")
        params = message_params(self.call, self.interface.words)
        self.continues = "taskId" in params["message"]
        self.artifacts.is_comparable = not self.continues
        return self.ask("stream", params)

    def read_the_task(self) -> Generator[Step, StepAnswer, list[Event]]:
        """Ask for a task that cannot be subscribed to, because it is over."""
        answer = (yield Step(self.ask_for_task("get"))).json()
        if (fault := find_fault(answer)) is not None:
            raise self.refused(fault)
        events: list[Event] = []
        self.take_task(answer["result"] if self.interface.is_rpc else answer, events)
        if not self.is_over and self.error is None:
            raise StreamTruncatedError("the task goes on, but the agent does not let others read its stream")
        return events

    def make_refusal(self, status: int, body: bytes) -> RunAgentError:
        """Make the error of an answer that is not 2xx; of a task that is over, read what it has come to."""
        fault = find_fault(body)
        if fault is not None and self.is_of_a_task_that_is_over(fault):
            self.follow(self.read_the_task())
        return super().make_refusal(status, body)

    def is_of_a_task_that_is_over(self, fault: Fault) -> bool:
        """Whether a subscription was refused, as the task is over."""
        attaching = self.call.attach_to is not None and not (self.has_begun or self.following)
        return attaching and fault.reason == "UNSUPPORTED_OPERATION"

    # How the answer is read

    def open_body(self, content_type: str, charset: str) -> bool:
        """Accept an event stream, and JSON, in which JSON-RPC refuses."""
        self.is_rpc = self.interface.is_rpc
        if content_type in _JSON:
            self.whole = bytearray()
            return True
        return super().open_body(content_type, charset)

    def read_body(self, data: bytes) -> list[Event]:
        """Return the events that the bytes complete."""
        if self.whole is None:
            return super().read_body(data)
        self.whole += data
        if len(self.whole) > (limit := self.call.limits.max_event_bytes):
            raise StreamLimitError(
                f"the answer is larger than {limit} bytes", limit_name="max_event_bytes", limit=limit
            )
        return []

    def end_body(self, proven: bool) -> list[Event]:
        """End the run if its task waited from the beginning, or if the answer was one whole."""
        events: list[Event] = []
        if self.whole is not None:
            self.take_answer(bytes(self.whole), events)
            if not self.has_task and not self.is_over and not self.following:
                shown = quote(bytes(self.whole))
                raise ProtocolError(f"the answer is neither a stream, nor a task or message: {shown}")
        elif self.waiting is not None and not self.decoder.incomplete:
            self.take_status(self.waiting, {}, events)
        if self.wants is Wants.READ and not self.following:
            self.fail(StreamTruncatedError(f"the stream ended without {self.end_marker}"))
        return events

    def take(self, event: ServerSentEvent, events: list[Event]) -> None:
        """Take one event."""
        self.take_answer(event.data, events)

    def make_error(self, message: dict[str, Any]) -> RunAgentError:
        """Make the error that the agent reports in the stream; before anything else it is a refusal."""
        fault = find_fault(message)
        if fault is None:
            return super().make_error(message)
        return fault.as_failure() if self.has_begun else self.refused(fault)

    def take_answer(self, text: str | bytes, events: list[Event]) -> None:
        """Take the JSON text of an event, or of a whole answer."""
        try:
            answer = decode_json(text)
            fault = find_fault(answer) if "error" in answer else None
            if fault is not None:
                self.take_fault(fault, answer)
            else:
                self.take_event(answer["result"] if self.is_rpc else answer, events)
        except InvalidJSONError as exc:
            raise ProtocolError(f"an event is {exc}") from None
        except (LookupError, TypeError, AttributeError, ValueError):
            raise ProtocolError(f"an event cannot be understood: {quote(text)}") from None

    def take_fault(self, fault: Fault, answer: dict[str, Any]) -> None:
        """Take an error: fail, or read what a task has come to that is over."""
        if self.is_of_a_task_that_is_over(fault):
            self.follow(self.read_the_task())
        else:
            raise self.make_error(answer)

    def take_event(self, event: dict[str, Any], events: list[Event]) -> None:
        """Take one event of a task, or a message."""
        kind, value = self.interface.words.read_event(event)
        self.has_begun = True
        match kind:
            case "artifactUpdate":
                if not self.has_task:
                    self.begin_task(value["taskId"], value.get("contextId"), events)
                self.take_update(value, events)
            case "statusUpdate":
                self.begin_task(value["taskId"], value.get("contextId"), events)
                self.waiting = None
                self.take_status(value["status"], value.get("metadata") or {}, events)
            case "task":
                self.take_task(value, events)
            case "message":
                self.take_message(value, events)
        for name in self.interface.words.unknown_in(event):
            self.leave_out(f"{name} in an event", str(event))

    # What the events mean

    def begin_task(self, task: str, context: Any, events: list[Event]) -> None:
        """Report, once, that work on a task has begun."""
        self.has_task = True
        if self.handle_ids is None:
            if not isinstance(task, str):
                raise TypeError
            self.handle_ids = {"task": task}
        if self.resume is None or self.call.found.get("begun") is None:  # an earlier attempt has reported it
            self.call.found.keep("begun", value=True)
            self.begin(events, session_id=context, invocation_id=task)

    def take_task(self, task: dict[str, Any], events: list[Event]) -> None:
        """Take a task with everything so far."""
        is_new = self.handle_ids is None
        self.begin_task(task["id"], task.get("contextId"), events)
        self.add_custom("task", {name: each for name, each in task.items() if name != "artifacts"}, events)
        new, fault = self.artifacts.take_all(task.get("artifacts") or ())
        if is_new and self.continues:
            self.artifacts.is_comparable = True  # what is in it was given by earlier runs
        else:
            self.give(new, events)
        if fault is not None:
            raise fault
        status = task["status"]
        if is_new and self.continues and state_of(status) in INTERRUPTED:
            self.waiting = status  # it has not yet taken note of the message
        elif state_of(status) in ENDED | INTERRUPTED:
            self.take_status(status, task.get("metadata") or {}, events)

    def take_update(self, update: dict[str, Any], events: list[Event]) -> None:
        """Take parts of an artifact, unless they may be in the snapshot that has come before."""
        if self.artifacts.repeats is not None and self.call.attach_to is not None:
            try:
                if self.artifacts.repeats.hold(update):
                    return
            except ValueError as unclear:
                raise StreamTruncatedError(f"{unclear}: another snapshot has to show that") from None
            self.release(events)
        self.take_artifact(update["artifact"], events, append=update.get("append") is True)

    def release(self, events: list[Event]) -> None:
        """Hand out the updates that were held back: nothing of them was in the snapshot."""
        repeats, self.artifacts.repeats = self.artifacts.repeats, None
        for update in repeats.held if repeats is not None else ():
            self.take_artifact(update["artifact"], events, append=update.get("append") is True)

    def take_artifact(self, artifact: dict[str, Any], events: list[Event], *, append: bool) -> None:
        """Take parts of an artifact."""
        known = self.artifacts.is_known(artifact)
        if known and not append:
            self.artifacts.is_comparable = False  # the new artifact replaces what was given
        if (known and not append) or (not known and len(artifact) > len(_OF_ARTIFACT)):
            about = {name: each for name, each in artifact.items() if name != "parts"}
            self.add_custom("artifact", about, events)
        new, fault = self.artifacts.add(artifact)
        self.give(new, events)
        if fault is not None:
            raise fault

    def take_message(self, message: dict[str, Any], events: list[Event]) -> None:
        """Take a message: without a task it is the whole answer."""
        if self.handle_ids is not None:
            self.add_custom("message", message, events)
            return
        self.begin(events, session_id=message.get("contextId"), invocation_id=message.get("taskId"))
        self.give(self.artifacts.add({"artifactId": "", "parts": message["parts"]})[0], events)
        self.end(events, metadata=message.get("metadata"))

    def take_status(self, status: dict[str, Any], metadata: dict[str, Any], events: list[Event]) -> None:
        """Take a status of the task; some end the run."""
        state = state_of(status)
        text = text_of(status.get("message"))
        if state in ENDED | INTERRUPTED:
            self.release(events)
        if state in INTERRUPTED or state == "completed":
            if state == "completed":
                self.take_rest(status.get("message"), events)
            waits = [{"id": (self.handle_ids or {}).get("task"), **status}] if state in INTERRUPTED else []
            self.end(
                events, status["state"], interrupts=waits, message=text or None, metadata=metadata or None
            )
        elif state in ENDED:
            self.give(self.artifacts.flush(), events)
            message, code = why_not_completed(state, text)
            self.fail(StreamError(message, code=code, details=status))
        else:
            if status.keys() - {"state", "timestamp"} or not metadata:
                self.add_custom("status", status, events)
            for name, value in metadata.items():
                self.add_custom(name, value, events)

    def take_rest(self, message: dict[str, Any] | None, events: list[Event]) -> None:
        """Hand out the last message if there is more to it than text."""
        parts = (message or {}).get("parts") or ()
        if not all(isinstance(piece, str) for piece in pieces_of(parts)):
            self.add_custom("message", message, events)

    def give(self, pieces: Iterable[Piece], events: list[Event]) -> None:
        """Hand out contents: text and data as chunks."""
        for piece in pieces:
            if isinstance(piece, str):
                events.append(Chunk(piece))
            elif "data" in piece:
                events.append(Chunk(piece["data"]))
            else:
                self.add_custom("file", piece["file"], events)

    def end(
        self,
        events: list[Event],
        stop_reason: str | None = None,
        *,
        interrupts: Iterable[dict[str, Any]] = (),
        message: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """End the run well."""
        self.give(self.artifacts.flush(), events)
        events.append(
            Completed(
                stop_reason=stop_reason, interrupts=list(interrupts), message=message, metadata=metadata
            )
        )
        self.is_over = True
        if not self.following:  # whose steps end the run by themselves
            self.finish()
