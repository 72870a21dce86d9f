"""TLS that ends at a real nginx: which servers the client trusts, and that it sends nothing to others."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from runagent import NetworkError, RunAgentError, Timeouts
from runagent_testing import FakeAgentServer, ending, gate
from tests.interop.nginx import Nginx, listen_with_tls
from tests.interop.programs import Port, needs
from tests.support.families import shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.styles import Style

pytestmark = needs("nginx")

HOSTS = ("127.0.0.1", "localhost")
SECRET = "key-that-nobody-may-see"


def certificates(ca: trustme.CA) -> dict[str, list[trustme.Blob]]:
    """Issue one certificate for each name: its key and its chain."""
    now = datetime.now(UTC)
    past, future = now - timedelta(days=1), now + timedelta(days=1)
    intermediate = ca.create_child_ca()
    issued = {
        "good": ca.issue_cert(*HOSTS),
        "expired": ca.issue_cert(*HOSTS, not_before=past - timedelta(days=9), not_after=past),
        "not yet valid": ca.issue_cert(*HOSTS, not_before=future, not_after=future + timedelta(days=9)),
        "another host's": ca.issue_cert("elsewhere.test", "*.0.0.1"),
        "of an unknown authority": trustme.CA().issue_cert(*HOSTS),
        "of an intermediate": intermediate.issue_cert(*HOSTS),
    }
    blobs = {name: [cert.private_key_pem, *cert.cert_chain_pems] for name, cert in issued.items()}
    blobs["with an incomplete chain"] = blobs["of an intermediate"][:2]
    return blobs


@dataclass
class TLS:
    """An nginx that has a port for each certificate, and a client's context that trusts the authority."""

    nginx: Nginx
    ports: dict[str, Port]
    context: ssl.SSLContext

    def url(self, certificate: str, host: str = "127.0.0.1") -> str:
        return f"https://{host}:{self.ports[certificate].number}"


@pytest.fixture(scope="module")
def tls(shared_agents: FakeAgentServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TLS]:
    folder: Path = tmp_path_factory.mktemp("nginx")
    ca, ports, servers = trustme.CA(), {}, []
    for number, (name, blobs) in enumerate(certificates(ca).items()):
        file = folder / f"{number}.pem"
        file.write_bytes(b"".join(blob.bytes() for blob in blobs))
        ports[name] = Port()
        servers.append(listen_with_tls(ports[name], file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ca.configure_trust(context)
    with Port() as port, Port() as nobody:
        with Nginx(folder, shared_agents.url, port, nobody, "\n".join(servers)) as nginx:
            yield TLS(nginx, ports, context)
        for held in ports.values():
            held.close()


def client_of(style: Style, tls: TLS, url: str, **options: Any) -> Any:
    given = {"agent_id": "a", "ssl_context": tls.context, "api_key": SECRET, "timeout": Timeouts(total=20)}
    return style.client(base_url=url, **given | options)


@pytest.mark.parametrize("certificate", ["good", "of an intermediate"])
@pytest.mark.parametrize("host", HOSTS)
def test_a_private_authority(
    style: Style, transport: str, tls: TLS, agents: FakeAgentServer, certificate: str, host: str
) -> None:
    chunks = [f"{i} " for i in range(2000)]
    agents.agent("a").always(*chunks).returns("plain")

    async def scenario() -> Any:
        client = client_of(style, tls, tls.url(certificate, host), transport=transport)
        return await shown(client.run_generic_stream("x")), await client.run_generic("x")

    assert (("ok", chunks), "plain") == style.run(scenario)
    assert f"Bearer {SECRET}" == agents.requests[0].raw_headers["authorization"]


@pytest.mark.parametrize(
    ("certificate", "advice"),
    [
        ("expired", "expired"),
        ("not yet valid", "not yet valid"),
        ("another host's", "host name"),
        ("of an unknown authority", "ssl_context="),
        ("with an incomplete chain", "ssl_context="),
    ],
)
def test_a_peer_that_cannot_be_trusted_is_sent_nothing(
    style: Style, transport: str, tls: TLS, agents: FakeAgentServer, certificate: str, advice: str
) -> None:
    agents.agent("a").always("x")
    url = tls.url(certificate)

    async def scenario() -> None:
        await client_of(style, tls, url, transport=transport).run_generic_stream("x").text()

    with pytest.raises(RunAgentError) as caught:
        style.run(scenario)
    assert (NetworkError, "CERTIFICATE") == (type(caught.value), caught.value.code)
    assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
    assert url in str(caught.value)
    assert advice in str(caught.value)
    assert SECRET not in repr(caught.value)
    assert ([], 0) == (agents.requests, agents.connections)
    # A request that nginx has read at all, even a bad one, it would have logged.
    assert [] == tls.nginx.requests(port=tls.ports[certificate])


def test_a_trusted_connection_is_kept(style: Style, tls: TLS, agents: FakeAgentServer) -> None:
    name = f"kept-{style.name}"
    agents.agent(name).always("x")

    async def scenario() -> None:
        client = client_of(style, tls, tls.url("good"), agent_id=name)
        for _ in range(5):
            assert "x" == await client.run_generic_stream("x").text()

    style.run(scenario)
    tls.nginx.wait_until(lambda: len(tls.nginx.requests(agent_id=name)) == 5)
    assert 1 == len(set(tls.nginx.requests(agent_id=name)))


@pytest.mark.parametrize("how", ["cut", "reset", "no-done"])
def test_an_agent_that_breaks_off_behind_tls(
    style: Style, transport: str, tls: TLS, agents: FakeAgentServer, how: Any
) -> None:
    door = gate("door")
    agents.agent("a").always("Once", door, ending(how))

    async def scenario() -> Any:
        client = client_of(style, tls, tls.url("good"), transport=transport, resume=False)
        return await shown(client.run_generic_stream("x"), door)

    assert ("truncated", ["Once"]) == style.run(scenario)


def test_speaking_plainly_to_a_port_with_tls(style: Style, tls: TLS, agents: FakeAgentServer) -> None:
    url = tls.url("good").replace("https", "http")
    with pytest.raises(RunAgentError, match="400") as caught:
        style.run(lambda: client_of(style, tls, url).run_generic_stream("x").text())
    assert SECRET not in str(caught.value)
    assert [] == agents.requests
