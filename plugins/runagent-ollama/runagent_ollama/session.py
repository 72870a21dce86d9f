"""An answer of Ollama: lines of JSON, of which the last is ``done``, or one object of the same form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent import AgentServerError, ProtocolError, RunResult, Tokens, ToolCall
from runagent.transports import Event, InvokeSession, LineStreamSession, quote, write_json
from runagent_ollama.requests import ollama_request

if TYPE_CHECKING:
    from runagent.transports import HttpRequest

__all__ = ["LineStream", "PlainAnswer"]

_COUNTS = ("prompt_eval_count", "eval_count")
_METADATA = (
    *("model", "created_at", "done_reason", "context", "total_duration", "load_duration"),
    *("prompt_eval_duration", "eval_duration"),
)
_TEXT = frozenset({"content", "role", "thinking"})
_KNOWN = frozenset({*_COUNTS, *_METADATA, "done", "message", "response", "thinking"})


class _Counted:
    """Token counts under Ollama's names."""

    usage: dict[str, Any] | None

    @property
    def tokens(self) -> Tokens | None:
        """``usage`` by its meaning."""
        return Tokens(*map((self.usage or {}).get, _COUNTS)) if self.usage else None


class LineStream(_Counted, LineStreamSession):
    """A streamed run over either endpoint."""

    end_marker = "a line that is done"
    calls_made = 0

    def make_request(self) -> HttpRequest:
        """Ask for the stream."""
        return ollama_request(self.call)

    def take(self, line: dict[str, Any], events: list[Event]) -> None:
        """See `LineStreamSession.take`; the last line may have content, too."""
        if not self._begun:
            self.begin(events)
        message = line.get("message")
        if not isinstance(message, dict):
            message = line  # of /api/generate
        text, thought = message.get("content", message.get("response")), message.get("thinking")
        if isinstance(thought, str):
            self.add_reasoning(thought, events)
        if isinstance(text, str):
            self.add_text(text, events)
        if not _TEXT.issuperset(message):
            self._take_others(message, events)
        if not _KNOWN.issuperset(line):
            for name in [name for name in line if name not in _KNOWN]:
                self.add_custom(name, line[name], events)
        if line.get("done") is True:
            reason = line.get("done_reason")
            self.complete(
                events,
                usage=_usage(line),
                stop_reason=reason if isinstance(reason, str) else None,
                metadata=_metadata(line),
            )

    def _take_others(self, message: dict[str, Any], events: list[Event]) -> None:
        """Take the fields of a message that are not text."""
        calls = message.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            events.append(_tool_call(call, self.calls_made))
            self.calls_made += 1
        if isinstance(message.get("images"), list) and message["images"]:
            self.add_custom("images", message["images"], events)


class PlainAnswer(_Counted, InvokeSession):
    """A plain run over either endpoint."""

    def make_request(self) -> HttpRequest:
        """Ask for the whole answer."""
        return ollama_request(self.call)

    def read_answer(self, answer: dict[str, Any], body: bytes) -> RunResult:
        """Give the text, or the whole message if the model calls tools.

        Raises:
            AgentError: It is an error.
            ProtocolError: It has no text.
        """
        if isinstance(answer.get("error"), str):
            raise AgentServerError(answer["error"], status=self.status)
        message = answer.get("message")
        text = message.get("content") if isinstance(message, dict) else answer.get("response")
        if not isinstance(text, str):
            raise ProtocolError(f"the answer has no text: {quote(body)}")
        self.usage = _usage(answer)
        called = isinstance(message, dict) and message.get("tool_calls")
        return RunResult(
            message if called else text,
            usage=self.usage,
            request_id=self.request_id,
            metadata=_metadata(answer),
        )


def _tool_call(call: Any, index: int) -> ToolCall:
    function = call.get("function") if isinstance(call, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(function, dict) or not isinstance(name, str):
        raise ProtocolError(f"a tool call has no function with a name: {quote(repr(call))}")
    arguments, id_ = function.get("arguments"), call.get("id")
    text = arguments if isinstance(arguments, str) else write_json({} if arguments is None else arguments)
    return ToolCall(id_ if isinstance(id_, str) else None, name, text, index)


def _usage(line: dict[str, Any]) -> dict[str, Any] | None:
    return {name: line[name] for name in _COUNTS if type(line.get(name)) is int} or None


def _metadata(line: dict[str, Any]) -> dict[str, Any]:
    return {name: line[name] for name in _METADATA if line.get(name) is not None}
