"""What is asked of an agent: the parameters of a message, and requests in either binding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from runagent import ValidationError
from runagent.transports import HttpRequest, parse_input, parse_url, path_segment, post_json
from runagent_a2a.interfaces import own_path

if TYPE_CHECKING:
    from runagent.transports import AgentCall, AgentInput
    from runagent_a2a.interfaces import Interface
    from runagent_a2a.words import Operation, Words

__all__ = ["message_params", "request_for"]

# Fields of the input that are fields of the message; any other one becomes data.
_OF_MESSAGE = ("extensions", "metadata", "referenceTaskIds")
_PATHS: dict[Operation, tuple[str, str]] = {
    "stream": ("POST", "/message:stream"),
    "send": ("POST", "/message:send"),
    "subscribe": ("POST", "/tasks/{}:subscribe"),
    "get": ("GET", "/tasks/{}"),
    "cancel": ("POST", "/tasks/{}:cancel"),
}


def message_params(call: AgentCall, words: Words) -> dict[str, Any]:
    """Make the parameters that send the input of a call as one message.

    Raises:
        ValidationError: The input has what A2A cannot carry, or nothing to send.
    """
    given = parse_input(call)
    given.refuse("A2A", "tools")
    rest = dict(given.rest)
    own = {name: rest.pop(name) for name in _OF_MESSAGE if name in rest}
    configuration = rest.pop("configuration", None)
    parts = [*_question(given, words), *_answers(given, words)]
    if rest:
        parts.append(words.data(rest))
    if not parts:
        raise ValidationError("there is nothing to send: give a query")
    places = {"contextId": given.session_id, "taskId": given.resume[0].id if given.resume else None}
    named = {name: value for name, value in places.items() if value is not None}
    message = words.message(messageId=call.run_id, role=words.user, parts=parts, **named, **own)
    if words.version == "0.3" and call.mode == "invoke":
        configuration = {"blocking": True, **(configuration or {})}
    return {"message": message, **({} if configuration is None else {"configuration": configuration})}


def _question(given: AgentInput, words: Words) -> list[dict[str, Any]]:
    """Return the parts of the query; a conversation of one message of the user is one, too."""
    if not given.messages:
        return []
    [message, *others] = given.messages
    if others or message.role != "user":
        raise ValidationError(
            "messages: an A2A agent keeps the conversation itself; give the last message as query, and the"
            " session_id of the run before"
        )
    if isinstance(message.content, list):
        return [words.text(p["text"]) if p.get("type") == "text" else p for p in message.content]
    return [words.text(message.content)] if message.content is not None else []


def _answers(given: AgentInput, words: Words) -> list[dict[str, Any]]:
    """Return the parts of the answers to interrupts, which all belong to one task."""
    if len({answer.id for answer in given.resume}) > 1:
        raise ValidationError("resume: a message of A2A belongs to one task; give the answers of one run")
    if any(answer.status == "cancelled" for answer in given.resume):
        raise ValidationError("resume: A2A cannot carry a cancelled answer; cancel the run by its handle")
    payloads = [answer.payload for answer in given.resume if answer.payload is not None]
    return [words.text(each) if isinstance(each, str) else words.data(each) for each in payloads]


def request_for(
    call: AgentCall, interface: Interface, operation: Operation, params: dict[str, Any], accept: str
) -> HttpRequest:
    """Make the request of an operation.

    Args:
        call: The call.
        interface: Where it goes.
        operation: What it asks for.
        params: The message and its configuration, or the ``id`` of a task.
        accept: The content types that the session reads.
    """
    origin, target = (None, own_path(call)) if interface.url is None else parse_url(interface.url)
    words, tenant, body = interface.words, interface.tenant, params
    verb = "POST"
    if interface.is_rpc:
        named = {"tenant": tenant, **params} if tenant else params
        body = {"jsonrpc": "2.0", "id": call.run_id, "method": words.methods[operation], "params": named}
    else:
        verb, path = _PATHS[operation]
        place = f"/{path_segment(tenant)}" if tenant else ""
        target = (
            target.rstrip("/") + place + path.format(path_segment(params["id"]) if "id" in params else "")
        )
    if interface.is_rpc or "message" in params:
        request = post_json(call, target, body, accept=accept, headers=words.headers)
        return msgspec.structs.replace(request, origin=origin)
    return HttpRequest(verb, target, [*call.request_headers(accept=accept), *words.headers], origin=origin)
