"""Who can steer ``runagent-fake serve`` over HTTP: those on the same machine, or those with the token."""

from __future__ import annotations

import http.client
import socket
from urllib.parse import unquote, urlsplit

import pytest

from tests.runagent_testing.control_client import PATIENCE, ControlClient
from tests.runagent_testing.program import serve_here


def served(tmp_path, body, *options):
    script = tmp_path / "script.yaml"
    script.write_text("agents: {w: {always: [x]}}", encoding="utf-8")
    assert 0 == serve_here(tmp_path, body, script, *options)


def statuses(url, **headers):
    with ControlClient(url, **headers) as control:
        return [control.ask("GET", path)[0] for path in ("/counts", "/ready", "/health")]


def test_a_server_of_the_same_machine_is_steered_without_a_token(tmp_path):
    found = []
    served(tmp_path, lambda url: found.extend(statuses(url)), "--port", 0)
    assert [200, 200, 200] == found


@pytest.mark.parametrize(
    ("options", "headers", "expected"),
    [
        (["--no-control"], {}, [404, 404, 404]),
        (["--control-token", "t0ken"], {}, [401, 200, 200]),
        (["--control-token", "t0ken"], {"X-Fake-Token": "t0ken"}, [200, 200, 200]),
        (["--host", "0.0.0.0"], {}, [403, 200, 200]),
        (["--host", "0.0.0.0", "--control-token", "t0ken"], {"X-Fake-Token": "t0ken"}, [200, 200, 200]),
        (
            ["--host", "0.0.0.0", "--control-token", "t0ken"],
            {"X-Fake-Token": "t0ken", "Host": "fake"},
            [403, 200, 200],
        ),
        (
            ["--host", "0.0.0.0", "--control-token", "t0ken", "--control-hosts", "box, fake"],
            {"X-Fake-Token": "t0ken", "Host": "fake:80"},
            [200, 200, 200],
        ),
    ],
)
def test_others_need_the_token(tmp_path, options, headers, expected):
    found = []

    def ask(url):
        found.extend(statuses(url.replace("0.0.0.0", "127.0.0.1"), **headers))

    served(tmp_path, ask, "--port", 0, *options)
    assert expected == found


def test_a_unix_socket_is_steered_without_a_token(tmp_path):
    answers = []

    def ask(url):
        connection = http.client.HTTPConnection("anything", timeout=PATIENCE)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(unquote(urlsplit(url).netloc))
        connection.request("GET", "/_fake/counts")
        answers.append(connection.getresponse().status)
        connection.close()

    served(tmp_path, ask, "--unix-socket", tmp_path / "socket")
    assert [200] == answers


def test_a_reset_goes_back_to_the_file(tmp_path):
    agents: list[str] = []

    def ask(url):
        with ControlClient(url) as control:
            control.change("PUT", "/agents", {"agents": {"other": {"always": ["y"]}}})
            control.change("POST", "/reset")
            agents.extend(agent["id"] for agent in control.get("/agents")["agents"])

    served(tmp_path, ask, "--port", 0)
    assert ["w"] == agents
