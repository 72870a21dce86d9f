"""Plain runs over the published server's ``run`` endpoint, which takes the message that begins a stream."""

from __future__ import annotations

from runagent.transports._invoke import InvokeSession
from runagent.transports._payloads import run_request
from runagent.transports._request import HttpRequest

__all__ = ["RunEndpointSession"]


class RunEndpointSession(InvokeSession):
    """One plain run over the published server's ``run`` endpoint."""

    def make_request(self) -> HttpRequest:
        """Return the request of the plain run."""
        headers = [
            *self.call.request_headers(accept="application/json"),
            ("Content-Type", "application/json"),
        ]
        path = self.call.path("/api/v1/agents/{agent_id}/run", "invoke_path")
        return HttpRequest("POST", path, headers, run_request(self.call, "generic"))
