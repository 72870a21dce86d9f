"""A plain client of the control API."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.runagent_testing.raw_client import connected, post

if TYPE_CHECKING:
    from runagent_testing import FakeAgentServer

PATIENCE = 10.0  # seconds


class ControlClient:
    """One connection to a server; ``scope`` is the prefix of its paths."""

    def __init__(self, url: str, scope: str = "", **headers: str) -> None:
        parts = urlsplit(url)
        self.connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
        self.prefix = f"/_scope/{scope}" if scope else ""
        self.headers = headers

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Send a request, and return the status and content of the answer."""
        data = None if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} if data is not None else {}
        self.connection.request(method, f"{self.prefix}/_fake{path}", data, sent | self.headers | headers)
        answer = self.connection.getresponse()
        content = answer.read()
        return answer.status, json.loads(content) if content else None

    def get(self, path: str) -> Any:
        status, content = self.ask("GET", path)
        assert status == 200, content
        return content

    def change(self, method: str, path: str, body: Any = None) -> Any:
        status, content = self.ask(method, path, body)
        assert status in (200, 204), content
        return content


def text_of(server: FakeAgentServer, agent: str = "w", scope: str = "") -> str:
    """Return what an agent streams as plain text."""
    request = post(f"{scope}/v1/agents/{agent}/stream", accept="text/plain", connection="close")
    with connected(server.url) as client:
        client.send(request)
        received, _ = client.rest()
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), received
    return b"".join(body.split(b"\r\n")[1:-2:2]).decode()
