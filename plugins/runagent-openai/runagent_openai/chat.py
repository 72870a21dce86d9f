"""Chat Completions: ``POST /v1/chat/completions``.

A stream is unnamed events, each a ``chat.completion.chunk``: what is new is in ``choices[0].delta``, at
last comes a ``finish_reason``, then the usage, then ``[DONE]``. Azure begins with a chunk without choices,
vLLM may send the usage with every chunk, and some servers leave out ``[DONE]`` or the ``finish_reason``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from runagent import ProtocolError, RunAgentError, RunResult, StreamTruncatedError
from runagent.transports import Event, JSONReader, quote
from runagent_openai.calls import ToolCalls
from runagent_openai.decoding import objects_in
from runagent_openai.faults import is_error, plain_error, stream_error
from runagent_openai.requests import chat_body, post
from runagent_openai.session import EventStream, PlainAnswer

if TYPE_CHECKING:
    from runagent.transports import AgentCall, HttpRequest, Route, ServerSentEvent

__all__ = ["ChatPlain", "ChatStream"]

_PATH = "/v1/chat/completions"
_DONE = "[DONE]"
_REASONING = ("reasoning_content", "reasoning")  # of DeepSeek and vLLM; of OpenRouter and Ollama
_ERROR_REASON = "the server ended the answer with an error that it does not describe"


class _Choice(msgspec.Struct):
    index: Any = 0
    delta: Any = None
    message: Any = None
    finish_reason: Any = None
    error: Any = None

    @property
    def reason(self) -> str | None:
        """Why the model stopped, if it has."""
        return self.finish_reason if isinstance(self.finish_reason, str) else None


class _Completion(msgspec.Struct):
    """A whole completion, or a chunk of one."""

    id: Any = None
    object: Any = None
    type: Any = None
    model: Any = None
    created: Any = None
    service_tier: Any = None
    system_fingerprint: Any = None
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None


_chunks = JSONReader(_Completion, "a chunk of the chat completion")
_completions = JSONReader(_Completion, "the chat completion")


class ChatStream(EventStream):
    """One streamed chat completion."""

    def __init__(self, call: AgentCall, route: Route) -> None:
        super().__init__(call, route)
        self._calls = ToolCalls(call.limits.max_event_bytes)
        self._about = _Completion()
        self._reason: str | None = None

    def make_request(self) -> HttpRequest:
        """Ask for the stream."""
        return post(self.call, _PATH, chat_body(self.call))

    def take(self, event: ServerSentEvent, events: list[Event]) -> None:
        """See `EventStream.take`."""
        if event.data.strip() == _DONE:
            # Without a reason to stop, this is only what a gateway sends for an answer that broke off.
            self._complete(events, proven=self._reason is not None)
            return
        chunk = _chunks.read(event.data)
        if is_error(chunk.error) or "error" in (chunk.object, chunk.type):
            raise stream_error(event.data)
        if chunk.choices is None and not chunk.usage and '"choices"' not in event.data:
            self.leave_out("a chunk without choices", event.data)
        self.begin(events, invocation_id=chunk.id)
        if chunk.choices:
            self._about = chunk
        self.usage = chunk.usage if isinstance(chunk.usage, dict) and chunk.usage else self.usage
        for choice in chunk.choices or ():
            if is_error(choice.error) or choice.reason == "error":
                raise stream_error(choice.error or {"message": _ERROR_REASON, "code": "error"})
            if not choice.index:
                self._take_choice(choice, events)
            else:
                self.ignore("a second choice")

    def _take_choice(self, choice: _Choice, events: list[Event]) -> None:
        delta: dict[str, Any] = choice.delta if isinstance(choice.delta, dict) else {}
        for name, value in delta.items():
            if value in (None, "", []) or name == "role":
                continue
            if name == "content":
                self._take_content(value, events)
            elif name in _REASONING and isinstance(value, str):
                if name == _REASONING[0] or not isinstance(delta.get(_REASONING[0]), str):
                    self.add_reasoning(value, events)  # servers that send both send the same
            elif name == "refusal" and isinstance(value, str):
                self.add_refusal(value)
            elif name == "tool_calls" and isinstance(value, list):
                self._take_calls(value)
            elif name == "function_call":  # what tool calls were before there were tools
                self._take_calls([{"type": "function", "function": value}])
            else:
                self.add_custom(name, value, events)
        self._reason = choice.reason or self._reason

    def _take_content(self, content: Any, events: list[Event]) -> None:
        if isinstance(content, str):
            self.add_text(content, events)
            return
        for part in content if isinstance(content, list) else [content]:
            text = part.get("text") if isinstance(part, dict) and part.get("type") == "text" else part
            if isinstance(text, str):
                self.add_text(text, events)
            else:
                kind = part.get("type") if isinstance(part, dict) else None
                self.add_custom(kind if isinstance(kind, str) else "content", part, events)

    def _take_calls(self, pieces: list[Any]) -> None:
        for piece in pieces:
            if not isinstance(piece, dict):
                raise ProtocolError(f"a tool call is not an object: {quote(repr(piece))}")
            self._calls.add(piece)

    def end_body(self, proven: bool) -> list[Event]:
        """End well if the model has sent why it stopped; then only ``[DONE]`` is missing."""
        if self._reason is None or self.decoder.incomplete:
            raise StreamTruncatedError(
                "the stream ended without [DONE], and without a finish_reason before its end"
            )
        events: list[Event] = []
        try:
            self._complete(events, proven=proven)
        except RunAgentError as exc:
            self.fail(exc)
        return events

    def _complete(self, events: list[Event], *, proven: bool) -> None:
        self.add_calls(self._calls.take(), self._reason, events)
        about = msgspec.structs.asdict(self._about)
        self.end(events, about, reason=self._reason, usage=self.usage, proven=proven)


class ChatPlain(PlainAnswer):
    """One chat completion that is not streamed."""

    def make_request(self) -> HttpRequest:
        """Ask for the whole answer."""
        return post(self.call, _PATH, chat_body(self.call))

    def read_result(self, body: bytes) -> RunResult:
        """Give the text, or the whole message if there is more to it."""
        completion = _completions.read(body)
        choice = next((c for c in completion.choices or () if not c.index), None)
        if choice is not None and (is_error(choice.error) or choice.reason == "error"):
            raise plain_error(choice.error or {"message": _ERROR_REASON, "code": "error"}, self.status)
        if choice is None or not isinstance(choice.message, dict):
            raise ProtocolError(f"the chat completion has no message: {quote(body)}")
        message = choice.message
        calls = objects_in(message.get("tool_calls"))
        refusal = message.get("refusal")
        only_text = isinstance(message.get("content"), str) and not calls and not message.get("function_call")
        return self.result(
            message["content"] if only_text else message,
            calls,
            [refusal] if isinstance(refusal, str) else [],
            msgspec.structs.asdict(completion),
            reason=choice.reason,
            usage=completion.usage if isinstance(completion.usage, dict) else None,
        )
