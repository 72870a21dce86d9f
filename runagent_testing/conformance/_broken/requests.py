"""Mistakes in the request."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from runagent._wire.jsontext import decode_json, encode_json
from runagent.transports._request import HttpRequest
from runagent.transports._sse import SSESession
from runagent_testing.conformance._broken.base import Broken

if TYPE_CHECKING:
    from runagent._address.route import Route
    from runagent._call import AgentCall, ResumePoint
    from runagent._events import Event

__all__ = ["REQUESTS"]


class _SendsItTwice(SSESession):
    """Returns its request twice."""

    _first: bytes | None = None

    def data_to_send(self) -> bytes:
        if self._first is None:
            self._first = super().data_to_send()
            return self._first
        again, self._first = self._first, b""
        return again or super().data_to_send()


class _KeyInTheAddress(SSESession):
    """Puts the key into the URL's query, which every log shows."""

    def make_request(self) -> HttpRequest:
        request = super().make_request()
        return HttpRequest(
            request.method, f"{request.target}?token={self.call.api_key}", request.headers, request.body
        )


class _KeyInAHeaderOfItsOwn(SSESession):
    """Sends the key in a header field that the service does not read."""

    def make_request(self) -> HttpRequest:
        request = super().make_request()
        headers = [("X-Token" if name == "Authorization" else name, value) for name, value in request.headers]
        return HttpRequest(request.method, request.target, headers, request.body)


class _ForgetsTheKey(SSESession):
    """Sends no key."""

    def make_request(self) -> HttpRequest:
        request = super().make_request()
        headers = [field for field in request.headers if field[0] != "Authorization"]
        return HttpRequest(request.method, request.target, headers, request.body)


class _LogsItsRequest(SSESession):
    """Logs its request, the key included."""

    def make_request(self) -> HttpRequest:
        request = super().make_request()
        logging.getLogger("acme").debug("sending %s", dict(request.headers))
        return request


class _ForgetsTheCallersHeaders(SSESession):
    """Sends only its own header fields."""

    def make_request(self) -> HttpRequest:
        request = super().make_request()
        callers = self.call.headers
        headers = [field for field in request.headers if field not in callers]
        return HttpRequest(request.method, request.target, headers, request.body)


class _ChangesTheInput(SSESession):
    """Writes into the caller's input."""

    def make_request(self) -> HttpRequest:
        self.call.input["stream"] = True  # type: ignore[index]
        return super().make_request()


class _AtTheRoot(SSESession):
    """Forgets the path of base_url."""

    def make_request(self) -> HttpRequest:
        request = super().make_request()
        target = request.target.removeprefix(self.call.base.prefix)
        return HttpRequest(request.method, target, request.headers, request.body)


class _RawAgentId(SSESession):
    """Puts the agent's id into the path as it is."""

    def make_request(self) -> HttpRequest:
        request = super().make_request()
        name = self.call.agent_id.encode("ascii", "ignore").decode().replace(" ", "")
        return HttpRequest(request.method, f"/v1/agents/{name}/stream", request.headers, request.body)


class _AsciiOnly(SSESession):
    """Drops characters from the input that are not ASCII."""

    def make_request(self) -> HttpRequest:
        request = super().make_request()
        body = request.body.decode().encode("ascii", "ignore")
        return HttpRequest(request.method, request.target, request.headers, body)


class _DropsEmptyMembers(SSESession):
    """Leaves out members of the input that are zero, empty or null."""

    def make_request(self) -> HttpRequest:
        request = super().make_request()
        body = encode_json({name: value for name, value in decode_json(request.body).items() if value})
        return HttpRequest(request.method, request.target, request.headers, body)


class _NewKeyEachTime(SSESession):
    """Makes a new Idempotency-Key for each attempt."""

    def make_request(self) -> HttpRequest:
        request = super().make_request()
        headers = [field for field in request.headers if field[0] != "Idempotency-Key"]
        return HttpRequest(
            request.method, request.target, [*headers, ("Idempotency-Key", str(id(self)))], request.body
        )


class _IgnoresTheProxy(SSESession):
    """Sends a proxy the request that is meant for the agent."""

    def __init__(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> None:
        super().__init__(call, type(route)(route.origin), resume)


class _TakesANameOfOurs(SSESession):
    """Overrides a private method of the base class, which happens to do no harm today."""

    def _end(self) -> list[Event]:
        return super()._end()


class _TakesAnAttributeOfOurs(SSESession):
    """Sets a private attribute that the base class uses for something else."""

    def end_body(self, proven: bool) -> list[Event]:
        self._redirects = 7
        return super().end_body(proven)


REQUESTS: tuple[Broken, ...] = (
    Broken("sends-it-twice", "session.request-waits", _SendsItTwice),
    Broken("key-in-the-address", "session.key", _KeyInTheAddress),
    Broken("forgets-the-key", "session.key", _ForgetsTheKey),
    Broken("logs-its-request", "session.key", _LogsItsRequest),
    Broken("key-in-a-header-of-its-own", "run.key", _KeyInAHeaderOfItsOwn),
    Broken("forgets-the-callers-headers", "session.callers-headers", _ForgetsTheCallersHeaders),
    Broken("changes-the-input", "session.call-untouched", _ChangesTheInput),
    Broken("at-the-root", "session.prefix", _AtTheRoot),
    Broken("raw-agent-id", "session.agent-id", _RawAgentId),
    Broken("ascii-only", "session.input", _AsciiOnly),
    Broken("drops-empty-members", "session.input", _DropsEmptyMembers),
    Broken("new-key-each-time", "session.idempotency-key", _NewKeyEachTime),
    Broken("takes-a-name-of-ours", "session.own-names", _TakesANameOfOurs),
    Broken("takes-an-attribute-of-ours", "session.own-names", _TakesAnAttributeOfOurs),
    Broken("ignores-the-proxy", "session.through-proxy", _IgnoresTheProxy),
)
