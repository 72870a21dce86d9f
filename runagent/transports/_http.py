"""The base of most sessions: one HTTP/1.1 request, and events from the body of its answer."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, ClassVar

from runagent._errors import (
    NetworkError,
    ProtocolError,
    RunAgentError,
    StreamError,
    StreamTruncatedError,
)
from runagent._events import Completed
from runagent._internal.tracebacks import is_ours
from runagent._public import publish
from runagent._report import add_hint
from runagent.transports._base import Wants
from runagent.transports._error_objects import request_id_in
from runagent.transports._media import parse_content_type
from runagent.transports._request import HttpRequest, check_request
from runagent.transports._requesting import RequestingSession
from runagent.transports._returned import as_events

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runagent._events import Event
    from runagent._wire.content_coding import ContentDecoder
    from runagent._wire.http1 import ResponseDecoder
    from runagent.transports._error_body import ErrorBody
    from runagent.transports._steps import StepBody

__all__ = ["HttpRequest", "HttpSession"]

__tracebackhide__ = is_ours

_READ = Wants.READ
_CODED_BYTES = 2048
_TURN_BYTES = (
    256 * 1024
)  # of a decoded body, which may hold events that take long; then others have their turn
_NO_BODY = frozenset({204, 205, 304})
_GONE = frozenset({404, 410})
_NO_RUN = "the service does not know the run, or no longer"
_NO_ANSWER = "the peer closed the connection without an answer"
_CHECK_URL = "check the scheme, the port and the path of base_url, and the server's log"


# Many methods: ten are hooks, which authors override.
class HttpSession(RequestingSession):
    """Send one request and turn the body of an answer of status 2xx into events.

    A subclass defines ``expects``, ``make_request``, ``open_body``, ``read_body`` and ``end_body``; this
    class handles status, headers, framing, content coding, redirects and errors. ``before`` and ``follow``
    add further requests to the run.

    A run calls the hooks in this order: ``before``, and without any steps also ``make_request``, inside of
    ``__init__`` (attributes that a subclass sets after ``super().__init__`` do not exist yet); otherwise
    ``make_request`` after the last step; ``open_body`` at the head of an answer of status 2xx; ``read_body``
    for each piece of its body, without content coding and never empty; ``end_body`` once, if the body ends
    before a call of ``finish``, ``fail`` or ``follow``. An answer that ``open_body`` rejects goes to
    ``proves_unsupported``; one of another status also goes to ``make_refusal``.

    An exception inside of ``__init__`` is raised for the caller. Every other hook may call ``finish`` or
    ``fail``, after which no hook is called. It may also raise a ``RunAgentError``, which becomes the
    session's ``error``; but then the events of that call are lost, so report a fault after good events with
    ``fail``.
    """

    # For subclasses

    expects: ClassVar[str]  # the content types that open_body accepts, for messages
    takes_no_body: ClassVar[bool] = False  # status 204 is a good answer, with an empty body
    refuses_inside: ClassVar[bool] = False  # a good answer may hold a refusal: only its first event accepts

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields of the answer, by lower-case name; empty before its head has come."""
        return self._answer.headers

    def open_body(self, content_type: str, charset: str) -> bool:
        """Prepare for the body of an answer of status 2xx; return False if its type cannot be read.

        Args:
            content_type: The media type in lower case, without parameters; "" if there is none.
            charset: The charset parameter; "" if there is none.
        """
        raise NotImplementedError

    def read_body(self, data: bytes) -> list[Event]:
        """Turn the body's next bytes into events; report a fault after good events with ``fail``."""
        raise NotImplementedError

    def end_body(self, proven: bool) -> list[Event]:
        """Return the last events once the body is complete.

        Args:
            proven: False if only the end of the connection marks the body's end.

        Raises:
            StreamTruncatedError: The body ended before the agent was done.
        """
        raise NotImplementedError

    def switch_protocols(self, answer: ResponseDecoder) -> list[Event]:
        """Continue in another protocol after status 101; ``answer.rest`` holds its first bytes.

        Raises:
            ProtocolError: The request did not ask for the switch, or the switch is invalid.
        """
        raise ProtocolError("the peer switched to another protocol, which the request did not ask for")

    def proves_unsupported(self, status: int, body: bytes) -> bool:
        """Whether a refusal proves that the peer does not support this transport; an outage never does."""
        from runagent.transports._refusals import proves_unsupported

        return proves_unsupported(status, body)

    def make_refusal(self, status: int, body: bytes) -> RunAgentError:
        """Make the error for an answer whose status is not 2xx.

        If it calls ``follow``, those steps decide on the run, and its error does not count.

        Args:
            status: The HTTP status, never one of a redirect.
            body: The body, or its beginning up to ``max_error_bytes``.
        """
        if self.call.attach_to is not None and status in _GONE:
            return StreamError(_NO_RUN, code="GONE")
        from runagent.transports._refusals import error_from_answer

        return error_from_answer(status, self.headers, body, self.call.opened_at)

    # For the pump

    @property
    def keeps_connection(self) -> bool:
        """Whether the connection is reusable, or will be at the formal end of the last answer."""
        answer = self._answer
        if answer.error is not None or answer.excess:
            return False
        return not answer.complete or (answer.keep_alive and self._proxy_keeps())

    def _proxy_keeps(self) -> bool:
        """Whether a proxy that reads the request announces that it keeps the connection; True without one.

        Keeping it is the default of HTTP/1.1. But proxies that close after each answer pass on the version of
        the server, and a request that they get meanwhile is lost without proof.
        """
        if self.route.proxy is None:
            return True
        fields = (self._answer.headers.get(name, "") for name in ("connection", "proxy-connection"))
        return any("keep-alive" in field.lower() for field in fields)

    @property
    def reusable(self) -> bool:
        """Whether the connection may serve another call now."""
        return self._answer.complete and self.keeps_connection

    def receive_data(self, data: bytes) -> list[Event]:
        """Take the next bytes of the connection and return the events that they complete."""
        answer = self._answer
        if answer.error:
            return []
        body = answer.feed(data)
        if self.wants is not _READ:
            return []
        try:
            if self._reading and self._coding is None:
                events = self.read_body(body) if body else []
            else:
                if not self._opened and answer.head_complete:
                    self._open()
                    if self._answer is not answer:
                        return []  # a redirect: the bytes belong to the old answer
                    if answer.upgraded:
                        return self._switch(answer)
                events = self._take(body) if body else []
        except RunAgentError as exc:
            self.fail(exc)
            return []
        if self._reading and answer.flowing:
            return events
        return self._settle(events)

    def go_on(self) -> list[Event]:
        """Decode more of a coded body."""
        self.wants = _READ
        return self._settle(self._take(b""))

    def receive_eof(self) -> list[Event]:
        """Take note that the connection has ended."""
        try:
            self._answer.close()
        except RunAgentError as exc:
            exc.__traceback__ = None  # the decoder keeps the error, whose frames would keep all objects alive
            if self.wants is Wants.READ:
                self._fail_at_eof(exc)
        return self._settle([]) if self.wants is Wants.READ else []

    # How an answer is read

    def _open(self) -> None:
        """Decide by status and headers how to read the body."""
        answer = self._answer
        self._opened = self.answered = True
        self.status = answer.status
        self.request_id = request_id_in(answer.headers) or self.request_id
        if self._steps is not None and self._steps.accepts(answer.status):
            self._open_step()
            return
        if answer.status in _NO_BODY and not (answer.status == 204 and self.takes_no_body):
            raise ProtocolError(f"the agent answered with HTTP status {answer.status}, which has no body")
        if 300 <= answer.status < 400:
            self._redirect(answer.headers.get("location", ""))
        elif 200 <= answer.status < 300:
            self._open_good()
        else:
            with contextlib.suppress(ProtocolError):  # a refusal is reported even if its body cannot be read
                self._coding = self._content_decoder()
        if self._opened and not (self._reading or answer.upgraded):  # of a redirect, the answer is over
            from runagent.transports._error_body import ErrorBody  # good answers do not need it

            self._aside = ErrorBody(answer, self.call.limits.max_error_bytes)

    def _content_decoder(self) -> ContentDecoder | None:
        field = self._answer.headers.get("content-encoding", "")
        if not field:
            return None
        from runagent._wire.content_coding import content_decoder, unknown_codings  # few answers need it

        for value in unknown_codings(field):
            self.ignore(f"content coding {value[:40]!r}")
        return content_decoder(field, max_ratio=self.call.limits.max_decompression_ratio)

    def _open_good(self) -> None:
        self._coding = self._content_decoder()
        content_type, charset = parse_content_type(self._answer.headers.get("content-type", ""))
        self._reading = self.open_body(content_type, charset)
        if self._reading is None:  # otherwise a forgotten return would look like a wrong content type
            raise TypeError(f"{type(self).__qualname__}.open_body returned None: return True or False")
        self.accepted = self._reading and not self.refuses_inside

    def _take(self, body: bytes) -> list[Event]:
        """Take a piece of the body; a coded one in small parts and in turns, as it may grow."""
        if self._coding is None:
            return self._take_part(body)
        events: list[Event] = []
        coded, self._undecoded, self._decoded = self._undecoded + body, b"", 0
        for at in range(0, len(coded), _CODED_BYTES):
            if self._reading and self._decoded >= _TURN_BYTES:
                self._undecoded, self.wants = coded[at:], Wants.TURN
                break
            try:
                events += as_events(self._take_part(coded[at : at + _CODED_BYTES]), "read_body")
            except RunAgentError as exc:
                self.fail(exc)
            if self.wants is not Wants.READ:
                break
        return events

    def _take_part(self, body: bytes) -> list[Event]:
        coding = self._coding
        if not self._reading and coding is not None and coding.error:
            return []
        data = body if coding is None else coding.feed(body)
        self._decoded += len(data)
        if self._reading:
            events = self.read_body(data)
            if coding is not None and coding.error:
                self.fail(coding.error)
            return events
        if self._aside is not None:
            self._aside.add(data)
        return []

    def _settle(self, events: list[Event]) -> list[Event]:
        """End the run if the answer, or enough of a refusal, has come."""
        if self.wants is not Wants.READ or type(events) is not list:  # core finds fault with something else
            return events
        if self._steps is not None and self._steps.current is None:
            pass  # a hook has called follow: this answer does not matter any more
        elif self._answer.error:
            self._fail_at_eof(self._answer.error)
        elif (body := self._aside) is not None:
            if body.enough:
                events += self._end_aside(body)
        elif self._answer.complete and not self.following:
            events += self._end()
        if self._steps is not None and self._steps.current is None:
            events += self._take_step(None)
        return events

    def _end_aside(self, body: ErrorBody | StepBody) -> list[Event]:
        from runagent.transports._error_body import ErrorBody

        return self._refuse(body) if isinstance(body, ErrorBody) else self._take_step(body)

    def _end(self) -> list[Event]:
        try:
            if self._coding is not None:
                self._coding.close()
            events = as_events(self.end_body(self._answer.proven), "end_body")
        except RunAgentError as exc:
            self.fail(exc)
            return []
        if self.wants is Wants.READ and self._steps is None:
            self.finish()
        return events

    def _fail_at_eof(self, error: RunAgentError) -> None:
        """End with the refusal if its head has come, even if its body is cut short; else with the error."""
        if (body := self._aside) is not None and not body.is_wanted:
            self._end_aside(body)
        elif isinstance(error, StreamTruncatedError) and not self._answer.began:
            self.fail(NetworkError(_NO_ANSWER, hint=_CHECK_URL, code="NO_ANSWER"))
        else:
            self.fail(error)

    def _refuse(self, body: ErrorBody) -> list[Event]:
        """End with the answer's error; enough of its body has come."""
        status, proxy = self._answer.status, self.route.proxy
        if body.whole or status != 404:  # only a whole body proves that a 404 is not the agent's own error
            self.unsupported = self.proves_unsupported(status, body.data)
        if status < 300:
            self.fail(body.unreadable(self.expects))
        elif status == 407:
            self.fail(body.proxy_refusal(proxy, self.call.opened_at))
        else:
            steps = self._steps
            refusal = self.make_refusal(status, body.data)
            if self._steps is not steps:
                return []  # it has called follow
            if status == 401 and proxy is not None:
                add_hint(refusal, f"if it was the proxy {proxy} that answered, check the password in its URL")
            self.fail(refusal)
        return []

    def _switch(self, answer: ResponseDecoder) -> list[Event]:
        if self._steps is not None:
            raise ProtocolError("the peer switched to another protocol in answer to a step")
        return self.switch_protocols(answer)

    def _open_step(self) -> None:
        from runagent.transports._steps import StepBody

        self._coding = self._content_decoder()
        self._aside = StepBody(self._answer, self.call.limits.max_event_bytes)

    def _take_step(self, body: StepBody | None) -> list[Event]:
        """Go on with the next step; after the last one with the run's own request, or with the run's end."""
        steps = self._steps
        assert steps is not None
        try:
            if body is not None and self._coding is not None:
                self._coding.close()
            step = steps.advance(None if body is None else body.answer())
            if self.wants is not Wants.READ:  # a generator has called fail
                events = as_events(steps.result or [], "the generator of follow")
                return [event for event in events if type(event) is not Completed]
            if step is not None:
                self.preparing = self.preparing and not step.begins_run
                self._ask_next(steps.request(self.call))
                return []
            self._steps, self.preparing = None, False
            if steps.hook == "before":
                self._ask_next(check_request(self.make_request(), self.call.headers))
                return []
            events = as_events(steps.result or [], "the generator of follow")
        except RunAgentError as exc:
            self.fail(exc)
            return []
        self.finish()
        return events


publish(HttpSession, module="runagent.transports")
