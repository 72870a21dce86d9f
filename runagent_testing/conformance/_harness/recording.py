"""Repeats a conversation with the fake agent, which is recorded once, for sessions that ask the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from runagent._address.route import Address
    from runagent_testing._journal.exchange import Exchange
    from runagent_testing._memory import MemoryNetwork
    from runagent_testing._memory.calls import Clock

__all__ = ["Agents", "DiffersError", "Line", "Recorder", "Remote"]


class DiffersError(Exception):
    """The session has sent other bytes than the recorded one, or at another place of the answer."""


class Line(Protocol):
    """Where the bytes of a peer arrive."""

    def poll(self, max_bytes: int) -> bytes | None:
        """Return the next bytes, b"" at the end, or None if there are none yet."""


class Remote(Protocol):
    """The peer at the other end."""

    def receive_data(self, data: bytes) -> None:
        """Take what the session has sent."""


class Agents(Protocol):
    """What feeds a session: a memory network, or a recording of one."""

    @property
    def url(self) -> str:
        """The URL for clients."""

    @property
    def requests(self) -> list[Exchange]:
        """The runs so far."""

    def open(self, address: Address, clock: Clock) -> tuple[Line, Remote]:
        """Make a connection."""


@dataclass
class _Round:
    """What a session has sent, the number of runs after it, and the reads that came before it sent more."""

    sent: bytes
    runs: int
    reads: list[bytes] = field(default_factory=list)


class Recorder:
    """Records the conversation of one session with a network, which has the URL for further sessions."""

    def __init__(self, memory: MemoryNetwork) -> None:
        self.memory = memory
        self.url = memory.url
        self._connections: list[list[_Round]] = []

    @property
    def requests(self) -> list[Exchange]:
        """The runs of the network."""
        return self.memory.requests

    def open(self, address: Address, clock: Clock) -> tuple[Line, Remote]:
        """Make a connection, and record it."""
        wire, peer = self.memory.open(address, clock)
        rounds = [_Round(b"", len(self.requests))]
        self._connections.append(rounds)
        return _RecordingLine(wire, rounds), _RecordingRemote(peer, rounds, self.memory)

    def replay(self) -> Agents:
        """Return what repeats the conversation; a session that sends anything else gets a `DiffersError`."""
        return _Replay(self.url, self._connections, self.requests)


class _RecordingLine:
    def __init__(self, line: Line, rounds: list[_Round]) -> None:
        self._line = line
        self._rounds = rounds

    def poll(self, max_bytes: int) -> bytes | None:
        data = self._line.poll(max_bytes)
        if data is not None:
            self._rounds[-1].reads.append(data)
        return data


class _RecordingRemote:
    def __init__(self, remote: Remote, rounds: list[_Round], memory: MemoryNetwork) -> None:
        self._remote = remote
        self._rounds = rounds
        self._memory = memory

    def receive_data(self, data: bytes) -> None:
        self._remote.receive_data(data)
        self._rounds.append(_Round(data, len(self._memory.requests)))


class _Replay:
    def __init__(self, url: str, connections: list[list[_Round]], runs: list[Exchange]) -> None:
        self.url = url
        self._connections = iter(connections)
        self._runs = runs
        self._connection: _Connection | None = None

    @property
    def requests(self) -> list[Exchange]:
        return [] if self._connection is None else self._runs[: self._connection.runs]

    def open(self, address: Address, clock: Clock) -> tuple[Line, Remote]:
        rounds = next(self._connections, None)
        if rounds is None:
            raise DiffersError
        self._connection = _Connection(rounds)
        return self._connection, self._connection


class _Connection:
    """Both ends of a repeated connection."""

    def __init__(self, rounds: list[_Round]) -> None:
        self._further = iter(rounds)
        self._enter(next(self._further))

    def _enter(self, part: _Round) -> None:
        self.runs = part.runs
        self._reads = list(reversed(part.reads))

    def poll(self, max_bytes: int) -> bytes | None:
        return self._reads.pop() if self._reads else None

    def receive_data(self, data: bytes) -> None:
        part = next(self._further, None)
        if part is None or part.sent != data or self._reads:
            raise DiffersError
        self._enter(part)
