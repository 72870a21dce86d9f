"""The input that all protocols of plugins have in common: a question or a conversation, tools, answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec

from runagent._errors import ValidationError
from runagent._events import ToolCall
from runagent._internal.tracebacks import is_ours
from runagent._public import publish
from runagent._wire.jsontext import write_json

if TYPE_CHECKING:
    from runagent._call import AgentCall

__all__ = ["AgentInput", "InputMessage", "InputTool", "InterruptAnswer", "parse_input"]

__tracebackhide__ = is_ours

T = TypeVar("T")
_Objects = list[dict[str, Any]]
_NAMES = ("query", "messages", "tools", "session_id", "resume")
_ADVICE = {
    "query": 'query is text, or a list of content parts such as {"type": "text", "text": …}',
    "messages": 'a message is {"role", "content", "tool_calls", "tool_call_id"}, as in Chat Completions',
    "tools": 'a tool is {"name", "description", "parameters"}, with a JSON schema as parameters',
    "session_id": "session_id is the text that Started of an earlier run has",
    "resume": "runagent.answer(interrupt, payload) makes its items",
}


class InterruptAnswer(msgspec.Struct, frozen=True):
    """The answer to an interrupt of an earlier run, as `runagent.answer` makes it.

    Attributes:
        id: The interrupt's id.
        status: Whether it was answered.
        payload: The answer.
    """

    id: str
    status: Literal["resolved", "cancelled"] = "resolved"
    payload: Any = None


class InputMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the conversation, in the terms of Chat Completions.

    Attributes:
        role: ``system``, ``developer``, ``user``, ``assistant``, ``tool``, or a word of one protocol.
        content: Text, a list of content parts as the caller gave them, or None.
        tool_calls: The tools that the assistant called in it.
        tool_call_id: The call that a message of the role ``tool`` is the result of.
        rest: All other fields.
    """

    role: str
    content: str | _Objects | None = None
    tool_calls: list[ToolCall] = msgspec.field(default_factory=list)
    tool_call_id: str | None = None
    rest: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def text(self) -> str | None:
        """The content as one text; None if there are parts that are not text."""
        if not isinstance(self.content, list):
            return self.content or ""
        texts = [part.get("text") if part.get("type") == "text" else None for part in self.content]
        return "".join(map(str, texts)) if all(isinstance(text, str) for text in texts) else None


class InputTool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that the model may call.

    Attributes:
        name: Its name.
        description: What it does; None if the caller does not describe it.
        parameters: The JSON schema of its arguments; None if there is none.
        rest: All other fields.
    """

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    rest: dict[str, Any] = msgspec.field(default_factory=dict)


class AgentInput(msgspec.Struct, frozen=True, kw_only=True):
    """The input of a run, taken apart.

    Attributes:
        query: The question: text, or a list of content parts; None if there are messages, or neither.
        messages: The conversation; a query is its only message, of the role ``user``.
        tools: The tools that the model may call.
        session_id: The conversation to go on with, also if it is an argument of the call.
        resume: Answers to the interrupts of the run before.
        rest: All other fields, untouched, ``parameters`` among them.
    """

    query: str | _Objects | None = None
    messages: list[InputMessage] = msgspec.field(default_factory=list)
    tools: list[InputTool] = msgspec.field(default_factory=list)
    session_id: str | None = None
    resume: list[InterruptAnswer] = msgspec.field(default_factory=list)
    rest: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def fields(self) -> dict[str, Any]:
        """``rest`` as fields of a request: those of ``parameters``, unless the input has one of that name.

        Raises:
            ValidationError: ``parameters`` is not an object.
        """
        own = dict(self.rest)
        parameters = own.pop("parameters", None)
        if not isinstance(parameters, dict | None):
            raise ValidationError(
                "parameters is not an object; give the request's fields in it, or next to it"
            )
        return (parameters or {}) | own

    def refuse(self, protocol: str, *names: str) -> None:
        """Reject fields that a protocol cannot carry, if they are given.

        Args:
            protocol: The protocol's name, for the error.
            names: Of ``query``, ``messages``, ``tools``, ``session_id`` and ``resume`` those that it lacks.

        Raises:
            ValidationError: One of them is given.
        """
        for name in names:
            if getattr(self, name):
                raise ValidationError(
                    f"{name}: {protocol} cannot carry it; leave it out, or choose another transport"
                )

    def need_messages(self) -> list[InputMessage]:
        """Return the conversation.

        Raises:
            ValidationError: It is empty.
        """
        if not self.messages:
            raise ValidationError("there is nothing to answer: give query or messages")
        return self.messages


class _Function(msgspec.Struct):
    name: str
    arguments: str | dict[str, Any] = ""


class _Call(msgspec.Struct):
    """A call in the form of Chat Completions, or with the fields of a `ToolCall`."""

    id: str | None = None
    function: _Function | None = None
    name: str | None = None
    arguments: str | dict[str, Any] = ""


class _Message(msgspec.Struct):
    role: str
    content: str | _Objects | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None


class _ToolFields(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class _Input(msgspec.Struct):
    query: str | _Objects | None = None
    messages: list[_Message] | None = None
    tools: _Objects | None = None
    session_id: str | None = None
    resume: list[InterruptAnswer] | None = None


def parse_input(call: AgentCall) -> AgentInput:
    """Take the input of a call apart, and check what all protocols have in common.

    Tools and tool calls may have the form of Chat Completions (``{"type": "function", "function": {…}}``), or
    these fields themselves. Call it in ``make_request``, so that the caller sees the error at the call.

    Raises:
        ValidationError: A field is of another form, or there are both a query and messages.
    """
    given = call.input
    read = _convert({name: given[name] for name in _NAMES if name in given}, _Input)
    if read.query is not None and read.messages is not None:
        raise ValidationError("query and messages mean the same; give one of them")
    pairs = zip(given.get("messages") or (), read.messages or (), strict=True)
    messages = [_message(raw, typed, at) for at, (raw, typed) in enumerate(pairs)]
    if read.query is not None:
        messages = [InputMessage(role="user", content=read.query)]
    return AgentInput(
        query=read.query,
        messages=messages,
        tools=[_tool(raw, at) for at, raw in enumerate(given.get("tools") or ())],
        session_id=read.session_id,
        resume=read.resume or [],
        rest={name: value for name, value in given.items() if name not in _NAMES},
    )


def _message(raw: dict[str, Any], read: _Message, at: int) -> InputMessage:
    path = f"messages[{at}].tool_calls"
    calls = [_call(each, f"{path}[{index}]", index) for index, each in enumerate(read.tool_calls or ())]
    return InputMessage(
        role=read.role,
        content=read.content,
        tool_calls=calls,
        tool_call_id=read.tool_call_id,
        rest={name: value for name, value in raw.items() if name not in _Message.__struct_fields__},
    )


def _call(call: _Call, path: str, index: int) -> ToolCall:
    name, arguments = call.name, call.arguments
    if call.function is not None:
        name, arguments = call.function.name, call.function.arguments
    if name is None:
        raise ValidationError(
            f"{path}: a tool call has no name; it is"
            ' {"id": …, "type": "function", "function": {"name": …, "arguments": …}}, or a ToolCall'
        )
    text = arguments if isinstance(arguments, str) else write_json(arguments)
    return ToolCall(call.id, name, text, index)


def _tool(raw: dict[str, Any], at: int) -> InputTool:
    inner = raw.get("function")
    own = {name: value for name, value in raw.items() if name not in ("function", "type")}
    fields = {**own, **inner} if isinstance(inner, dict) else dict(raw)
    if fields.get("type") == "function":
        del fields["type"]
    read = _convert(fields, _ToolFields, f"tools[{at}]")
    rest = {name: value for name, value in fields.items() if name not in _ToolFields.__struct_fields__}
    return InputTool(name=read.name, description=read.description, parameters=read.parameters, rest=rest)


def _convert(value: Any, kind: type[T], path: str = "") -> T:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as exc:
        fault, _, place = str(exc).partition(" - at `$")
        path = f"{path}{place.rstrip('`')}".removeprefix(".")
        advice = next((_ADVICE[name] for name in _NAMES if path.startswith(name)), "")
        raise ValidationError(f"{path}: {fault[:1].lower()}{fault[1:]}; {advice}") from None


publish(AgentInput, InputMessage, InputTool, InterruptAnswer, module="runagent.transports")
