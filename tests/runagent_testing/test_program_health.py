"""``runagent-fake health``, which containers call, and the files that make a container."""

from __future__ import annotations

import re
import ssl

import pytest
import trustme
import yaml

from runagent_testing import FakeAgentServer, status
from runagent_testing._standalone.cli import main
from runagent_testing._standalone.options import OPTIONS, SCRIPTS
from tests.docs.pages import DOCS, ROOT

CONTAINERFILE = ROOT / "docs/Containerfile"


@pytest.mark.parametrize(("host", "name"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "0.0.0.0"), ("::", "::")])
def test_a_server_that_answers_is_healthy(host, name, capsys, monkeypatch):
    with FakeAgentServer(host=host) as server:
        port = server.url.rpartition(":")[2]
        monkeypatch.setenv("RUNAGENT_FAKE_HOST", name)
        assert 0 == main(["health", "--port", port])
        server.check()
    assert f"{name}:{port} is healthy\n" == capsys.readouterr().out


def test_a_server_that_does_not_answer_is_not_healthy(capsys):
    with FakeAgentServer() as server:
        port = server.url.rpartition(":")[2]
    assert 2 == main(["health", "--port", port])
    assert capsys.readouterr().err.startswith(f"runagent-fake: error: no answer from 127.0.0.1:{port}: ")


def test_a_server_that_drops_the_connection_is_not_healthy(server, capsys):
    server.on_connect("close")
    assert 2 == main(["health", "--port", server.url.rpartition(":")[2]])
    assert "error: no answer from " in capsys.readouterr().err
    server.clear()


def test_an_unhealthy_status_is_shown(server, capsys):
    port = server.url.rpartition(":")[2]
    server.on_request("GET /api/v1/health", status(503))
    assert 2 == main(["health", "--port", port])
    assert f"runagent-fake: error: 127.0.0.1:{port} answers with 503\n" == capsys.readouterr().err


def test_health_is_asked_for_over_tls_and_a_unix_socket(tmp_path, monkeypatch):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("fake").configure_cert(context)
    with FakeAgentServer(ssl_context=context) as server:
        assert 0 == main(["health", "--port", server.url.rpartition(":")[2], "--tls-cert", "cert.pem"])
    path = tmp_path / "agent.sock"
    monkeypatch.setenv("RUNAGENT_FAKE_UNIX_SOCKET", str(path))
    with FakeAgentServer(unix_path=path):
        assert 0 == main(["health"])
    assert 2 == main(["health"])


def test_the_container_sets_variables_that_exist():
    known = {option.variable for option in OPTIONS} | {SCRIPTS}
    for text in (CONTAINERFILE.read_text("utf-8"), DOCS["fake"].text):
        assert set() == set(re.findall(r"RUNAGENT_FAKE_[A-Z_]+", text)) - known
    assert 'CMD ["runagent-fake", "health"]' in CONTAINERFILE.read_text("utf-8")


def test_the_container_copies_what_exists():
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", CONTAINERFILE.read_text("utf-8"), re.MULTILINE)
    names = {name for line in copied for name in line.split()}
    assert {"pyproject.toml", "runagent", "runagent_testing"} <= names
    assert set() == {name for name in names if not (ROOT / name).exists()}


def test_the_compose_file_on_the_page_waits_for_the_health():
    composed = yaml.safe_load(DOCS["fake"].block("services:"))["services"]
    assert "docs/Containerfile" == composed["fake"]["build"]["dockerfile"]
    assert {"fake": {"condition": "service_healthy"}} == composed["app"]["depends_on"]
