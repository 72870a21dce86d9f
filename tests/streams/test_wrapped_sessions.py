"""A session of a plugin that extends a built-in one, or wraps it, gets every byte of the connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runagent.transports._sse import SSESession, SSETransport
from runagent_testing import FakeAgentServer, gate

if TYPE_CHECKING:
    from tests.support.styles import Style

CHUNKS = [f"{number} " for number in range(8)]


class Extended(SSESession):
    """A built-in session that keeps what it reads."""

    def __init__(self, kept: bytearray, *args: Any) -> None:
        super().__init__(*args)
        self.kept = kept

    def receive_data(self, data: bytes) -> Any:
        self.kept += data
        return super().receive_data(data)


class Wrapped:
    """A session that passes everything on to a built-in one, and keeps what it reads."""

    def __init__(self, kept: bytearray, *args: Any) -> None:
        vars(self).update(kept=kept, inner=SSESession(*args))

    def receive_data(self, data: bytes) -> Any:
        self.kept.extend(data)
        return self.inner.receive_data(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self)["inner"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(vars(self)["inner"], name, value)


class WithOwnMethod(Extended):
    """A session with a method of a name that the client may be tempted to use."""

    def receive_one(self) -> None:
        raise AssertionError("the client must not call this")


@pytest.mark.parametrize("session", [Extended, Wrapped, WithOwnMethod])
def test_it_gets_events_that_come_one_by_one(session: Any, style: Style, server: FakeAgentServer) -> None:
    kept = bytearray()

    class Keeping(SSETransport):
        def open(self, *args: Any) -> Any:
            return session(kept, *args)

    steps = [step for number, text in enumerate(CHUNKS) for step in (gate(f"g{number}"), text)]
    server.agent("a").always(*steps)
    received = []

    async def scenario() -> None:
        client = style.client("a", base_url=server.url, transport=Keeping())
        server.gates["g0"].open()
        async for chunk in client.run_generic_stream("q"):
            received.append(chunk)
            if len(received) < len(CHUNKS):
                server.gates[f"g{len(received)}"].open()

    style.run(scenario)
    assert CHUNKS == received
    assert [True] * len(CHUNKS) == [text.encode() in kept for text in CHUNKS]
