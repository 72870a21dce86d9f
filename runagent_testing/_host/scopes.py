"""The scopes of a host, and the choice of the one to which a request belongs. No I/O."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote
from weakref import WeakKeyDictionary

from runagent_testing._host.foreign import note_foreign
from runagent_testing._internal.clock import now
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._script.steps import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent_testing._host.answers import Pending, WebSocketAnswer
    from runagent_testing._host.endpoints import Endpoints
    from runagent_testing._host.foreign import Foreign
    from runagent_testing._host.parsed import Answer
    from runagent_testing._host.scope import Scope
    from runagent_testing.dialects import Request

__all__ = [
    "MAX_SCOPES",
    "SCOPE_HEADER",
    "SCOPE_IDLE",
    "SCOPE_PREFIX",
    "ScopedEndpoints",
    "Scopes",
    "checked_name",
    "scope_named",
]

__tracebackhide__ = is_ours

MAX_SCOPES = 1000  # of one host, the host itself aside
SCOPE_IDLE = 600.0  # seconds without a request until a scope is dropped
SCOPE_HEADER = "x-fake-scope"
SCOPE_PREFIX = "/_scope/"

_NAME = re.compile(r"(?! )[^\x00-\x1f/?#\x7f-\U0010ffff]{1,200}(?<! )")


def checked_name(name: object) -> str:
    """Return a valid name of a scope.

    Raises:
        ValueError: It is none.
    """
    if isinstance(name, str) and _NAME.fullmatch(name) and name not in (".", ".."):
        return name
    rule = "1 to 200 printable ASCII characters without '/', '?' and '#'"
    raise ValueError(f"the name of a scope is {rule}, not {str(name)[:200]!r}")


def scope_named(request: Request) -> tuple[str, str]:
    """Return the name of the scope to which a request belongs, "" if it names none, and its path in there.

    Raises:
        ValueError: The name is invalid, or the header and the path name different scopes.
    """
    named, path = request.headers.get(SCOPE_HEADER), request.path
    if path.startswith(SCOPE_PREFIX):
        segment, mark, rest = _cut(path.removeprefix(SCOPE_PREFIX))
        inside = unquote(segment)
        if named not in (None, inside):
            raise ValueError(f"the path names the scope {inside!r}, and {SCOPE_HEADER} the scope {named!r}")
        named, path = inside, f"{mark}{rest}" if mark == "/" else f"/{mark}{rest}"
    return ("" if named is None else checked_name(named)), path


def _cut(path: str) -> tuple[str, str, str]:
    found = re.search(r"[/?]", path)
    return (path, "", "") if found is None else (path[: found.start()], found[0], path[found.end() :])


@dataclass(slots=True)
class _Entry:
    scope: Scope
    used: float


class Scopes:
    """The scopes of a host, by name.

    Args:
        make: Makes a scope of its name and the prefix of its paths.
        clock: Returns the time in seconds.
    """

    def __init__(self, make: Callable[[str, str], Scope], clock: Callable[[], float] = now) -> None:
        self._make = make
        self.clock = clock
        self._entries: dict[str, _Entry] = {}
        self._lock = threading.Lock()

    def get(self, name: str) -> Scope:
        """Return a scope, which now counts as used; an unknown one is made.

        Raises:
            RuntimeError: There are too many scopes.
            ValueError: The name is invalid.
        """
        checked_name(name)
        with self._lock:
            self._drop_idle()
            if (entry := self._entries.get(name)) is None:
                if len(self._entries) >= MAX_SCOPES:
                    raise RuntimeError(f"there are {MAX_SCOPES} scopes: drop some that are no longer used")
                path = f"{SCOPE_PREFIX}{quote(name, safe='')}"
                entry = self._entries[name] = _Entry(self._make(name, path), 0.0)
            entry.used = self.clock()
            return entry.scope

    def all(self) -> list[tuple[Scope, float]]:
        """Return each scope, and for how many seconds no request has come to it."""
        with self._lock:
            self._drop_idle()
            return [(entry.scope, self.clock() - entry.used) for entry in self._entries.values()]

    def drop(self, name: str) -> Scope | None:
        """Forget a scope, and return it."""
        with self._lock:
            entry = self._entries.pop(name, None)
        return None if entry is None else entry.scope

    def clear(self) -> list[Scope]:
        """Forget all scopes, and return them."""
        with self._lock:
            entries = list(self._entries.values())
            self._entries.clear()
        return [entry.scope for entry in entries]

    def _drop_idle(self) -> None:
        # In the order of their last use only if they are moved to the end each time; there are few.
        limit = self.clock() - SCOPE_IDLE
        idle = [name for name, entry in self._entries.items() if entry.used < limit and _rests(entry.scope)]
        for name in idle:
            del self._entries[name]


def _rests(scope: Scope) -> bool:
    return all(exchange.outcome != "running" for exchange in scope.requests)


class ScopedEndpoints:
    """Decides on the answer to every request, in the scope that it names.

    Args:
        host: The scope of requests that name none.
        scopes: The others.
        make: Makes the endpoints of a scope.
    """

    def __init__(self, host: Scope, scopes: Scopes, make: Callable[[Scope], Endpoints]) -> None:
        self._scopes = scopes
        self._make = make
        self._journal = host.journal
        self._default = make(host)
        self._made: WeakKeyDictionary[Scope, Endpoints] = WeakKeyDictionary()

    def note_foreign(self, protocol: Foreign, connection: int, clock: Callable[[], float] = now) -> None:
        """Record a connection that began with another protocol; see `foreign.note_foreign`."""
        note_foreign(self._journal, protocol, connection, clock)

    def answer(self, request: Request) -> Answer | Pending | WebSocketAnswer:
        """Decide on the answer to a request."""
        if SCOPE_HEADER not in request.headers and not request.path.startswith(SCOPE_PREFIX):
            return self._default.answer(request)
        try:
            name, path = scope_named(request)
            scope = self._scopes.get(name) if name else None
        except ValueError as exc:
            return self._default.refuse(request, Status(400, code="BAD_SCOPE", message=str(exc)))
        except RuntimeError as exc:
            return self._default.refuse(request, Status(503, code="TOO_MANY_SCOPES", message=str(exc)))
        if scope is None:
            return self._default.answer(request)
        if (endpoints := self._made.get(scope)) is None:
            endpoints = self._made[scope] = self._make(scope)
        return endpoints.answer(replace(request, path=path))
