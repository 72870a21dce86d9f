"""TLS in every style: trusted servers, the client's own certificate, and streams as good as without TLS."""

from __future__ import annotations

import datetime as dt
import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme
import truststore

from runagent import ConfigurationError, NetworkError, RunAgentError, RunTimeoutError, StreamTruncatedError
from runagent._net.tls import default_context, shared_trust
from runagent_testing import FakeAgentServer, ending
from tests.support.peer import Peer, PeerConnection, answers, sends, sse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.styles import Style

STREAM = sse(("chunk", {"content": "x"}), ("done", {}), connection="close")


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    """A certificate authority that nobody knows."""
    return trustme.CA()


def server_context(ca: trustme.CA, *names: str, client_ca: trustme.CA | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*(names or ("127.0.0.1", "localhost"))).configure_cert(context)
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        client_ca.configure_trust(context)
    return context


def client_context(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ca.configure_trust(context)
    return context


@pytest.fixture
def system_trust(ca: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Have the system trust our authority, as `SSL_CERT_FILE` does for OpenSSL."""
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    shared_trust.cache_clear()
    yield
    shared_trust.cache_clear()


def stream(style: Style, url: str, *, times: Any = 1, **options: Any) -> str:
    async def scenario() -> str:
        client = style.client("a", base_url=url, **{"max_retries": 0} | options)
        return "".join([str(await client.run_generic_stream("x").text()) for _ in range(times)])

    return str(style.run(scenario))


def failure(style: Style, url: str, **options: Any) -> RunAgentError:
    with pytest.raises(RunAgentError) as caught:
        stream(style, url, **options)
    return caught.value


# Which servers the client trusts


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_an_own_context(style: Style, transport: str, ca: trustme.CA, version: ssl.TLSVersion) -> None:
    context = client_context(ca)
    context.minimum_version = context.maximum_version = version
    with FakeAgentServer(ssl_context=server_context(ca)) as server:
        server.agent("a").always("x", {"y": 1})
        for url in (
            server.url,
            server.url.replace("https", "wss"),
            server.url.replace("127.0.0.1", "localhost"),
        ):
            assert 'x{"y":1}' == stream(style, url, transport=transport, ssl_context=context)


def test_the_systems_trust_is_the_default(
    style: Style, transport: str, ca: trustme.CA, system_trust: None
) -> None:
    with FakeAgentServer(ssl_context=server_context(ca)) as server:
        server.agent("a").always("x")
        assert "xx" == stream(style, server.url, transport=transport, times=2)


def test_the_systems_trust_is_read_once(
    style: Style, ca: trustme.CA, system_trust: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading it takes some 20 ms, in which an event loop is blocked."""
    reads = []
    read = ssl.SSLContext.set_default_verify_paths

    def counted(context: ssl.SSLContext) -> None:
        reads.append(context)
        read(context)

    monkeypatch.setattr(ssl.SSLContext, "set_default_verify_paths", counted)
    with Peer(answers(STREAM), ssl_context=server_context(ca)) as peer:
        assert "xxx" == stream(style, peer.url, times=3)
        assert (3, 1) == (peer.connections, len(reads))


def test_a_new_client_trusts_what_ssl_cert_file_names_now(
    style: Style, ca: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In a notebook, the first attempt fails, and its error names the setting."""
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    with Peer(answers(STREAM), ssl_context=server_context(ca)) as peer:
        assert "SSL_CERT_FILE" in str(failure(style, peer.url))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert "x" == stream(style, peer.url)
        monkeypatch.delenv("SSL_CERT_FILE")
        assert "CERTIFICATE" == failure(style, peer.url).code


def test_a_bundle_that_openssl_does_not_know_is_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paths = ssl.get_default_verify_paths()._replace(cafile=None)  # type: ignore[arg-type]  # None: no such file
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    shared_trust.cache_clear()
    assert isinstance(default_context(), truststore.SSLContext)
    shared_trust.cache_clear()


@pytest.mark.parametrize(
    ("names", "host", "accepted"),
    [
        (["127.0.0.1"], "127.0.0.1", True),
        (["localhost"], "localhost", True),
        (["localhost"], "127.0.0.1", False),
        (["127.0.0.1"], "localhost", False),
        (["127.0.0.2"], "127.0.0.1", False),
        (["*.localhost"], "localhost", False),
    ],
)
def test_a_certificate_is_for_a_name_or_an_address(
    style: Style, ca: trustme.CA, names: list[str], host: str, accepted: bool
) -> None:
    with Peer(answers(STREAM), ssl_context=server_context(ca, *names)) as peer:
        url = f"https://{host}:{peer.port}"
        if accepted:
            assert "x" == stream(style, url, ssl_context=client_context(ca))
        else:
            assert "CERTIFICATE" == failure(style, url, ssl_context=client_context(ca)).code
            assert [] == peer.requests


def test_an_expired_certificate_is_refused(style: Style, ca: trustme.CA) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    ca.issue_cert("127.0.0.1", not_after=yesterday).configure_cert(context)
    with Peer(answers(STREAM), ssl_context=context) as peer:
        error = failure(style, peer.url, ssl_context=client_context(ca))
    assert ("CERTIFICATE", True) == (error.code, "expired" in str(error))


def self_signed() -> ssl.SSLContext:
    """Return the context of a server whose certificate nobody else has signed."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with trustme.Blob(private + certificate.public_bytes(pem)).tempfile() as path:
        context.load_cert_chain(path)
    return context


def issued(ca: trustme.CA, *names: str, **dates: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*(names or ["localhost"]), **dates).configure_cert(context)
    return context


DAY = dt.timedelta(days=1)
NOW = dt.datetime.now(dt.UTC)
REFUSED: dict[str, tuple[Callable[[trustme.CA], ssl.SSLContext], str, str]] = {
    "expired": (lambda ca: issued(ca, not_after=NOW - DAY), "needs a new one", "host name"),
    "early": (lambda ca: issued(ca, not_before=NOW + DAY, not_after=NOW + 2 * DAY), "too early", "host name"),
    "self-signed": (lambda _: self_signed(), "a self-signed one is trusted through", "host name"),
    "issuer": (lambda _: issued(trustme.CA()), "intermediate certificates", "host name"),
    "name": (lambda ca: issued(ca, "elsewhere.test"), "check the host name", "SSL_CERT_FILE"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_the_advice_fits_what_is_wrong_with_a_certificate(style: Style, ca: trustme.CA, case: str) -> None:
    make, advice, other = REFUSED[case]
    with Peer(answers(STREAM), ssl_context=make(ca)) as peer:
        error = failure(style, f"https://localhost:{peer.port}", ssl_context=client_context(ca))
    assert "CERTIFICATE" == error.code
    assert (True, False) == (advice in str(error), other in str(error)), str(error)


# What the environment names


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SSL_CERT_FILE", "{}/no/such"),
        ("SSL_CERT_FILE", "{}"),
        ("SSL_CERT_FILE", "{}/empty"),
        ("SSL_CERT_DIR", "{}/no/such"),
        ("SSL_CERT_DIR", "{}/empty:{}/no/such"),
        ("SSLKEYLOGFILE", "{}/no/such/file"),
    ],
)
def test_what_is_named_and_cannot_be_used_is_reported(
    style: Style, variable: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").touch()
    monkeypatch.setenv(variable, value.format(tmp_path, tmp_path))
    error = failure(style, "https://127.0.0.1:1")
    assert (ConfigurationError, "INVALID_TLS_VARIABLE") == (type(error), error.code)
    assert f"environment variable {variable}: {value.format(tmp_path, tmp_path)!r}" in str(error)


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"])
def test_an_empty_variable_names_nothing(
    style: Style, ca: trustme.CA, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "")
    with Peer(answers(STREAM), ssl_context=server_context(ca)) as peer:
        assert "CERTIFICATE" == failure(style, peer.url).code


def test_a_directory_of_a_list_will_do(
    style: Style, ca: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_DIR", f"{tmp_path}/no/such:{tmp_path}")
    with Peer(answers(STREAM), ssl_context=server_context(ca)) as peer:
        assert "CERTIFICATE" == failure(style, peer.url).code


@pytest.mark.parametrize("with_certificate", [False, True])
def test_keys_are_written_for_a_debugger(
    style: Style,
    ca: trustme.CA,
    with_certificate: bool,
    system_trust: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = tmp_path / "keys"
    monkeypatch.setenv("SSLKEYLOGFILE", str(log))
    certificate_files(ca, tmp_path)
    options = {"client_cert": str(tmp_path / "both.pem")} if with_certificate else {}
    with Peer(answers(STREAM), ssl_context=server_context(ca)) as peer:
        assert "x" == stream(style, peer.url, **options)
        assert "CLIENT_TRAFFIC_SECRET_0" in log.read_text()
        size = log.stat().st_size
        monkeypatch.delenv("SSLKEYLOGFILE")
        assert "x" == stream(style, peer.url, **options)
        assert size == log.stat().st_size


def test_an_unknown_authority_is_refused(style: Style, transport: str, ca: trustme.CA) -> None:
    shared_trust.cache_clear()
    with Peer(answers(STREAM), ssl_context=server_context(ca)) as peer:
        for options in ({}, {"ssl_context": client_context(trustme.CA())}):
            error = failure(style, peer.url, transport=transport, **{"max_retries": 3} | options)
            assert (NetworkError, "CERTIFICATE") == (type(error), error.code)
            assert peer.url in str(error)
            assert "ssl_context=" in str(error)
            assert isinstance(error.__cause__, ssl.SSLCertVerificationError)
        assert ([], 2) == (peer.requests, peer.connections)


def test_another_hosts_certificate_is_refused(style: Style, ca: trustme.CA) -> None:
    with Peer(answers(STREAM), ssl_context=server_context(ca, "elsewhere.test")) as peer:
        for url in (peer.url, peer.url.replace("127.0.0.1", "localhost")):
            error = failure(style, url, ssl_context=client_context(ca))
            assert (NetworkError, "CERTIFICATE") == (type(error), error.code)
            assert "check the host name" in str(error)
        assert [] == peer.requests


def test_a_context_that_checks_nothing_is_the_callers_choice(style: Style, ca: trustme.CA) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with Peer(answers(STREAM), ssl_context=server_context(ca, "elsewhere.test")) as peer:
        assert "x" == stream(style, peer.url, ssl_context=context)


def test_contexts_do_not_share_connections(style: Style, ca: trustme.CA) -> None:
    with FakeAgentServer(ssl_context=server_context(ca)) as server:
        server.agent("a").always("x")
        trusting = client_context(ca)
        assert "xx" == stream(style, server.url, times=2, ssl_context=trusting)
        assert 1 == server.connections
        assert "CERTIFICATE" == failure(style, server.url, ssl_context=client_context(trustme.CA())).code


# The client's certificate


def certificate_files(ca: trustme.CA, folder: Path, password: bytes | None = None) -> tuple[str, str]:
    from cryptography.hazmat.primitives import serialization

    certificate = ca.issue_cert("client.test")
    pem = certificate.private_key_pem.bytes()
    if password:
        key = serialization.load_pem_private_key(pem, None)
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(password),
        )
    (folder / "key.pem").write_bytes(pem)
    (folder / "cert.pem").write_bytes(certificate.cert_chain_pems[0].bytes())
    certificate.private_key_and_cert_chain_pem.write_to_path(folder / "both.pem")
    return str(folder / "cert.pem"), str(folder / "key.pem")


def test_a_client_certificate(
    style: Style, transport: str, ca: trustme.CA, system_trust: None, tmp_path: Path
) -> None:
    certificate, key = certificate_files(ca, tmp_path)
    with FakeAgentServer(ssl_context=server_context(ca, client_ca=ca)) as server:
        server.agent("a").always("x")
        for given in ((certificate, key), str(tmp_path / "both.pem"), [str(tmp_path / "both.pem")]):
            assert "x" == stream(style, server.url, transport=transport, client_cert=given)


def test_a_client_certificate_is_read_once_by_each_client(
    style: Style, ca: trustme.CA, system_trust: None, tmp_path: Path
) -> None:
    certificate_files(ca, tmp_path)
    given = str(tmp_path / "both.pem")
    with FakeAgentServer(ssl_context=server_context(ca, client_ca=ca)) as server:
        server.agent("a").always("x")
        assert "xxx" == stream(style, server.url, times=3, client_cert=given)
        assert 1 == server.connections
        Path(given).write_text("replaced, by nothing good")
        error = failure(style, server.url, client_cert=given)
    assert (ConfigurationError, "INVALID_CLIENT_CERT") == (type(error), error.code)


def test_a_protected_key(style: Style, ca: trustme.CA, system_trust: None, tmp_path: Path) -> None:
    certificate, key = certificate_files(ca, tmp_path, b"secret")
    with FakeAgentServer(ssl_context=server_context(ca, client_ca=ca)) as server:
        server.agent("a").always("x")
        assert "x" == stream(style, server.url, client_cert=(certificate, key, "secret"))
        for wrong in ((certificate, key, "wrong"), (certificate, key)):
            error = failure(style, server.url, client_cert=wrong)
            assert (ConfigurationError, "INVALID_CLIENT_CERT") == (type(error), error.code)
            assert certificate in str(error)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_server_that_wants_a_certificate_and_gets_none(
    style: Style, ca: trustme.CA, version: ssl.TLSVersion
) -> None:
    context = server_context(ca, client_ca=ca)
    context.maximum_version = version
    with Peer(answers(STREAM), ssl_context=context) as peer:
        error = failure(style, peer.url, ssl_context=client_context(ca))
    assert (NetworkError, "CLIENT_CERTIFICATE") == (type(error), error.code)
    assert "client_cert=" in str(error)


@pytest.mark.parametrize(
    "given", [False, True, "ca.pem", ssl.SSLContext, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)]
)
def test_an_invalid_context(style: Style, given: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"ssl_context: expected an ssl\.SSLContext for clients"):
        style.client("a", base_url="https://127.0.0.1:1", ssl_context=given)


@pytest.mark.parametrize("given", [(), ("a", "b", "c", "d"), (1,), ("no-such-file.pem",)])
def test_an_invalid_client_certificate(style: Style, given: Any) -> None:
    with pytest.raises(ConfigurationError, match="client_cert"):
        stream(style, "https://127.0.0.1:1", client_cert=given)


def test_a_file_without_a_certificate(style: Style, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    error = failure(style, "https://127.0.0.1:1", client_cert=str(tmp_path / "empty.pem"))
    assert type(error) is ConfigurationError
    assert "empty.pem" in str(error)


def test_a_pipe_in_place_of_the_trusted_certificates_is_not_waited_for(
    style: Style, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "pipe"))
    error = failure(style, "https://127.0.0.1:1")
    assert type(error) is ConfigurationError
    assert "SSL_CERT_FILE" in str(error)
    assert "not a regular file" in str(error)


# Streams


def test_large_streams(style: Style, transport: str, ca: trustme.CA) -> None:
    chunks = [*(f"{i} " for i in range(3000)), "\N{GRINNING FACE}" * 500_000, "end"]
    with FakeAgentServer(ssl_context=server_context(ca)) as server:
        server.agent("a").always(*chunks)
        options = {"transport": transport, "ssl_context": client_context(ca)}
        assert "".join(chunks) == stream(style, server.url, **options)


def test_the_connection_is_kept(style: Style, ca: trustme.CA) -> None:
    with FakeAgentServer(ssl_context=server_context(ca)) as server:
        server.agent("a").always("x")
        assert "x" * 20 == stream(style, server.url, times=20, ssl_context=client_context(ca))
        assert 1 == server.connections


@pytest.mark.parametrize("how", ["cut", "reset", "no-done"])
def test_a_cut_is_a_cut(style: Style, transport: str, ca: trustme.CA, how: Any) -> None:
    with FakeAgentServer(ssl_context=server_context(ca)) as server:
        server.agent("a").always({"no": "text"}, ending(how))
        error = failure(style, server.url, transport=transport, ssl_context=client_context(ca), resume=False)
    assert type(error) is StreamTruncatedError


def test_text_ended_by_a_goodbye_is_not_proven_and_one_cut_off_is_no_better(
    style: Style, ca: trustme.CA
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nabc"

    async def scenario() -> Any:
        client = style.client("a", base_url=peer.url, transport="chunked", ssl_context=client_context(ca))
        return [event async for event in client.run_generic_stream("x").events()][-1]

    def polite(connection: PeerConnection) -> None:
        answers(head)(connection)
        connection.socket.unwrap()  # type: ignore[attr-defined]

    for act in (polite, answers(head)):
        with Peer(act, ssl_context=server_context(ca)) as peer:
            assert not style.run(scenario).proven


# The other side


def test_a_plain_server(style: Style, ca: trustme.CA) -> None:
    for answer in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH\r\n", b"\x00" * 20):
        with Peer(sends(answer)) as peer:
            error = failure(style, peer.url.replace("http", "https"), ssl_context=client_context(ca))
        assert (NetworkError, "TLS") == (type(error), error.code)


@pytest.mark.parametrize("leave", [lambda connection: connection.socket.recv(10_000), PeerConnection.reset])
def test_a_server_that_leaves_during_the_handshake(style: Style, ca: trustme.CA, leave: Any) -> None:
    with Peer(leave) as peer:
        error = failure(style, peer.url.replace("http", "https"), ssl_context=client_context(ca))
    assert type(error) is NetworkError
    assert error.code in ("TLS", "RESET")


def test_a_silent_server_costs_the_connect_timeout(style: Style, ca: trustme.CA) -> None:
    with Peer(lambda connection: connection.wait_gone()) as peer:
        error = failure(style, peer.url.replace("http", "https"), ssl_context=client_context(ca), timeout=0.2)
    assert (RunTimeoutError, "connect") == (type(error), getattr(error, "phase", None))
