"""Peers that break every run: how often, and how fast, a client asks them again."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runagent import RunAgentError
from tests.soak.crowd import crowd
from tests.support.peer import Peer, PeerConnection, answers, ndjson, sse
from tests.support.styles import Style

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PEERS", "Insistence", "insist"]

MAX_RESUMES = 5
AT_ONCE = 20


@dataclass(frozen=True)
class Insistence:
    """What the peer has seen.

    Attributes:
        runs: How many there were.
        most_asked: How often the agent was asked in one run, at most.
        most_a_second: How often in one run within a second, at most.
    """

    runs: int
    most_asked: int
    most_a_second: int

    def __str__(self) -> str:
        return f"{self.most_asked} requests a run at most, {self.most_a_second} of them within a second"


def _cuts(connection: PeerConnection, retry: bytes = b": hello\n\n") -> None:
    """Send the chunk that is asked for, and cut the connection behind it."""
    request = connection.read_request()
    if request is not None:
        index = request.json.get("parameters", {}).get("resume_from_index", 0)
        connection.send(sse(retry, ("chunk", {"content": "x", "index": index}), end=False))


def _cuts_at_once(connection: PeerConnection) -> None:
    _cuts(connection, b"retry: 0\n\n")


def _cuts_lines(connection: PeerConnection) -> None:
    request = connection.read_request()
    if request is not None:
        index = request.json.get("parameters", {}).get("resume_from_index", 0)
        connection.send(ndjson({"type": "chunk", "content": "x", "index": index}, end=False))


def _dies(connection: PeerConnection) -> None:
    """Answer one run, and die as soon as the next one has been taken."""
    answers(sse(("chunk", {"content": "x"}), ("done", {})))(connection)
    connection.read_request()


# Each with its transport, the options of its client, and the bounds of a run's requests: in all, in a second.
PEERS: dict[str, tuple[Callable[[PeerConnection], None], str, int, int]] = {
    "cuts behind each chunk": (_cuts, "sse", 1 + MAX_RESUMES, 5),
    "cuts behind each line": (_cuts_lines, "chunked", 1 + MAX_RESUMES, 5),
    "cuts and asks for no wait": (_cuts_at_once, "sse", 1 + MAX_RESUMES, 5),
    "dies after it has taken a request": (_dies, "sse", 1, 1),
}


def insist(style: str, kind: str, runs: int) -> Insistence:
    """Make so many runs against a peer that breaks them all.

    Raises:
        AssertionError: The peer was asked more often than the bounds allow.
    """
    act, transport, in_all, in_a_second = PEERS[kind]
    asked: defaultdict[str, list[float]] = defaultdict(list)

    def noting(connection: PeerConnection) -> None:
        read = connection.read_request

        def read_request() -> Any:
            request = read()
            if request is not None:
                asked[request.json["query"]].append(time.monotonic())
            return request

        connection.read_request = read_request  # type: ignore[method-assign]
        act(connection)

    with Peer(noting) as peer:
        options: dict[str, Any] = {"transport": transport, "retry_delay": 0.0, "max_resumes": MAX_RESUMES}
        client = Style(style).client("a", base_url=peer.url, **options)

        async def read(number: int) -> None:
            with contextlib.suppress(RunAgentError):
                await client.run_generic_stream({"query": str(number)}).text()

        async def all_of_them() -> None:
            await crowd(style, runs, min(AT_ONCE, runs), read)()
            await client.aclose()

        Style(style, debug=False).run(all_of_them)
    assert len(asked) == runs
    seen = Insistence(runs, max(map(len, asked.values())), max(map(_most_a_second, asked.values())))
    assert seen.most_asked <= in_all, seen
    assert seen.most_a_second <= in_a_second, seen
    return seen


def _most_a_second(times: list[float]) -> int:
    return max(sum(start <= at < start + 1.0 for at in times) for start in times)
