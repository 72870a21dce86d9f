"""The page at ``/``: who gets it, what it may load, and that all it asks for exists."""

from __future__ import annotations

import re
import shutil
import subprocess
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest

from runagent_testing import FakeAgentServer
from runagent_testing._control.page import page
from runagent_testing._control.routes import ROUTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message
    from pathlib import Path

HTML = bytes(page().content).decode()
SCRIPT = HTML.partition("<script>")[2].partition("</script>")[0]


@pytest.fixture(scope="module")
def server() -> Iterator[FakeAgentServer]:
    with FakeAgentServer(control=True, control_token="secret") as running:
        yield running


def get(url: str, method: str = "GET", **headers: str) -> tuple[int, Message, str]:
    request = urllib.request.Request(url, headers=headers, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.headers, refused.read().decode()


@pytest.mark.parametrize("path", ["/", "/?x=1", "/_scope/one/", "/_scope/one"])
def test_it_is_at_the_root_of_the_server_and_of_each_scope(server: FakeAgentServer, path: str) -> None:
    status, headers, text = get(f"{server.url}{path}")
    assert (200, "text/html; charset=utf-8", HTML) == (status, headers["content-type"], text)
    assert ([], [], 0) == (server.requests, server.unmatched, server.connections)


def test_a_head_request_is_answered_without_the_page(server: FakeAgentServer) -> None:
    status, headers, text = get(f"{server.url}/", "HEAD")
    assert (200, str(len(HTML.encode())), "") == (status, headers["content-length"], text)


def test_it_may_run_its_own_script_and_reach_its_own_server_alone(server: FakeAgentServer) -> None:
    _, headers, _ = get(f"{server.url}/")
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert not re.search(r"unsafe|\*|https?:", policy)
    assert ("nosniff", "no-referrer", "no-store") == (
        headers["x-content-type-options"],
        headers["referrer-policy"],
        headers["cache-control"],
    )
    assert None is headers["access-control-allow-origin"]


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}])
def test_a_foreign_page_does_not_get_it(server: FakeAgentServer, headers: dict[str, str]) -> None:
    assert 403 == get(f"{server.url}/", **headers)[0]


def test_without_control_the_root_is_the_agents() -> None:
    with FakeAgentServer() as server:
        assert 404 == get(f"{server.url}/")[0]
        assert 1 == len(server.unmatched)


def test_requests_that_do_not_read_the_root_are_the_agents(server: FakeAgentServer) -> None:
    assert 404 == get(f"{server.url}/", "POST")[0]
    assert "POST /" in server.unmatched[-1].title
    server.clear()


def test_it_refers_to_nothing_outside() -> None:
    assert {"data:,", "#journal"} == set(re.findall(r'(?:href|src)="([^"]*)"', HTML))
    assert not re.search(r"https?://|@import|url\(|innerHTML|insertAdjacentHTML|document\.write|eval\(", HTML)


def test_all_that_it_asks_for_exists() -> None:
    plain = re.sub(r"\$\{[^}]*\}", "{}", SCRIPT)
    asked = re.findall(r'call\("(\w+)", ["`](/[^"`?]*)', plain)
    known = {(route.method, re.sub(r"\{\w+\}", "{}", route.path)) for route in ROUTES}
    assert set(asked) <= known
    assert len(asked) > 10


def test_every_control_has_a_name() -> None:
    controls = re.findall(r"<(?:input|select|textarea)\b[^>]*>", HTML)
    labels = re.findall(r"<label\b[^>]*>(?:(?!</label>).)*<(?:input|select|textarea)\b", HTML, re.DOTALL)
    assert len(controls) == len(labels)


def test_its_script_is_correct(tmp_path: Path) -> None:
    if (node := shutil.which("node")) is None:
        pytest.skip("node is not installed")
    file = tmp_path / "page.js"
    file.write_text(SCRIPT, encoding="utf-8")
    ran = subprocess.run([node, "--check", file], capture_output=True, text=True, timeout=30, check=False)
    assert (0, "") == (ran.returncode, ran.stderr)
