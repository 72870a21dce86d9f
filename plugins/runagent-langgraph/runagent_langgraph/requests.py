"""What a run asks the server for: a thread, the run on it, its stream, its status, its end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from runagent import ValidationError
from runagent.transports import HttpRequest, Step, parse_input, path_segment, post_json, quote

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from runagent.transports import AgentCall, AgentInput, InterruptAnswer, RunIds, StepAnswer

__all__ = [
    "DEFAULT_MODES",
    "failure_of",
    "get",
    "post",
    "run_body",
    "run_named_by",
    "run_path",
    "thread_of",
    "thread_path",
]

DEFAULT_MODES = ("messages-tuple", "updates")
_KEY_FIELD = "x-api-key"
_LOCATION = re.compile(r"/threads/[^/?#]+/runs/([^/?#]+)")
_NO_PATH = "langgraph_path"  # no option of a caller: each path has the ids of thread and run
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


def run_body(call: AgentCall, *, plain: bool = False) -> dict[str, Any]:
    """Return the request that begins a run; a plain one streams nothing.

    Raises:
        ValidationError: The input has something that the protocol cannot carry.
    """
    asked = parse_input(call)
    asked.refuse("LangGraph", "tools")
    given = {field: call.options[name] for name, field in _OPTIONS.items() if name in call.options}
    streamed = {"stream_mode": list(DEFAULT_MODES), "stream_resumable": True}
    body = {"assistant_id": call.agent_id} | streamed | given
    if plain:
        body = {name: value for name, value in body.items() if not name.startswith("stream_")}
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


def thread_of(call: AgentCall) -> Generator[Step, StepAnswer, Any]:
    """Return the thread of a run: the caller's, that of an earlier attempt, or another one, which is made."""
    known = call.input.get("session_id")
    thread = known or call.found.get("thread")
    if thread is None:
        answer = yield Step(post(call, call.path("/threads", _NO_PATH), {}))
        thread = answer.json()["thread_id"]
        path_segment(thread)
        call.found.keep("thread", thread)
    try:
        path_segment(thread)
    except ValueError as exc:
        raise ValidationError(f"session_id: {quote(str(known))} is not the id of a thread") from exc
    return thread


def thread_path(call: AgentCall, thread: Any, end: str) -> str:
    """Return the path of what belongs to a thread."""
    return call.path(f"/threads/{path_segment(thread)}{end}", _NO_PATH)


def run_path(call: AgentCall, ids: RunIds, end: str = "") -> str:
    """Return the path of a run, or of what ends so."""
    return call.path(f"/threads/{ids.quoted('thread')}/runs/{ids.quoted('run')}{end}", _NO_PATH)


def run_named_by(headers: Mapping[str, str]) -> str | None:
    """Return the id of the run that the head of an answer names, or None."""
    match = _LOCATION.search(headers.get("content-location", ""))
    return None if match is None else unquote(match[1])


def failure_of(status: str, *, has_interrupts: bool) -> tuple[str, str] | None:
    """Return the text and the code for a run that has failed, by its status; None if it has not."""
    if status == "success" or (status == "interrupted" and has_interrupts):
        return None
    if status == "interrupted":
        return "the run was cancelled", "CANCELLED"
    return f"the run ended with the status {status}", status.upper()
