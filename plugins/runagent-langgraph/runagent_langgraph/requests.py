"""What a run asks the server for: a thread, the run on it, its stream, its status, its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent import ValidationError
from runagent.transports import HttpRequest, parse_input, post_json

if TYPE_CHECKING:
    from runagent.transports import AgentCall, AgentInput, InterruptAnswer

__all__ = ["DEFAULT_MODES", "get", "post", "run_body"]

DEFAULT_MODES = ("messages-tuple", "updates")
_KEY_FIELD = "x-api-key"
_OPTIONS = {
    "langgraph_stream_mode": "stream_mode",
    "langgraph_stream_subgraphs": "stream_subgraphs",
    "langgraph_config": "config",
    "langgraph_context": "context",
}


def post(call: AgentCall, path: str, body: Any, *, accept: str = "application/json") -> HttpRequest:
    """Make a POST of JSON."""
    return post_json(call, path, body, accept=accept, key_field=_KEY_FIELD, key_prefix="")


def get(call: AgentCall, path: str, *, accept: str = "application/json") -> HttpRequest:
    """Make a GET."""
    return HttpRequest("GET", path, call.request_headers(accept=accept, key_field=_KEY_FIELD, key_prefix=""))


def run_body(call: AgentCall) -> dict[str, Any]:
    """Return the request that begins a run.

    Raises:
        ValidationError: The input has something that the protocol cannot carry.
    """
    asked = parse_input(call)
    asked.refuse("LangGraph", "tools")
    given = {field: call.options[name] for name, field in _OPTIONS.items() if name in call.options}
    body = {
        "assistant_id": call.agent_id,
        "stream_mode": list(DEFAULT_MODES),
        "stream_resumable": True,
    } | given
    if asked.resume:
        if len(call.input) > 1 + ("session_id" in call.input):
            raise ValidationError("resume: answers to interrupts go alone; leave the other input out")
        return body | {"command": {"resume": _answers(asked.resume)}}
    return body | {"input": _graph_input(call, asked)}


def _graph_input(call: AgentCall, asked: AgentInput) -> dict[str, Any]:
    """Return the input of the graph: its state, in which ``messages`` is the conversation."""
    messages: Any = call.input.get("messages")
    if asked.query is not None:
        messages = [{"role": "user", "content": asked.query}]
    return asked.rest if messages is None else {**asked.rest, "messages": messages}


def _answers(answers: list[InterruptAnswer]) -> dict[str, Any]:
    """Return the answers by the ids of their interrupts.

    Raises:
        ValidationError: One is cancelled, for which the protocol has no word.
    """
    for answer in answers:
        if answer.status == "cancelled":
            raise ValidationError(
                "resume: LangGraph cannot carry the status cancelled; answer with a value for the graph"
            )
    return {answer.id: answer.payload for answer in answers}
