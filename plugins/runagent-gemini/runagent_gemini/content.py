"""A ``GenerateContentResponse``: a whole answer, or a piece of one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from runagent import Custom, ProtocolError, Tokens, ToolCall
from runagent.transports import JSONReader, json_decoder, quote

if TYPE_CHECKING:
    from runagent.transports import Event

__all__ = [
    "Answer",
    "Candidate",
    "argument_texts",
    "call_events",
    "metadata_of",
    "read_answer",
    "read_tokens",
]

_TOKENS = {
    "input": "promptTokenCount",
    "output": "candidatesTokenCount",
    "total": "totalTokenCount",
    "cached": "cachedContentTokenCount",
    "reasoning": "thoughtsTokenCount",
}


class _Content(msgspec.Struct):
    parts: list[Any] | None = None


class Candidate(msgspec.Struct, rename="camel"):
    """One of the answers; a run has the first."""

    index: Any = 0
    content: _Content | None = None
    finish_reason: Any = None
    finish_message: Any = None
    grounding_metadata: Any = None
    citation_metadata: Any = None
    url_context_metadata: Any = None

    @property
    def reason(self) -> str | None:
        """Why the model stopped, if it has."""
        reason = self.finish_reason
        return reason if isinstance(reason, str) and reason not in ("", "FINISH_REASON_UNSPECIFIED") else None

    @property
    def parts(self) -> list[Any]:
        """The parts of the content."""
        return (self.content.parts if self.content is not None else None) or []

    def additional(self) -> list[tuple[str, Any]]:
        """Return what came next to the content, with the protocol's names for it."""
        found = (
            ("groundingMetadata", self.grounding_metadata),
            ("citationMetadata", self.citation_metadata),
            ("urlContextMetadata", self.url_context_metadata),
        )
        return [(name, value) for name, value in found if value is not None]


class Answer(msgspec.Struct, rename="camel"):
    """What one event, or a whole answer, has."""

    candidates: list[Candidate] | None = None
    usage_metadata: Any = None
    prompt_feedback: Any = None
    model_version: Any = None
    response_id: Any = None
    error: Any = None

    @property
    def first(self) -> Candidate | None:
        """The candidate that is the answer."""
        for candidate in self.candidates or ():
            if not candidate.index:
                return candidate
        return None


_answers = JSONReader(Answer, "a GenerateContentResponse")
read_answer = _answers.read


class _Arguments(msgspec.Struct):
    args: msgspec.Raw = msgspec.Raw(b"{}")


class _CallPart(msgspec.Struct, rename="camel"):
    function_call: _Arguments | None = None


class _CallContent(msgspec.Struct):
    parts: list[_CallPart] = []


class _CallCandidate(msgspec.Struct):
    index: Any = 0
    content: _CallContent | None = None


class _CallAnswer(msgspec.Struct):
    candidates: list[_CallCandidate] = []


_calls: msgspec.json.Decoder[_CallAnswer] = json_decoder(_CallAnswer)


def argument_texts(text: str | bytes) -> list[str]:
    """Return the arguments of each function call of an answer, as the service has written them.

    They are objects on the wire, which a `ToolCall` has as text. An empty list if they cannot be read so.
    """
    try:
        candidates = _calls.decode(text).candidates
    except (msgspec.DecodeError, UnicodeError, RecursionError):  # such as half an emoji in an escape
        return []
    found = [each.content for each in candidates if not each.index and each.content is not None][:1]
    calls = [part.function_call for content in found for part in content.parts]
    return [bytes(call.args).decode() for call in calls if call is not None]


def call_events(part: dict[str, Any], index: int, arguments: str | None) -> list[Event]:
    """Make the events of a part that is a function call.

    A part with additional fields, such as the signature of a thought, which the next request has to repeat,
    comes as a `Custom` named ``tool_call`` as well.

    Args:
        part: The part.
        index: The call's place among those of the run.
        arguments: Their text, if it is known.

    Raises:
        ProtocolError: It is not a function call.
    """
    call = part["functionCall"]
    if not isinstance(call, dict) or not isinstance(call.get("name"), str):
        raise ProtocolError(f"a function call has no name: {quote(repr(call))}")
    text = json.dumps(call.get("args") or {}, ensure_ascii=False) if arguments is None else arguments
    id = call.get("id")
    event = ToolCall(id if isinstance(id, str) and id else None, call["name"], text, index)
    return [event] if part.keys() == {"functionCall"} else [event, Custom("tool_call", part)]


def metadata_of(answer: Answer, reason: str | None) -> dict[str, Any]:
    """Pick what an end shows in addition to the answer."""
    known = {
        "finishReason": reason,
        "modelVersion": answer.model_version,
        "responseId": answer.response_id,
    }
    return {name: value for name, value in known.items() if value is not None}


def read_tokens(usage: dict[str, Any] | None) -> Tokens | None:
    """Return the counts under their names in this API; None if there are none."""
    if not usage:
        return None
    counts = {meaning: usage.get(name) for meaning, name in _TOKENS.items()}
    return Tokens(**{name: count for name, count in counts.items() if type(count) is int})
