"""The client's own certificate: where it is read from, and servers that want one."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runagent import ConfigurationError, NetworkError
from runagent_testing import FakeAgentServer
from tests.support.failing import failure
from tests.support.peer import Peer, answers
from tests.support.tls import STREAM, certificate_files, client_context, server_context, stream

if TYPE_CHECKING:
    import trustme

    from tests.support.styles import Style


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
        error = failure(style, "a", base_url=server.url, client_cert=given)
    assert (ConfigurationError, "INVALID_CLIENT_CERT") == (type(error), error.code)


def test_a_protected_key(style: Style, ca: trustme.CA, system_trust: None, tmp_path: Path) -> None:
    certificate, key = certificate_files(ca, tmp_path, b"secret")
    with FakeAgentServer(ssl_context=server_context(ca, client_ca=ca)) as server:
        server.agent("a").always("x")
        assert "x" == stream(style, server.url, client_cert=(certificate, key, "secret"))
        for wrong in ((certificate, key, "wrong"), (certificate, key)):
            error = failure(style, "a", base_url=server.url, client_cert=wrong)
            assert (ConfigurationError, "INVALID_CLIENT_CERT") == (type(error), error.code)
            assert certificate in str(error)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_server_that_wants_a_certificate_and_gets_none(
    style: Style, ca: trustme.CA, version: ssl.TLSVersion
) -> None:
    context = server_context(ca, client_ca=ca)
    context.maximum_version = version
    with Peer(answers(STREAM), ssl_context=context) as peer:
        error = failure(style, "a", base_url=peer.url, ssl_context=client_context(ca))
    assert (NetworkError, "CLIENT_CERTIFICATE") == (type(error), error.code)
    assert "client_cert=" in str(error)


@pytest.mark.parametrize("given", [(), ("a", "b", "c", "d"), (1,), ("no-such-file.pem",)])
def test_an_invalid_client_certificate(style: Style, given: Any) -> None:
    with pytest.raises(ConfigurationError, match="client_cert"):
        stream(style, "https://127.0.0.1:1", client_cert=given)


def test_a_file_without_a_certificate(style: Style, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    error = failure(style, "a", base_url="https://127.0.0.1:1", client_cert=str(tmp_path / "empty.pem"))
    assert type(error) is ConfigurationError
    assert "empty.pem" in str(error)
