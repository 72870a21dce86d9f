"""The base of sessions and transports for streams: the request's body, and how messages end the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent._errors import StreamTruncatedError
from runagent._wire.jsontext import encode_json, quote, quote_value
from runagent.capabilities import Capability
from runagent.transports._base import Wants
from runagent.transports._http import HttpSession
from runagent.transports._messages import MessageReader

if TYPE_CHECKING:
    from runagent._address.route import Route
    from runagent._call import AgentCall, ResumePoint
    from runagent._errors import RunAgentError
    from runagent.transports._base import Session

__all__ = ["StreamSession", "StreamTransport", "stream_body"]


def stream_body(call: AgentCall, resume: ResumePoint | None) -> bytes:
    """Encode the input object, with the index of the next chunk if the stream is resumed."""
    body: dict[str, Any] = dict(call.input)
    if resume is not None and resume.next_index is not None:
        given = body.get("parameters")
        parameters = given if isinstance(given, dict) else {}
        body["parameters"] = {**parameters, "resume_from_index": resume.next_index}
    return encode_json(body)


class StreamSession(HttpSession):
    """An HTTP session whose body carries a run's messages."""

    def __init__(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> None:
        super().__init__(call, route, resume)
        self.messages = MessageReader(self.ignored, resume, call.limits.max_event_bytes)

    @property
    def resume_point(self) -> ResumePoint | None:  # type: ignore[override]  # made when it is asked for
        """Where another attempt could resume, or None."""
        return self.messages.resume_point()

    @property
    def last_ignored(self) -> str:
        """The last message that was ignored, quoted; "" if there is none."""
        message = self.messages.last_ignored
        if message is None:
            return ""
        return quote(message) if isinstance(message, str | bytes) else quote_value(message)

    def hidden_error(self) -> RunAgentError | None:
        """Return the agent's error if an ignored message holds one, for a stream that broke off."""
        return self.messages.hidden_error()

    def fail(self, error: RunAgentError) -> None:
        """End the session with an error; if the stream broke off, prefer the agent's error to that."""
        if isinstance(error, StreamTruncatedError) and not (self.messages.over or self.wants is Wants.DONE):
            error = self.hidden_error() or error
        super().fail(error)

    def settle_messages(self, decoder_error: RunAgentError | None) -> None:
        """End the run if the messages or their decoder have ended it; call this after each read."""
        messages = self.messages
        self.request_id = messages.request_id or self.request_id
        if messages.error is not None:
            self.fail(messages.error)
        elif messages.done:
            self.usage = messages.usage
            self.finish()
        elif decoder_error is not None:
            self.fail(decoder_error)


class StreamTransport:
    """Opens a session for a stream or a plain run; a subclass has its name and the class for streams."""

    name: str
    session: type[StreamSession]
    api_version = 1
    capabilities = frozenset(
        {
            Capability.INVOKE,
            Capability.RESUME,
            Capability.HEARTBEATS,
            Capability.STRUCTURED,
            Capability.TOOLS,
            Capability.REASONING,
            Capability.REUSE,
        }
    )
    tunnels = False

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> Session:
        """Open a session."""
        if call.mode == "invoke":
            from runagent.transports._invoke import InvokeSession  # not needed for a stream

            return InvokeSession(call, route, None)
        return self.session(call, route, resume)
