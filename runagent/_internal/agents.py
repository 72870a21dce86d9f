"""Which agents this process has clients for: with one alone, no error need name it."""

from __future__ import annotations

import weakref
from typing import Protocol

__all__ = ["are_several", "note_client"]


class _Client(Protocol):
    agent_id: str


_clients: weakref.WeakSet[_Client] = weakref.WeakSet()


def note_client(client: _Client) -> None:
    """Note a client, for as long as it lives."""
    _clients.add(client)


def are_several() -> bool:
    """Whether there are clients for several agents, so that errors of one could be taken for another's."""
    try:
        return len({client.agent_id for client in _clients}) > 1
    except RuntimeError:  # another thread makes a client just now
        return True
