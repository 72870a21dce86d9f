"""Which servers a client trusts: authorities, names and dates of certificates, and what its errors advise."""

from __future__ import annotations

import datetime as dt
import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from runagent import NetworkError
from runagent._net.tls import shared_trust
from runagent_testing import FakeAgentServer
from tests.support.failing import failure
from tests.support.peer import Peer, answers
from tests.support.tls import STREAM, client_context, server_context, stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.styles import Style


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
            assert "CERTIFICATE" == failure(style, "a", base_url=url, ssl_context=client_context(ca)).code
            assert [] == peer.requests


def test_an_expired_certificate_is_refused(style: Style, ca: trustme.CA) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    ca.issue_cert("127.0.0.1", not_after=yesterday).configure_cert(context)
    with Peer(answers(STREAM), ssl_context=context) as peer:
        error = failure(style, "a", base_url=peer.url, ssl_context=client_context(ca))
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
        error = failure(style, "a", base_url=f"https://localhost:{peer.port}", ssl_context=client_context(ca))
    assert "CERTIFICATE" == error.code
    assert (True, False) == (advice in str(error), other in str(error)), str(error)


def test_an_unknown_authority_is_refused(style: Style, transport: str, ca: trustme.CA) -> None:
    shared_trust.cache_clear()
    trusting_others: list[dict[str, Any]] = [{}, {"ssl_context": client_context(trustme.CA())}]
    with Peer(answers(STREAM), ssl_context=server_context(ca)) as peer:
        for options in trusting_others:
            error = failure(style, "a", base_url=peer.url, transport=transport, max_retries=3, **options)
            assert (NetworkError, "CERTIFICATE") == (type(error), error.code)
            assert peer.url in str(error)
            assert "ssl_context=" in str(error)
            assert isinstance(error.__cause__, ssl.SSLCertVerificationError)
        assert ([], 2) == (peer.requests, peer.connections)


def test_another_hosts_certificate_is_refused(style: Style, ca: trustme.CA) -> None:
    with Peer(answers(STREAM), ssl_context=server_context(ca, "elsewhere.test")) as peer:
        for url in (peer.url, peer.url.replace("127.0.0.1", "localhost")):
            error = failure(style, "a", base_url=url, ssl_context=client_context(ca))
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
        assert (
            "CERTIFICATE"
            == failure(style, "a", base_url=server.url, ssl_context=client_context(trustme.CA())).code
        )
