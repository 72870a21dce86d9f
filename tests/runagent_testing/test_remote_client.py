"""The client of a server in another process: its connections, its refusals, and that it lacks no method."""

from __future__ import annotations

import gc
import inspect
import socket
import ssl
import threading

import pytest
import trustme

from runagent_testing import (
    Agent,
    Exchange,
    FakeAgentServer,
    RemoteControlError,
    RemoteExchange,
    RemoteFakeAgentServer,
    RemoteUnsupportedError,
)
from runagent_testing._host.gates import NamedGate
from runagent_testing._remote.exchanges import RemoteGate
from runagent_testing._remote.scripts import RemoteAgent
from tests.runagent_testing.control_client import text_of
from tests.runagent_testing.raw_client import connected, stream


def test_connections_and_their_faults(served):
    with RemoteFakeAgentServer(served.url) as remote:
        remote.agent("w").always("x")
        remote.on_connect("reset", times=1)
        with connected(served.url) as client:
            client.send(stream("w"))
            assert "reset" == client.rest()[1]
        assert [] == remote.problems()
        assert 1 == remote.connections
        with remote.scope("s") as scope, pytest.raises(RemoteControlError, match="no scope"):
            _ = scope.connections


def test_scopes_are_listed_and_dropped(served):
    with RemoteFakeAgentServer(served.url) as remote, remote.scope("a") as scope:
        scope.agent("w").always("x")
        assert ["a"] == [listed.name for listed, _ in remote.scopes()]
        assert "x" == text_of(served, "w", "/_scope/a")
        assert remote.drop_scope("a")
        assert not remote.drop_scope("a")


def test_functions_and_files_are_refused(served, tmp_path):
    with RemoteFakeAgentServer(served.url) as remote:
        agent = remote.agent("w")
        with pytest.raises(RemoteUnsupportedError, match=r"responds\(\) takes a function"):
            agent.responds(lambda _: ["x"])
        with pytest.raises(RemoteUnsupportedError, match=r"when\(matches=\.\.\.\) is a function"):
            agent.when(matches=bool)
        with pytest.raises(RemoteUnsupportedError, match="name files and services"):
            agent.forwards("http://127.0.0.1:1")
        assert [] == remote.requests


def test_a_script_that_is_too_large_is_named(served):
    with RemoteFakeAgentServer(served.url) as remote:
        agent = remote.agent("w")
        with pytest.raises(RemoteControlError, match="a script has at most 1048576 bytes"):
            agent.always("x" * (1 << 21))


def test_many_threads_share_one_client(served):
    served.agent("w").always("x")
    failures = []
    with RemoteFakeAgentServer(served.url) as remote:

        def work(number):
            try:
                for _ in range(5):
                    remote.agent(f"a{number}").always("x").reply("y")
                    assert remote.problems()
            except BaseException as exc:
                failures.append(exc)
                raise

        threads = [threading.Thread(target=work, args=[number]) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert [] == failures
        assert 20 == sum(len(agent["unused"]) and agent["unused"]["reply"] for agent in listed_agents(remote))


def listed_agents(remote):
    return remote._ask("GET", "/agents")["agents"]


def test_no_socket_is_left_open(served):
    remote = RemoteFakeAgentServer(served.url)
    remote.agent("w").always("x")
    del remote
    gc.collect()  # an open one would be a ResourceWarning, which is an error here


def test_a_connection_that_the_server_has_dropped_is_replaced(served):
    with RemoteFakeAgentServer(served.url) as remote:
        remote.agent("w").always("x")
        served.clear()
        assert [] == remote.requests


def test_a_server_that_is_gone_or_has_no_control_api_is_named(served):
    with FakeAgentServer() as other, RemoteFakeAgentServer(other.url) as remote:
        with pytest.raises(RemoteControlError, match="status 404: is the control API on"):
            remote.problems()
        assert 1 == len(other.unmatched)
    with (
        RemoteFakeAgentServer(other.url) as remote,
        pytest.raises(RemoteControlError, match="no answer from"),
    ):
        remote.problems()
    with pytest.raises(ValueError, match="is like http://"):
        RemoteFakeAgentServer("localhost:8450")


def test_the_token_is_sent_and_shown_nowhere():
    with FakeAgentServer(control=True, control_token="s3cret-t0ken") as server:
        with RemoteFakeAgentServer(server.url, "s3cret-t0ken") as remote:
            assert [] == remote.problems()
            assert "s3cret" not in repr(remote)
        with RemoteFakeAgentServer(server.url, "wrong") as remote:
            with pytest.raises(RemoteControlError, match="X-Fake-Token is wrong") as caught:
                remote.problems()
            assert (401, "WRONG_TOKEN") == (caught.value.status, caught.value.code)


def test_it_speaks_tls():
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with FakeAgentServer(control=True, ssl_context=context) as server:
        with RemoteFakeAgentServer(server.url, ssl_context=trusting) as remote:
            remote.agent("w").always("x")
        assert ["w"] == list(server._scripts)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no Unix sockets")
def test_it_speaks_over_a_unix_socket(tmp_path):
    with FakeAgentServer(control=True, unix_path=tmp_path / "s") as server:
        with RemoteFakeAgentServer(server.url) as remote:
            remote.agent("w").always("x")
        assert ["w"] == list(server._scripts)


def public(kind):
    return {name for name in dir(kind) if not name.startswith("_")}


@pytest.mark.parametrize(
    ("here", "remote", "missing"),
    [
        (FakeAgentServer, RemoteFakeAgentServer, {"start", "drain", "can_forward"}),
        (Agent, RemoteAgent, set()),
        (NamedGate, RemoteGate, set()),
    ],
)
def test_both_have_the_same_methods(here, remote, missing):
    assert public(here) - public(remote) == missing
    for name in public(here) - missing:
        one, other = getattr(here, name), getattr(remote, name)
        assert callable(one) == callable(other), name
        if callable(one):
            assert parameters_of(one) == parameters_of(other), name


def parameters_of(method):
    listed = inspect.signature(method).parameters.values()
    return [(parameter.name, parameter.kind, parameter.default) for parameter in listed]


def test_exchanges_have_the_same_methods_and_the_attributes_of_their_json_form(served):
    served.agent("w").always("x")
    text_of(served)
    with RemoteFakeAgentServer(served.url) as remote:
        exchange = remote.requests[0]
        exchange.as_dict()
        methods = {name for name in public(Exchange) if inspect.isfunction(getattr(Exchange, name))}
        assert set() == methods - public(RemoteExchange)
        assert set() == served.requests[0].as_dict().keys() - set(dir(exchange))
