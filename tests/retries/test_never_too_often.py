"""A property: whatever a peer does, an agent is asked at most 1 + max_retries + max_resumes times a run."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runagent import RunAgentError
from tests.retries.attempts import BUSY, DONE, chunk
from tests.support.peer import Peer, PeerConnection, Request, http, message, ndjson, sse, upgrade
from tests.support.styles import Style

if TYPE_CHECKING:
    from collections.abc import Iterator

KEPT_BUSY = http(503, {"error": {"message": "busy"}})
NO_KEY = http(401, {"error": {"message": "no such key"}}, connection="close")
TOO_LATE = http(408, connection="close")
# What a peer does with a request.
HTTP_DEEDS = (
    "good",
    "good and close",
    "busy",
    "busy and close",
    "refuse the key",
    "too late",
    "take and close",
    "take and reset",
    "cut behind the head",
    "cut behind a chunk",
    "cut inside a chunk",
    "read a part and reset",
)
WEBSOCKET_DEEDS = (
    "good",
    "busy and close",
    "refuse the key",
    "take and close",
    "cut behind the head",
    "cut behind a chunk",
)


class Deeds:
    """A peer that does one deed after the other, over all its connections, and then answers well.

    Attributes:
        asked: How often the agent was asked, by the query of the run.
        unasked: How many requests did not reach it.
        breaks_promises: It closes connections that it has promised to keep.
    """

    def __init__(self, kind: str, deeds: list[str]) -> None:
        self.kind = kind
        self.asked: Counter[str] = Counter()
        self.unasked = 0
        self.breaks_promises = "good and close" in deeds
        self._deeds: Iterator[str] = iter(deeds)

    def act(self, connection: PeerConnection) -> None:
        """Serve one connection."""
        goes_on = True
        while goes_on:
            deed = next(self._deeds, "good") if self._is_asked(connection) else None
            if deed is None:
                return
            if deed == "read a part and reset":
                self.unasked += 1
                connection.reset()
                return
            goes_on = (
                self._websocket(connection, deed)
                if self.kind == "websocket"
                else self._http(connection, deed)
            )

    def _is_asked(self, connection: PeerConnection) -> bool:
        """Wait for the beginning of a request, without taking it."""
        return bool(connection.socket.recv(1, 2))  # MSG_PEEK

    def _http(self, connection: PeerConnection, deed: str) -> bool:
        request = connection.read_request()
        if request is None:
            return False
        self.asked[request.json["query"]] += 1
        if deed == "take and reset":
            connection.reset()
        elif deed != "take and close":
            connection.send(self._answer(deed, request))
        return deed in ("good", "busy")

    def _websocket(self, connection: PeerConnection, deed: str) -> bool:
        if deed in ("busy and close", "refuse the key"):
            connection.read_request()
            self.unasked += 1
            connection.send(BUSY if deed == "busy and close" else NO_KEY)
        elif deed == "cut behind the head":
            connection.read_request()
            self.unasked += 1
        else:
            upgrade()(cast("PeerConnection", _Noting(connection, self)))
            chunks = [message({"type": "chunk", "content": "x"})] if deed != "take and close" else []
            ends = [message({"type": "status", "status": "stream_completed"})] if deed == "good" else []
            connection.send(b"".join(chunks + ends))
        return False

    def _answer(self, deed: str, request: Request) -> bytes:
        if deed.startswith("busy"):
            return BUSY if "close" in deed else KEPT_BUSY
        if deed in ("too late", "refuse the key"):
            return TOO_LATE if deed == "too late" else NO_KEY
        if self.kind == "plain":
            whole = http(200, {"success": True, "data": "x"})
            return whole if deed.startswith("good") else whole[:-1]
        at = request.json.get("parameters", {}).get("resume_from_index", 0)
        good, begun = deed.startswith("good"), deed != "cut behind the head"
        if self.kind == "sse":
            whole = sse(*[chunk(at)] * begun, *[DONE] * good, end=good)
        else:
            line = {"type": "chunk", "content": "x", "index": at}
            whole = ndjson(*[line] * begun, *[{"type": "done"}] * good, end=good)
        return whole[:-3] if deed == "cut inside a chunk" else whole


class _Noting:
    """A connection of a WebSocket that notes what the agent is asked, and is not waited for."""

    def __init__(self, connection: PeerConnection, deeds: Deeds) -> None:
        self._connection, self._deeds = connection, deeds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def read_message(self) -> bytes:
        """Note the run's request."""
        data = self._connection.read_message()
        self._deeds.asked[Request("", {}, data).json["input_kwargs"]["query"]] += 1
        return data

    def wait_gone(self) -> None:
        """Go on at once."""


def ask(style: str, deeds: Deeds, runs: int, options: dict[str, Any]) -> list[int]:
    """Make so many runs, and return how many attempts each reports."""

    async def scenario() -> list[int]:
        attempts = []
        transport = "sse" if deeds.kind == "plain" else deeds.kind
        async with Style(style).client("a", base_url=peer.url, transport=transport, **options) as client:
            for number in range(runs):
                with contextlib.suppress(RunAgentError):
                    if deeds.kind == "plain":
                        await client.run_generic(str(number))
                    else:
                        stream = client.run_generic_stream(str(number))
                        await stream.text()
                attempts.append(0 if deeds.kind == "plain" else len(stream.report.attempts))
        return attempts

    with Peer(deeds.act) as peer:
        found: list[int] = Style(style).run(scenario)
        return found


@pytest.mark.parametrize("style", ["sync", "asyncio", "trio"])
@pytest.mark.parametrize("kind", ["sse", "chunked", "websocket", "plain"])
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_agent_is_never_asked_too_often(style: str, kind: str, data: Any) -> None:
    known = WEBSOCKET_DEEDS if kind == "websocket" else HTTP_DEEDS
    deeds = Deeds(kind, data.draw(st.lists(st.sampled_from(known), max_size=12)))
    runs = data.draw(st.integers(1, 3))
    options = {
        "max_retries": data.draw(st.integers(0, 3)),
        "max_resumes": data.draw(st.integers(0, 3)),
        "retry_unsafe": data.draw(st.booleans()),
        "max_retry_wait": 0,
        "api_key": data.draw(st.sampled_from([None, "key", lambda: "key"])),
    }
    attempts = ask(style, deeds, runs, options)
    for number, counted in enumerate(attempts):
        asked = deeds.asked[str(number)]
        assert asked <= 1 + options["max_retries"] + options["max_resumes"]
        assert kind == "plain" or asked <= counted
    # A peer that closes a connection which it has promised to keep may have a request in its hands.
    if kind != "plain" and not deeds.breaks_promises:
        assert sum(deeds.asked.values()) + deeds.unasked == sum(attempts)
