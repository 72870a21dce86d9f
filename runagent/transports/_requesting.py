"""The requests of an HTTP session: the run's own one, the steps around it, and redirects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from runagent._internal.tracebacks import is_ours
from runagent._wire.http1 import ResponseDecoder, encode_request
from runagent.transports._base import BaseSession, Wants
from runagent.transports._request import HttpRequest, check_request

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runagent._address.route import Route
    from runagent._address.url import Origin
    from runagent._call import AgentCall, ResumePoint
    from runagent._errors import RunAgentError
    from runagent._wire.content_coding import ContentDecoder
    from runagent.transports._error_body import ErrorBody
    from runagent.transports._steps import Step, StepBody, StepSequence

__all__ = ["RequestingSession"]

__tracebackhide__ = is_ours


class RequestingSession(BaseSession):
    """Sends the requests of a session; `HttpSession` reads their answers."""

    def __init__(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> None:
        super().__init__()
        self.call = call
        self.route = route
        self.resume = resume
        # Attributes of the answer's head are set here already: if many streams are open, an attribute that is
        # first set later costs each of them a separate dictionary.
        self.answered = self.accepted = self.preparing = False
        self.status = self.request_id = self.retry_delay = None
        self._redirects = 0
        self._asked_again = False  # over the same connection
        self._steps: StepSequence | None = None
        if type(self).before is RequestingSession.before:
            self._request = check_request(self.make_request(), call.headers)
        else:
            self._request = self._first_request()
        self._ask()

    # For subclasses

    def before(self) -> Iterable[Step]:
        """Return the steps that come before the run's own request, such as discovery; by default none.

        A generator gets each answer (`StepAnswer`) as the value of its ``yield``. Another iterable has steps
        with readers (``Step(request, read=...)``). Each attempt takes all steps again; what they found can
        be kept for the next one with ``self.call.found``, and its step be left out.

        A step that fails is repeated without ``retry_unsafe``, so one that begins the run is marked
        (``begins_run=True``). Keep the id of that run for the next attempt.
        """
        return ()

    def make_request(self) -> HttpRequest:
        """Return the request of the run."""
        raise NotImplementedError

    def follow(self, steps: Iterable[Step]) -> None:
        """Take these steps next, and end the run with them.

        For ``end_body``, ``read_body`` and ``make_refusal``.
        If one of them fails, so does the run: the agent has done its work, and is not asked again.

        Args:
            steps: A generator whose return value is the list of the last events, or another iterable, as for
                ``before``. If it calls ``fail``, these events still precede the error.
        """
        from runagent.transports._steps import StepSequence  # most runs do without

        self._steps = StepSequence(steps, "follow")
        self._reading = False
        self.following = True

    def finish(self) -> None:
        """End the run well, as the agent is done; further bytes are ignored."""
        self.wants = Wants.DONE
        self._drop_steps()

    def fail(self, error: RunAgentError) -> None:
        """See `BaseSession.fail`."""
        super().fail(error)
        self._drop_steps()

    # For the pump

    @property
    def origin(self) -> Origin:
        """Where the current request goes."""
        return self._request.origin or self.call.base.origin

    @property
    def asks_again(self) -> bool:
        """Whether a further request was sent over the connection, and no byte of its answer has come."""
        return self._asked_again and not self._answer.began

    def reconnecting(self, route: Route) -> None:
        """Take note of the way that the next connection goes."""
        self._asked_again = False
        if route != self.route:
            self.route = route
            self._outgoing.clear()
            self._queue()

    def data_to_send(self) -> bytes:
        """Take the bytes to send now; empty if there are none."""
        if not self._outgoing:
            return b""
        data = super().data_to_send()
        if data and self.wants is Wants.RECONNECT:
            self.wants = Wants.READ
        return data

    def close(self) -> None:
        """Drop the steps that are left; HTTP has no closing bytes."""
        self._drop_steps()

    # How a request is sent

    def _first_request(self) -> HttpRequest:
        from runagent.transports._steps import StepSequence

        steps = StepSequence(self.before(), "before")
        step = steps.advance(None)
        if step is None:
            return check_request(self.make_request(), self.call.headers)
        self._steps, self.preparing = steps, not step.begins_run
        return steps.request(self.call)

    def _ask(self) -> None:
        """Queue the request, if the connection leads to its origin, and prepare for a new answer."""
        if self.origin == self.route.origin:
            self._queue()
        else:
            self.wants = Wants.RECONNECT  # the way there is not known yet
        self.answered = False
        self._answer = ResponseDecoder(self.call.limits)
        self._coding: ContentDecoder | None = None
        self._undecoded = b""  # bytes of a coded body that wait for their turn
        self._decoded = 0  # bytes of the body in this turn
        self._opened = False
        self._reading = False  # whether the answer has status 2xx and its body gives events
        self._aside: ErrorBody | StepBody | None = None  # of any other answer, once its head is complete

    def _queue(self) -> None:
        request, origin, proxy = self._request, self.route.origin, self.route.proxy
        headers = [("Host", origin.netloc), *request.headers, *request.upgrade]
        if proxy is not None and proxy.authorization:
            headers.append(("Proxy-Authorization", proxy.authorization))
        target = request.target if proxy is None else f"{origin.scheme}://{origin.netloc}{request.target}"
        self.send(encode_request(request.method, target, headers, request.body))

    def _ask_next(self, request: HttpRequest) -> None:
        """Send a further request, over the same connection if that leads there and is ready for it."""
        kept = self.reusable
        self._request = request
        self._ask()
        if not kept:
            self.wants = Wants.RECONNECT
        self._asked_again = self.wants is Wants.READ

    def _redirect(self, location: str) -> None:
        """Repeat the request at the answer's location, on a new connection."""
        from runagent.transports._redirects import redirect_target  # most runs do without

        target = redirect_target(
            self._answer.status,
            location,
            origin=self.route.origin,
            target=self._request.target,
            followed=self._redirects,
            max_redirects=self.call.limits.max_redirects,
        )
        self._redirects += 1
        self._request = msgspec.structs.replace(self._request, target=target)
        self._ask()
        self.wants = Wants.RECONNECT

    def _drop_steps(self) -> None:
        steps, self._steps = self._steps, None
        if steps is not None:
            steps.close()
