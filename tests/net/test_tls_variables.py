"""What environment variables name for TLS: trusted certificates, and a file of keys for a debugger."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING

import pytest
import truststore

from runagent import ConfigurationError
from runagent._net.tls import default_context, shared_trust
from tests.support.failing import failure
from tests.support.peer import Peer, answers
from tests.support.tls import STREAM, certificate_files, server_context, stream

if TYPE_CHECKING:
    from pathlib import Path

    import trustme

    from tests.support.styles import Style


def test_a_new_client_trusts_what_ssl_cert_file_names_now(
    style: Style, ca: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In a notebook, the first attempt fails, and its error names the setting."""
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    with Peer(answers(STREAM), ssl_context=server_context(ca)) as peer:
        assert "SSL_CERT_FILE" in str(failure(style, "a", base_url=peer.url))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert "x" == stream(style, peer.url)
        monkeypatch.delenv("SSL_CERT_FILE")
        assert "CERTIFICATE" == failure(style, "a", base_url=peer.url).code


def test_a_bundle_that_openssl_does_not_know_is_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paths = ssl.get_default_verify_paths()._replace(cafile=None)  # type: ignore[arg-type]  # None: no such file
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    shared_trust.cache_clear()
    assert isinstance(default_context(), truststore.SSLContext)
    shared_trust.cache_clear()


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
    error = failure(style, "a", base_url="https://127.0.0.1:1")
    assert (ConfigurationError, "INVALID_TLS_VARIABLE") == (type(error), error.code)
    assert f"environment variable {variable}: {value.format(tmp_path, tmp_path)!r}" in str(error)


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"])
def test_an_empty_variable_names_nothing(
    style: Style, ca: trustme.CA, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "")
    with Peer(answers(STREAM), ssl_context=server_context(ca)) as peer:
        assert "CERTIFICATE" == failure(style, "a", base_url=peer.url).code


def test_a_directory_of_a_list_will_do(
    style: Style, ca: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_DIR", f"{tmp_path}/no/such:{tmp_path}")
    with Peer(answers(STREAM), ssl_context=server_context(ca)) as peer:
        assert "CERTIFICATE" == failure(style, "a", base_url=peer.url).code


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


def test_a_pipe_in_place_of_the_trusted_certificates_is_not_waited_for(
    style: Style, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "pipe"))
    error = failure(style, "a", base_url="https://127.0.0.1:1")
    assert type(error) is ConfigurationError
    assert "SSL_CERT_FILE" in str(error)
    assert "not a regular file" in str(error)
