"""curl and the fake agent: with HTTP/2, with TLS where there is none, and the other way round."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.interop.programs import find, needs

if TYPE_CHECKING:
    from runagent_testing import FakeAgentServer

pytestmark = [pytest.mark.interop, needs("curl")]


def curl(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [
        str(find("curl")),
        "--silent",
        "--show-error",
        "--noproxy",
        "*",
        "--max-time",
        "20",
        *arguments,
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


@pytest.fixture
def url(server: FakeAgentServer) -> str:
    server.agent("a").always("word")
    return f"{server.url}/v1/agents/a/stream"


def test_http_2_from_the_first_byte_is_unmatched(url: str, server: FakeAgentServer) -> None:
    assert curl("--http2-prior-knowledge", url, "--data", "{}").returncode != 0
    assert ["HTTP/2"] == [exchange.method for exchange in server.unmatched]


def test_an_offer_of_http_2_is_ignored(url: str, server: FakeAgentServer) -> None:
    body = '{"query": "' + "long " * 10_000 + '"}'
    shown = curl("--http2", url, "--data", body, "--write-out", "%{http_version}")
    assert shown.stdout.endswith("1.1")
    assert "event: done" in shown.stdout
    assert "h2c" == server.requests[0].headers["upgrade"]
    server.check()


def test_tls_to_a_server_without_is_unmatched(url: str, server: FakeAgentServer) -> None:
    assert 35 == curl(url.replace("http:", "https:"), "--insecure").returncode
    assert ["TLS"] == [exchange.method for exchange in server.unmatched]
