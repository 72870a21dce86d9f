"""The fake agent as a service: where it listens, how it ends, what it does when descriptors run out."""

from __future__ import annotations

import contextlib
import errno
import http.client
import logging
import socket
import subprocess
import sys
import textwrap
import threading
from urllib.parse import urlsplit

import pytest

from runagent_testing import FakeAgentServer, delay, gate
from runagent_testing._server import listener as listening
from tests.runagent_testing.project import ROOT
from tests.runagent_testing.raw_client import PATIENCE, connected, stream, until_refused
from tests.support.process import killed_at_end

# Descriptors


def test_it_pauses_when_descriptors_run_out_and_logs_it_once():
    program = """
        import logging, resource, socket, sys, time
        from runagent_testing import FakeAgentServer

        logging.basicConfig(stream=sys.stdout, format="%(message)s")
        with FakeAgentServer() as server:
            server.agent("a").always("x")
            resource.setrlimit(resource.RLIMIT_NOFILE, (40, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
            print(server.url, flush=True)
            sys.stdin.readline()
            began = time.process_time()
            sys.stdin.readline()
            print("busy", time.process_time() - began, flush=True)
            sys.stdin.readline()
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    pipe = subprocess.PIPE
    with killed_at_end(subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        watchdog = threading.Timer(20, process.kill)  # whose lines would be waited for in vain
        watchdog.start()
        address = urlsplit(process.stdout.readline().strip())
        with contextlib.ExitStack() as many:
            for _ in range(80):
                many.enter_context(socket.create_connection((address.hostname, address.port or 0)))
            line = process.stdout.readline()
            assert "accepts no connections for now: [Errno 24] Too many open files" in line
            process.stdin.write("\n")
            process.stdin.flush()
            threading.Event().wait(1.5)  # what it does meanwhile is what is looked at
            process.stdin.write("\n")
            process.stdin.flush()
            busy = float(process.stdout.readline().removeprefix("busy"))
        assert busy < 0.5
        with connected(f"http://{address.netloc}") as client:
            client.send(stream())
            assert b"done" in client.until(b"0\r\n\r\n")
        process.stdin.write("\n")
        process.stdin.flush()
        rest = process.communicate(timeout=PATIENCE)[0]
        watchdog.cancel()
        watchdog.join()
    assert "accepts no connections" not in rest


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_every_shortage_is_waited_for(server, number, monkeypatch, caplog):
    monkeypatch.setattr(listening, "_PAUSE", 0.01)
    short = [OSError(number, "short")] * 3

    class Short(socket.socket):
        def accept(self):
            if short:
                raise short.pop()
            return super().accept()

    monkeypatch.setattr(socket, "socket", Short)
    with FakeAgentServer() as other:
        other.agent("a").always("x")
        with connected(other.url) as client:
            client.send(stream())
            client.until(b"0\r\n\r\n")
    assert not short
    assert 1 == [record.levelno for record in caplog.records].count(logging.ERROR)


def test_a_server_that_waits_for_room_can_be_closed(monkeypatch):
    class Short(socket.socket):
        def accept(self):
            raise OSError(errno.EMFILE, "short")

    monkeypatch.setattr(socket, "socket", Short)
    with FakeAgentServer() as server, connected(server.url):
        pass


# Where it listens


@pytest.mark.parametrize("port", [-1, 65_536, 99_999, "80", 1.5, None, True])
def test_a_port_is_checked_when_it_is_written(port):
    with pytest.raises(ValueError, match=r"port= is a number from 0 to 65535, not"):
        FakeAgentServer(port=port)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6")
def test_all_interfaces_of_ipv6_are_those_of_ipv4_too():
    with FakeAgentServer(host="::") as server:
        server.agent("a").always("x")
        port = urlsplit(server.url).port
        assert server.url == f"http://[::]:{port}"
        for host in ("127.0.0.1", "[::1]"):
            with connected(f"http://{host}:{port}") as client:
                client.send(stream())
                client.until(b"0\r\n\r\n")


V4, V6 = (socket.AF_INET, ("127.0.0.1", 0)), (socket.AF_INET6, ("::1", 0, 0, 0))
NOWHERE = (socket.AF_INET, ("192.0.2.1", 0))  # of documentation: no machine has it


@pytest.fixture
def resolve(monkeypatch):
    """Have every name resolve to some addresses."""

    def resolve_to(*addresses):
        rows = [(family, socket.SOCK_STREAM, 6, "", address) for family, address in addresses]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: rows)

    return resolve_to


def ask(family, address, port):
    with socket.socket(family) as client:
        client.settimeout(PATIENCE)
        client.connect((address, port))
        client.sendall(stream())
        received = b""
        while b"\r\n0\r\n\r\n" not in received:
            received += client.recv(65536)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6")
@pytest.mark.parametrize("addresses", [[V4, V6], [V6, V4, V6], [NOWHERE, V6, V4]], ids=str)
def test_a_name_of_several_addresses_is_one_port_on_each_that_the_machine_has(addresses, resolve):
    resolve(*addresses)
    with FakeAgentServer(host="localhost") as server:
        server.agent("a").always("x")
        first = "127.0.0.1" if addresses[0] is V4 else "[::1]"
        address = urlsplit(server.url)
        assert f"http://{first}:{address.port}" == server.url
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            ask(family, host, address.port)
        assert server.drain(PATIENCE)
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with pytest.raises(ConnectionRefusedError):
                ask(family, host, address.port)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6")
def test_a_free_port_is_one_that_is_free_on_each_address(resolve, monkeypatch):
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as other:
        taken = other.getsockname()[1]
        resolve(V4, V6)
        create, ports = socket.create_server, iter([taken])
        monkeypatch.setattr(
            socket, "create_server", lambda at, **more: create((at[0], at[1] or next(ports, 0)), **more)
        )
        with FakeAgentServer(host="localhost") as server:
            assert urlsplit(server.url).port != taken
        with pytest.raises(OSError, match="in use"):
            FakeAgentServer(host="localhost", port=taken).start()


def test_a_name_whose_addresses_are_all_elsewhere_is_an_error(resolve):
    resolve(NOWHERE, NOWHERE)
    with pytest.raises(OSError, match="assign requested address"):
        FakeAgentServer(host="elsewhere.example").start()


def test_a_unix_socket_without_a_listener_is_replaced(tmp_path):
    path = tmp_path / "agent.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    assert path.is_socket()
    with FakeAgentServer(unix_path=path) as server:
        server.agent("a").always("x")
        with connected(server.url) as client:
            client.send(stream())
            client.until(b"0\r\n\r\n")
    assert not path.exists()


def test_a_unix_socket_in_use_is_an_error_with_its_path(tmp_path):
    path = tmp_path / "agent.sock"
    with FakeAgentServer(unix_path=path) as server:
        with pytest.raises(OSError, match=rf"Address already in use: '{path}'"):
            FakeAgentServer(unix_path=path).start()
        server.agent("a").always("x")
        with connected(server.url) as client:
            client.send(stream())
            client.until(b"0\r\n\r\n")


def test_a_file_is_not_replaced_by_a_unix_socket(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(OSError, match=rf"Address already in use: '{path}'"):
        FakeAgentServer(unix_path=path).start()
    assert "mine" == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", ["/nowhere/at/all.sock", "/tmp/" + "x" * 200])
def test_a_unix_socket_that_cannot_be_made_is_an_error_with_its_path(path):
    with pytest.raises(OSError, match=path):
        FakeAgentServer(unix_path=path).start()


def test_one_port_for_many_processes_is_refused(project):
    project.makeconftest(
        """
        import pytest

        @pytest.fixture(scope="session")
        def fake_agent_address():
            return "127.0.0.1", 8450
        """
    )
    project.makepyfile("def test_one(fake_agent): pass\ndef test_two(fake_agent): pass")
    options = ("-p", "runagent_testing.pytest_plugin", "-p", "xdist.plugin", "-n", "2", "-q")
    result = project.runpytest_subprocess(*options, timeout=60)
    text = result.stdout.str()
    assert "fake_agent_address is 127.0.0.1:8450, on which only one of the 2 processes" in text
    assert "OSError" not in text


# What it answers


@pytest.mark.parametrize(
    "path", ["/api/v1/health", "/api/v1/agents/a/architecture", "/nowhere", "/api/v1/agents/b/architecture"]
)
def test_head_is_get_without_the_body(server, path):
    server.agent("a").always("x")
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=PATIENCE)
    with contextlib.closing(connection):
        answers = []
        for method in ("GET", "HEAD", "GET"):
            connection.request(method, path)
            answer = connection.getresponse()
            answers.append((answer.status, answer.getheader("Content-Type"), len(answer.read()) > 0))
    status, kind, _ = answers[0]
    assert answers == [(status, kind, True), (status, kind, False), (status, kind, True)]
    assert (200 if "nowhere" not in path and "b/" not in path else 404) == status
    assert 1 == server.connections


# How it ends


def test_draining_lets_runs_end_and_takes_no_new_ones(server):
    door = gate("door")
    server.agent("a").always("a", door, "b")
    with connected(server.url) as client:
        client.send(stream())
        client.until(b'"a"')
        drained = []
        draining = threading.Thread(target=lambda: drained.append(server.drain(PATIENCE)))
        draining.start()
        until_refused(server.url)
        door.open()
        assert b"done" in client.until(b"0\r\n\r\n")
        draining.join(PATIENCE)
    assert [True] == drained


def test_draining_has_a_limit(server):
    server.agent("a").always("a", delay(60), "b")
    with connected(server.url) as client:
        client.send(stream())
        client.until(b'"a"')
        assert not server.drain(0.05)


def test_a_server_that_does_not_run_is_drained():
    assert FakeAgentServer().drain(1)
