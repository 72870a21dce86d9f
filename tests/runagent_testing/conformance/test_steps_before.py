"""A request before the one that starts the run, such as a thread made first, fails no requirement."""

from __future__ import annotations

import pytest

from runagent import StreamTruncatedError
from runagent.capabilities import Capability
from runagent.transports import HttpRequest, HttpSession, Wants
from runagent.transports._sse import SSESession
from runagent_testing.conformance import TransportConformance, check_transport
from tests.support.kit import in_short


class HealthSession(HttpSession):
    """Asks whether the service is well, which starts no run."""

    expects = "application/json"

    def make_request(self):
        path = f"{self.call.base.prefix}/api/v1/health"
        return HttpRequest("GET", path, self.call.request_headers(accept=self.expects), b"")

    def open_body(self, content_type, charset):
        return content_type == self.expects

    def read_body(self, data):
        return []

    def end_body(self, proven):
        if not proven:
            raise StreamTruncatedError("half an answer")
        self.finish()
        return []


class StepFirst:
    """Makes one request, and then runs the agent on a new connection."""

    def __init__(self, *arguments):
        self._arguments = arguments
        self._now: HttpSession = HealthSession(*arguments)
        self._again = False

    def __getattr__(self, name):
        return getattr(self._now, name)

    @property
    def wants(self):
        return Wants.RECONNECT if self._again else self._now.wants

    def data_to_send(self):
        data = self._now.data_to_send()
        self._again = self._again and not data
        return data

    def receive_data(self, data):
        return self._after(self._now.receive_data(data))

    def receive_eof(self):
        return self._after(self._now.receive_eof())

    def _after(self, events):
        asked = isinstance(self._now, HealthSession)
        if asked and self._now.error is None and self._now.wants is Wants.DONE:
            self._now, self._again = SSESession(*self._arguments), True
        return events


class StepTransport:
    """Steps, then SSE."""

    name = "steps"
    api_version = 1
    capabilities = frozenset({Capability.HEARTBEATS, Capability.REUSE, Capability.STRUCTURED})
    tunnels = False

    def open(self, call, route, resume):
        return StepFirst(call, route, None)


class TestStepFirst(TransportConformance):
    requirements = 1
    styles = in_short("sync")

    @pytest.fixture
    def transport(self):
        return StepTransport()


class FollowsAnywhere(StepFirst):
    """Follows every redirect of the run's request, as if it were a step."""

    def _after(self, events):
        redirected = isinstance(self._now, SSESession) and 300 <= (self._now.status or 0) < 400
        if redirected and not self._again:
            self._now, self._again = SSESession(*self._arguments), True
        return super()._after(events)


def test_what_is_sent_after_the_run_began_is_counted():
    class Transport(StepTransport):
        def open(self, call, route, resume):
            return FollowsAnywhere(call, route, None)

    report = check_transport(Transport(), only=["session.redirect-elsewhere"])
    assert not report.ok
