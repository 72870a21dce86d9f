"""TLS without I/O: plaintext comes out however ciphertext is cut, and the layer knows when none is left."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, cast

import pytest
import trustme

from runagent._net.base import DeadlineExceededError
from runagent._net.secure import TLSConnection
from runagent._net.tls import TLSLayer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runagent._net.base import AsyncConnection

ALL = 1 << 16
RECORD = 1 << 14


class Server:
    """The other side of a layer, once hands are shaken. In TLS 1.3 tickets precede its first data."""

    def __init__(self, version: ssl.TLSVersion) -> None:
        ca = trustme.CA()
        own, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        own.maximum_version = version
        ca.issue_cert("agent.test").configure_cert(own)
        ca.configure_trust(trusting)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = own.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.layer = TLSLayer(trusting, "agent.test")
        self._shake_hands()

    def sends(self, *texts: bytes) -> bytes:
        """Return ciphertext, a record for each text."""
        for text in texts:
            self._object.write(text)
        return self._outgoing.read()

    def closes(self) -> bytes:
        """Return the ciphertext of a ``close_notify``."""
        with pytest.raises(ssl.SSLWantReadError):
            self._object.unwrap()
        return self._outgoing.read()

    def _shake_hands(self) -> None:
        while True:
            done = self.layer.handshake()
            self._incoming.write(self.layer.outgoing.read())
            try:
                self._object.do_handshake()
            except ssl.SSLWantReadError:
                assert not done
            else:
                if done:
                    return
            self.layer.feed(self._outgoing.read())


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def server(request: pytest.FixtureRequest) -> Server:
    """A server of each version in turn."""
    return Server(request.param)


def read_all(layer: TLSLayer, pieces: Iterable[bytes], max_bytes: int = ALL) -> list[bytes]:
    """Feed pieces and read after each until the layer reports that nothing is left, and check that."""
    texts = []
    for piece in pieces:
        layer.feed(piece)
        while not layer.drained and (text := layer.read(max_bytes)) is not None:
            texts.append(text)
        assert layer.read(max_bytes) is None
    return texts


def test_wherever_records_are_cut(server: Server) -> None:
    texts = [b"one", b"three"]
    assert texts == read_all(server.layer, [server.sends(*texts)])
    ciphertext = server.sends(*texts)
    for cut in range(1, len(ciphertext)):
        assert texts == read_all(server.layer, [ciphertext[:cut], ciphertext[cut:]])
        ciphertext = server.sends(*texts)


def test_byte_by_byte(server: Server) -> None:
    ciphertext = server.sends(b"one", b"three")
    pieces = [ciphertext[at : at + 1] for at in range(len(ciphertext))]
    assert [b"one", b"three"] == read_all(server.layer, pieces)


@pytest.mark.parametrize("max_bytes", [1, 2, 3, 4, 5, 6])
def test_however_little_is_read_at_once(server: Server, max_bytes: int) -> None:
    texts = read_all(server.layer, [server.sends(b"12345", b"678", b"9")], max_bytes)
    assert b"123456789" == b"".join(texts)
    assert max_bytes >= max(map(len, texts))


@pytest.mark.parametrize("size", [RECORD - 1, RECORD, RECORD + 1, 5 * RECORD])
@pytest.mark.parametrize("max_bytes", [RECORD - 1, RECORD, ALL])
def test_full_records(server: Server, size: int, max_bytes: int) -> None:
    text = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    assert text == b"".join(read_all(server.layer, [server.sends(text)], max_bytes))


def test_a_record_in_a_read_leaves_nothing_and_the_layer_knows(server: Server) -> None:
    """Which it must not find out by an exception: there is one read for each event of a slow stream."""
    read_all(server.layer, [server.sends(b"first")])
    for _ in range(3):
        server.layer.feed(server.sends(b"event"))
        assert not server.layer.drained
        assert b"event" == server.layer.read(ALL)
        assert server.layer.drained


def test_tickets_are_no_plaintext(server: Server) -> None:
    assert not server.layer.drained  # who knows what came behind the handshake
    assert server.layer.read(ALL) is None
    if tickets := server.sends():
        assert [] == read_all(server.layer, [tickets])
    assert [b"x"] == read_all(server.layer, [server.sends(b"x")])


@pytest.mark.parametrize("polite", [True, False])
def test_the_end_stays_the_end(server: Server, *, polite: bool) -> None:
    server.layer.feed(server.sends(b"last") + (server.closes() if polite else b""))
    assert b"last" == server.layer.read(ALL)
    if not polite:
        server.layer.feed(b"")
    assert [b"", b"", False] == [server.layer.read(ALL), server.layer.read(ALL), server.layer.drained]


def test_an_end_inside_a_record(server: Server) -> None:
    server.layer.feed(server.sends(b"last", b"cut off")[:-1])
    assert [b"last", None] == [server.layer.read(ALL), server.layer.read(ALL)]
    server.layer.feed(b"")
    assert b"" == server.layer.read(ALL)


def test_a_record_that_was_tampered_with(server: Server) -> None:
    ciphertext = server.sends(b"one")
    server.layer.feed(ciphertext[:-1] + bytes([ciphertext[-1] ^ 1]))
    with pytest.raises(ssl.SSLError, match=r"bad record mac|record layer failure"):
        server.layer.read(ALL)
    assert server.layer.outgoing.pending  # the alert


class Trickle:
    """A connection that gives one byte of a record after the other without a pause, a second for each."""

    def __init__(self, ciphertext: bytes) -> None:
        self.given = 0
        self._ciphertext = ciphertext

    def now(self) -> float:
        return float(self.given)

    async def receive(self, max_bytes: int, deadline: float) -> bytes:
        self.given += 1
        return self._ciphertext[self.given - 1 : self.given]

    def poll(self, max_bytes: int) -> bytes:
        self.given += 1
        return self._ciphertext[self.given - 1 : self.given]


def test_a_deadline_ends_records_that_never_end() -> None:
    server = Server(ssl.TLSVersion.TLSv1_3)
    inner = Trickle(server.sends(b"x" * 1000))
    connection = TLSConnection(cast("AsyncConnection", inner), server.layer, inner.now)
    with pytest.raises(DeadlineExceededError):
        connection.receive(ALL, 5.0).send(None)
    assert inner.given == 5
    assert connection.poll(ALL) is None
    assert inner.given < 50
    with pytest.raises(StopIteration) as end:  # nothing is lost
        connection.receive(ALL, float("inf")).send(None)
    assert end.value.value == b"x" * 1000
