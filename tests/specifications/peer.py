"""Plays a case over real sockets: the steps become what a peer does on each connection."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

from tests.specifications.outcomes import ClientFrames, Outcome
from tests.specifications.replay import fill_in
from tests.support.peer import PATIENCE, Act, PeerConnection

if TYPE_CHECKING:
    from tests.specifications.loader import Case, Step

__all__ = ["PAUSE", "Player"]

PAUSE = 0.2 / 1000  # seconds of real time for a millisecond of a case
OPTIONAL_WAIT = 0.1  # seconds that a frame is waited for which the client need not send


class Player:
    """What the peer of one case does and sees.

    Args:
        case: The case to play.
        outcome: Where it notes what it has seen of the client.
    """

    def __init__(self, case: Case, outcome: Outcome) -> None:
        self._outcome = outcome
        self._scripts: list[list[Step]] = case["connections"]
        self._prompt: list[list[int]] = list(case["expect"].get("prompt", []))
        self._delivered = 0
        self._delivery = threading.Condition()

    @property
    def acts(self) -> list[Act]:
        """One act for each connection that the case allows for."""
        return [self._act(steps) for steps in self._scripts]

    def delivered(self, size: int) -> None:
        """Note how many bytes the client's caller has been given."""
        with self._delivery:
            self._delivered = size
            self._delivery.notify_all()

    def _act(self, steps: list[Step]) -> Act:
        def act(connection: PeerConnection) -> None:
            request = connection.read_request()
            if request is None:
                return
            method, target, _ = request.line.split(" ")
            self._outcome.requests.append({"method": method, "target": target, "body": bool(request.body)})
            _Connection(self, connection, request.headers).play(steps)

        return act

    def wait_delivered(self) -> None:
        """Wait until the caller has what it must have been given before more is sent, by this pause."""
        with self._delivery:
            wanted, _ = self._prompt.pop(0)
            assert self._delivery.wait_for(lambda: self._delivered >= wanted, PATIENCE)

    @property
    def is_prompt(self) -> bool:
        """Whether the case wants something delivered during the next pause."""
        return bool(self._prompt)

    def take_frames(self, frames: list[tuple[int, bytes]]) -> None:
        """Note the frames of a connection."""
        self._outcome.frames = frames


class _Connection:
    """One connection while its steps are played."""

    def __init__(self, player: Player, connection: PeerConnection, fields: dict[str, str]) -> None:
        self._player = player
        self._connection = connection
        self._fields = fields
        self._hostport = connection.peer.url.removeprefix("http://")
        self._sent = ClientFrames()
        self._is_websocket = "sec-websocket-key" in fields

    def play(self, steps: list[Step]) -> None:
        """Do one step after the other, then listen until the client has disconnected."""
        try:
            for step, argument in steps:
                getattr(self, f"_{step}")(argument)
            self._listen()
        finally:
            self._player.take_frames(self._sent.frames)

    def _send(self, data: bytes) -> None:
        data = fill_in(data, self._fields, self._hostport)
        with contextlib.suppress(ConnectionError):  # the client may have heard enough
            self._connection.send(data)

    def _pause(self, milliseconds: int) -> None:
        if self._player.is_prompt:
            self._player.wait_delivered()
        else:
            time.sleep(milliseconds * PAUSE)

    def _hold(self, _: Any) -> None:
        self._listen()

    def _close(self, _: Any) -> None:
        with contextlib.suppress(OSError):
            self._connection.socket.shutdown(1)

    def _reset(self, _: Any) -> None:
        self._connection.reset()

    def _wait(self, frame: dict[str, Any]) -> None:
        """Read until a frame has come; one that is optional is not waited for long."""
        optional = frame.get("optional", False)
        self._connection.socket.settimeout(OPTIONAL_WAIT if optional else PATIENCE)
        while not self._has(frame):
            if not self._read():
                assert optional, f"the client has not sent {frame}"
                break
        self._connection.socket.settimeout(PATIENCE)

    def _has(self, frame: dict[str, Any]) -> bool:
        payload = frame.get("payload_hex")
        return any(
            opcode == frame["opcode"] and payload in (None, data.hex()) for opcode, data in self._sent.frames
        )

    def _listen(self) -> None:
        while self._connection.socket.fileno() >= 0 and self._read():
            pass

    def _read(self) -> bool:
        try:
            data = self._connection.socket.recv(1 << 16)
        except (ConnectionError, TimeoutError):
            return False
        if self._is_websocket:
            self._sent.feed(data)
        return bool(data)
