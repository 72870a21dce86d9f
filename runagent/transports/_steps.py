"""Steps: the requests of a session before and after the run's own one, such as a thread to be made first."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping  # noqa: TC003 - help(Step) looks them up
from typing import TYPE_CHECKING, Any

import msgspec

from runagent._address.url import split_url
from runagent._errors import ConfigurationError, ProtocolError, RunAgentError, StreamLimitError
from runagent._internal.tracebacks import is_ours
from runagent._public import publish
from runagent._redact import describe
from runagent._wire.jsontext import InvalidJSONError, decode_json, quote
from runagent.transports._request import HttpRequest, check_request, refuse_request

if TYPE_CHECKING:
    from runagent._address.url import Origin
    from runagent._call import AgentCall
    from runagent._wire.http1 import ResponseDecoder

__all__ = ["Step", "StepAnswer", "StepBody", "StepSequence", "parse_url"]

__tracebackhide__ = is_ours

_END: Any = object()


class StepAnswer(msgspec.Struct, frozen=True):
    """The whole answer to a `Step`.

    Attributes:
        status: The HTTP status: 2xx, or one that the step accepts.
        headers: The header fields, by lower-case name.
        body: The body without content coding, at most ``max_event_bytes`` long.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the decoded body.

        Raises:
            ProtocolError: It is not JSON.
        """
        try:
            return decode_json(self.body)
        except InvalidJSONError as exc:
            raise ProtocolError(f"expected JSON, found {quote(self.body)} ({exc})") from None


class Step(msgspec.Struct, frozen=True):
    """One request of a session besides the run's own.

    Its fields are sent as those of every request. An ``Idempotency-Key`` gets the step's place at its end,
    such as ``-before-1``, so that a retry repeats it and no two requests share one.

    Attributes:
        request: The request.
        read: Called with the answer, before the next step.
        accept: Statuses whose answers are passed on like a 2xx; any other one is a refusal of the run.
        begins_run: Whether the service may begin the run on it, as if it were the run's own request: if it
            fails, it is repeated only if the caller allows that (``retry_unsafe``). Any other step before the
            run is repeated after an outage.
    """

    request: HttpRequest
    read: Callable[[StepAnswer], object] | None = None
    accept: Collection[int] = ()
    begins_run: bool = False


def parse_url(url: object) -> tuple[Origin, str]:
    """Split an absolute URL that a peer has named into an origin, and path and query.

    A request goes there only if the caller allows the origin (``allowed_origins=``).

    Args:
        url: An ``http``, ``https``, ``ws`` or ``wss`` URL.

    Raises:
        ProtocolError: It is something else, or has a user name, a password or a fragment; the message shows
            neither these nor the query.
    """
    try:
        return split_url(url)
    except ConfigurationError as exc:
        raise ProtocolError(exc.message, code="INVALID_URL") from None


class StepSequence:
    """The steps that are left of those that a hook has returned.

    Args:
        steps: A generator, which gets each answer as the value of its ``yield``, or another iterable.
        hook: The hook's name, for messages and idempotency keys.

    Attributes:
        current: The step that is going on, or None.
        result: The return value of a generator that is at its end.
    """

    def __init__(self, steps: object, hook: str) -> None:
        try:
            self._left = iter(steps)  # type: ignore[call-overload]
        except TypeError:
            raise refuse_request(hook, f"expected an iterable of steps, found {describe(steps)}") from None
        self.hook = hook
        self.number = 1
        self.current: Step | None = None
        self.result: Any = None

    def advance(self, answer: StepAnswer | None) -> Step | None:
        """Pass on the answer to the current step, and return the next one, or None at the end.

        Raises:
            ProtocolError: The hook could not use the answer.
            RunAgentError: As the hook raised it.
        """
        if answer is None:
            step = next(self._left, _END)
        else:
            try:
                step = self._pass_on(answer)
            except RunAgentError:
                raise
            except Exception as exc:
                raise self._misfit(answer, exc) from exc
            self.number += 1
        if step is not _END and not isinstance(step, Step):
            raise refuse_request(self.hook, f"expected a Step, found {describe(step)}")
        self.current = None if step is _END else step
        return self.current

    def _pass_on(self, answer: StepAnswer) -> Any:
        if self.current is not None and self.current.read is not None:
            self.current.read(answer)
        if not hasattr(self._left, "send"):
            return next(self._left, _END)
        try:
            return self._left.send(answer)
        except StopIteration as end:
            self.result = end.value
            return _END

    def _misfit(self, answer: StepAnswer, exc: Exception) -> ProtocolError:
        request = self.current.request if self.current is not None else None
        return ProtocolError(
            f"{self.hook} could not use the answer to {request!r}, {quote(answer.body)}: {exc!r:.200}",
            code="INVALID_ANSWER",
        )

    def request(self, call: AgentCall) -> HttpRequest:
        """Return the current step's request, checked, with a separate idempotency key."""
        assert self.current is not None
        request = check_request(self.current.request, call.headers)
        headers = [
            (name, f"{value}-{self.hook}-{self.number}" if name.lower() == "idempotency-key" else value)
            for name, value in request.headers
        ]
        return msgspec.structs.replace(request, headers=headers)

    def accepts(self, status: int) -> bool:
        """Whether the current step wants the answer with this status."""
        assert self.current is not None
        return 200 <= status < 300 or status in self.current.accept

    def close(self) -> None:
        """Drop the steps that are left; what a generator does on its way out does not matter any more."""
        close = getattr(self._left, "close", None)
        if close is not None:
            with contextlib.suppress(Exception):
                close()


class StepBody:
    """The body of an answer to a step.

    Args:
        answer: The answer; its head is complete.
        max_bytes: The limit ``max_event_bytes``.
    """

    is_wanted = True  # by a step

    def __init__(self, answer: ResponseDecoder, max_bytes: int) -> None:
        self._answer = answer
        self._max = max_bytes
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, data: bytes) -> None:
        """Keep the next bytes, up to the limit."""
        self._size += len(data)
        if self._size <= self._max:
            self._parts.append(data)

    @property
    def enough(self) -> bool:
        """Whether the step is over."""
        return self._answer.complete or self._size > self._max

    def answer(self) -> StepAnswer:
        """Return the whole answer.

        Raises:
            StreamLimitError: It is larger than the limit.
        """
        if self._size > self._max:
            raise StreamLimitError(
                f"the answer to a step is larger than {self._max} bytes",
                limit_name="max_event_bytes",
                limit=self._max,
            )
        return StepAnswer(self._answer.status, self._answer.headers, b"".join(self._parts))


publish(Step, StepAnswer, module="runagent.transports")
