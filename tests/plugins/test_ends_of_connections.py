"""A session that wants more of a connection that has ended: the run fails, and does not read for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runagent import Chunk, PluginError
from runagent.transports import BaseSession, Wants
from tests.support.peer import Peer
from tests.support.transports import OwnTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent.transports import Event
    from tests.support.peer import PeerConnection
    from tests.support.styles import Style


def closes(connection: PeerConnection) -> None:
    connection.socket.recv(10)
    connection.send(b"x")


def closes_at_once(connection: PeerConnection) -> None:
    connection.socket.recv(10)


def resets(connection: PeerConnection) -> None:
    closes(connection)
    connection.reset()


async def collect(stream: Any, received: list[Any]) -> None:
    """Read to the end."""
    async for content in stream:
        received += [content]


@pytest.mark.parametrize("leave", [closes, closes_at_once, resets])
@pytest.mark.parametrize("wants", [Wants.READ, Wants.CLOSE_WRITE, Wants.TURN])
def test_a_session_that_does_not_end_with_its_connection(
    style: Style, wants: Wants, leave: Callable[[PeerConnection], None]
) -> None:
    ends: list[int] = []
    received: list[Any] = []

    class Lazy(BaseSession):
        def __init__(self, *_: Any) -> None:
            super().__init__()
            self.send(b"hi")

        def receive_data(self, data: bytes) -> list[Event]:
            return [Chunk(data.decode())]

        def receive_eof(self) -> list[Event]:
            ends.append(1)
            self.wants = wants
            return [Chunk("the rest")]

    async def scenario() -> None:
        client = style.client("a", base_url=peer.url, transport=OwnTransport("lazy", Lazy))
        stream = client.run_generic_stream("q")
        with pytest.raises(PluginError, match=rf"'lazy' left wants at {wants} in receive_eof"):
            await collect(stream, received)
        assert "failed" == stream.report.outcome

    with Peer(leave) as peer:
        style.run(scenario)
    assert "the rest" == received[-1]
    assert [1] == ends
