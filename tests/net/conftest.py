"""A certificate authority of the tests, which the system trusts if a test asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trustme

from runagent._net.tls import shared_trust

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    """A certificate authority that nobody knows."""
    return trustme.CA()


@pytest.fixture
def system_trust(ca: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Have the system trust our authority, as `SSL_CERT_FILE` does for OpenSSL."""
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    shared_trust.cache_clear()
    yield
    shared_trust.cache_clear()
