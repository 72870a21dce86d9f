"""The body of a request, made of a run's input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent import ValidationError
from runagent.transports import post_json
from runagent_openai.items import items_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent.transports import AgentCall, HttpRequest

__all__ = ["chat_body", "post", "responses_body"]

_PROTOCOL = "OpenAI's protocol"


def post(call: AgentCall, template: str, body: dict[str, Any]) -> HttpRequest:
    """Ask ``template`` behind the base's prefix, or ``stream_path`` and ``invoke_path`` instead."""
    stream = call.mode == "stream"
    path = call.path(template, "stream_path" if stream else "invoke_path")
    return post_json(call, path, body, accept="text/event-stream" if stream else "application/json")


def chat_body(call: AgentCall) -> dict[str, Any]:
    """Make the body for Chat Completions.

    Raises:
        ValidationError: There is no question in the input, or two, or more than one answer is asked for.
    """
    body = _body(call, "messages", _user)
    body |= {name: write(body[name]) for name, write in _CHAT.items() if isinstance(body.get(name), list)}
    if body.get("messages") is None:
        raise ValidationError("there is nothing to answer: give query or messages")
    if body.get("n") not in (None, 1):
        raise ValidationError(f"n is {body['n']!r}, but a run has one answer; run the agent as often instead")
    if call.mode == "stream" and call.options.get("openai_include_usage", True):
        given = body.get("stream_options")
        body["stream_options"] = {"include_usage": True} | (given if isinstance(given, dict) else {})
    return body


def responses_body(call: AgentCall) -> dict[str, Any]:
    """Make the body for Responses.

    Raises:
        ValidationError: There are two questions in the input, or its messages are invalid.
    """
    body = _body(call, "input", lambda query: query if isinstance(query, str) else _user(query))
    messages = body.pop("messages", None)
    if messages is not None:
        if body.get("input") is not None:
            raise ValidationError("messages, input and query mean the same; give one of them")
        body["input"] = items_of(call, messages)
    if isinstance(body.get("tools"), list):
        body["tools"] = [_flat_tool(tool) for tool in body["tools"]]
    return body


def _flat_tool(tool: Any) -> Any:
    """Write a function's fields next to its type, as Responses has them."""
    match tool:
        case {"type": "function", "function": dict(function)}:
            return {"type": "function", **function}
    return {"type": "function", **tool} if _is_plain(tool) else tool


def _is_plain(tool: Any) -> bool:
    """Whether a tool, or the call of one, has its fields without an object around them, and no type."""
    return (
        isinstance(tool, dict)
        and isinstance(tool.get("name"), str)
        and not {"type", "function"} & tool.keys()
    )


def _tools(tools: list[Any]) -> list[Any]:
    return [{"type": "function", "function": tool} if _is_plain(tool) else tool for tool in tools]


def _messages(messages: list[Any]) -> list[Any]:
    """Write tool calls that are the `ToolCall`s of an earlier run; all else is sent as it is."""
    calling = [isinstance(each, dict) and isinstance(each.get("tool_calls"), list) for each in messages]
    return [
        {**each, "tool_calls": [_call(call) for call in each["tool_calls"]]} if calls else each
        for each, calls in zip(messages, calling, strict=True)
    ]


def _call(call: Any) -> Any:
    if not _is_plain(call):
        return call
    function = {"name": call["name"], "arguments": call.get("arguments", "")}
    return {"id": call.get("id"), "type": "function", "function": function}


_CHAT: dict[str, Callable[[list[Any]], list[Any]]] = {"messages": _messages, "tools": _tools}


def _user(content: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content}]


def _body(call: AgentCall, name: str, question: Callable[[Any], Any]) -> dict[str, Any]:
    """Take the input over: ``parameters`` beneath its own fields, ``query`` as the field ``name``."""
    own = dict(call.input)
    for field in ("session_id", "resume"):
        if own.get(field):
            raise ValidationError(f"{field}: {_PROTOCOL} cannot carry it; send the conversation's messages")
        own.pop(field, None)
    parameters, query = own.pop("parameters", None), own.pop("query", None)
    if not isinstance(parameters, dict | None):
        raise ValidationError("parameters is not an object; give the request's fields in it, or next to it")
    body = {"model": call.agent_id} | (parameters or {}) | own
    if query is not None:
        if body.get(name) is not None:
            raise ValidationError(f"query and {name} mean the same; give one of them")
        if not isinstance(query, str | list):
            raise ValidationError(
                f"query is neither text nor a list of content parts; or give {name} instead"
            )
        body[name] = question(query)
    body["stream"] = call.mode == "stream"
    return body
