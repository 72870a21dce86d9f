"""Plain runs: a run on a thread, of which the server gives the state at the end.

The server answers with the last state also if somebody has cancelled the run. So the run's status is asked
for afterwards, and decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent import AgentError, RunResult, StreamError, Tokens
from runagent.transports import InvokeSession, RunIds, Step
from runagent_langgraph.content import Message, add_usage, parts_of, read_tokens, stop_reason
from runagent_langgraph.requests import (
    failure_of,
    get,
    post,
    run_body,
    run_named_by,
    run_path,
    thread_of,
    thread_path,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from runagent.transports import Event, HttpRequest, StepAnswer

__all__ = ["PlainRun"]

_FAILED = ("error", "timeout", "interrupted")
_FIELDS = Message.__struct_fields__


class PlainRun(InvokeSession):
    """Begins a run on a thread, and waits for its end."""

    def before(self) -> Generator[Step, StepAnswer, None]:
        """Make a thread, unless the caller or an earlier attempt has one."""
        self._asked = run_body(self.call, plain=True)  # an invalid input is refused before anything is sent
        self._thread = yield from thread_of(self.call)

    def make_request(self) -> HttpRequest:
        """Begin the run."""
        return post(self.call, thread_path(self.call, self._thread, "/runs/wait"), self._asked)

    def end_body(self, proven: bool) -> list[Event]:
        """Ask for the run's status, if the answer names the run."""
        events = super().end_body(proven)
        run = run_named_by(self.headers)
        if run is None:
            return events
        self.follow(self._ask_for_status(RunIds({"thread": self._thread, "run": run}), events))
        return []

    def _ask_for_status(self, ids: RunIds, events: list[Event]) -> Generator[Step, StepAnswer, list[Event]]:
        answer = yield Step(get(self.call, run_path(self.call, ids)), accept={404})
        if answer.status != 404:  # a run that was deleted has no status, but its answer is whole
            status = str(answer.json()["status"])
            failure = failure_of(status, has_interrupts=self._is_interrupted)
            if failure is not None and status in _FAILED:
                raise StreamError(failure[0], code=failure[1])
        return events

    def read_answer(self, answer: dict[str, Any], body: bytes) -> RunResult:
        """Give the text of the last message, if it is the model's and no more than text; or the whole state.

        Raises:
            AgentError: The graph has failed.
        """
        failure = answer.get("__error__")
        if isinstance(failure, dict):
            kind = str(failure.get("error"))
            raise AgentError(str(failure.get("message") or kind), code=kind)
        self._is_interrupted = bool(answer.get("__interrupt__"))
        messages = _of_this_run(answer.get("messages"))
        for message in messages:
            if isinstance(message.usage_metadata, dict):
                self.usage = add_usage(self.usage, message.usage_metadata)
        text = None if self._is_interrupted or not messages else _text_of(messages[-1])
        about = messages[-1].about_answer if messages else {}
        return RunResult(
            answer if text is None else text,
            usage=self.usage,
            metadata={"thread_id": self._thread, "state": answer, "stop_reason": stop_reason(about)},
        )

    @property
    def tokens(self) -> Tokens | None:
        """The token counts under LangChain's names."""
        return read_tokens(self.usage)


def _of_this_run(messages: Any) -> list[Message]:
    """Return the messages behind the user's last one: those before it are of other runs on the thread."""
    found: list[Message] = []
    for each in messages if isinstance(messages, list) else ():
        if isinstance(each, dict):
            message = Message(**{name: each.get(name) for name in _FIELDS})
            found = [] if message.type == "human" else [*found, message]
    return found


def _text_of(message: Message) -> str | None:
    if not message.of_model or message.tool_calls or message.invalid_tool_calls:
        return None
    parts = [part for part in parts_of(message) if part[0] != "reasoning"]
    texts = [part for kind, part in parts if kind == "text"]
    return "".join(texts) if len(texts) == len(parts) and (texts or message.content == "") else None
