"""What the body of a request, a RunAgentInput, asks for, and what is wrong with it."""

from __future__ import annotations

from typing import Any

__all__ = ["agent_input", "faults_in"]

_DEFAULTS: dict[str, Any] = {"context": [], "forwardedProps": {}, "state": {}, "tools": []}
_REQUIRED = {"threadId": str, "runId": str, "messages": list}
_OPTIONAL = {"protocolVersion": str, "parentRunId": str, "tools": list, "context": list, "resume": list}
_TYPES: dict[Any, tuple[str, str]] = {
    str: ("string_type", "string"),
    list: ("list_type", "list"),
    dict: ("dict_type", "dictionary"),
}


def agent_input(body: dict[str, Any]) -> dict[str, Any]:
    """Return the input of which the transport made this body: one text of the user is its ``query``.

    Clients send ids and empty fields with every request; they are left out.
    """
    given = {
        name: value
        for name, value in body.items()
        if name not in ("runId", "protocolVersion") and (name not in _DEFAULTS or value != _DEFAULTS[name])
    }
    thread_id = given.pop("threadId", None)
    if thread_id != body.get("runId"):  # the transport makes both alike if the caller names no session
        given["session_id"] = thread_id
    match given.get("messages"):
        case [{"role": "user", "content": query}]:
            del given["messages"]
            return {"query": query} | given
        case []:  # a run that only answers interrupts
            del given["messages"]
    return given


def faults_in(body: Any) -> list[dict[str, Any]]:
    """Return what is wrong with the body of a request, in the form of pydantic; an empty list if valid."""
    if not isinstance(body, dict):
        return [_wrong((), dict, body)]
    faults = [_missing((name,), body) for name in _REQUIRED if name not in body]
    faults += [
        _wrong((name,), kind, body[name])
        for name, kind in (_REQUIRED | _OPTIONAL).items()
        if name in body and not isinstance(body[name], kind)
    ]
    messages = body.get("messages")
    for number, message in enumerate(messages if isinstance(messages, list) else []):
        faults += _faults_in_message(("messages", number), message)
    return faults


def _faults_in_message(place: tuple[str | int, ...], message: Any) -> list[dict[str, Any]]:
    if not isinstance(message, dict):
        return [_wrong(place, dict, message)]
    names = ("id", "role", "toolCallId") if message.get("role") == "tool" else ("id", "role")
    return [_missing((*place, name), message) for name in names if name not in message]


def _missing(place: tuple[str | int, ...], given: Any) -> dict[str, Any]:
    return _fault("missing", place, "Field required", given)


def _wrong(place: tuple[str | int, ...], kind: type, given: Any) -> dict[str, Any]:
    code, name = _TYPES[kind]
    return _fault(code, place, f"Input should be a valid {name}", given)


def _fault(code: str, place: tuple[str | int, ...], message: str, given: Any) -> dict[str, Any]:
    return {"type": code, "loc": list(place), "msg": message, "input": given}
