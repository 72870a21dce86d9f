"""Requests to the control API and what answers them, without sockets."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runagent_testing._internal.suggestions import nearest
from runagent_testing._internal.tracebacks import is_ours

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from runagent_testing._host.host import AgentHost
    from runagent_testing._host.scope import Scope

__all__ = [
    "MAX_CONTROL_BODY",
    "MAX_WAIT",
    "ControlError",
    "ControlRequest",
    "EventStream",
    "Later",
    "Outcome",
    "Reply",
]

__tracebackhide__ = is_ours

MAX_CONTROL_BODY = 1024 * 1024  # bytes, as of a script file
MAX_WAIT = 60.0  # seconds that one request may wait
_WAIT = 5.0  # seconds, if the request does not choose them


class ControlError(Exception):
    """A request to the control API is refused.

    Attributes:
        status: The HTTP status.
        code: A word for programs.
        message: A line for people.
        problems: What is wrong with a script, each with ``line``, ``column`` and ``message``.
        headers: Added to the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        problems: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.problems = list(problems)
        self.headers = dict(headers or {})

    def reply(self) -> Reply:
        """Return the answer."""
        error = {"code": self.code, "message": self.message, "problems": self.problems}
        return Reply({"error": error}, self.status, self.headers)


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer.

    Attributes:
        content: A JSON value, or the bytes of another type of content, which `headers` name.
        status: The HTTP status.
        headers: Header fields in addition to those that every answer has.
    """

    content: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """The bytes of the answer."""
        if isinstance(self.content, bytes):
            return self.content
        return json.dumps(self.content, ensure_ascii=True, allow_nan=False).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Later:
    """An answer that may take its time; a thread looks for it.

    Attributes:
        look: Returns the answer; or None if none came within that many seconds.
        timeout: Seconds, after which the answer is ``late``.
        late: Returns the answer if there was none before.
    """

    look: Callable[[float], Reply | None]
    timeout: float = 0.0
    late: Callable[[], Reply] | None = None


@dataclass(frozen=True, slots=True)
class EventStream:
    """An answer that goes on until its client disconnects.

    Attributes:
        look: Returns the events since the last look, each with its name and data.
    """

    look: Callable[[], list[tuple[str, Any]]]


Outcome = Reply | Later | EventStream


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """A request to the control API.

    Attributes:
        host: The server.
        scope: The scope that the request names; the server itself if it names none.
        method: As received.
        path: Below ``/_fake``, percent-encoded, without the query.
        query: The parameters of the query, each with its last value.
        headers: Names in lower case.
        body: The body.
        parameters: The parts of the path that the route leaves open, decoded.
    """

    host: AgentHost
    scope: Scope
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The body as text.

        Raises:
            ControlError: It is not UTF-8.
        """
        try:
            return self.body.decode()
        except UnicodeDecodeError as exc:
            raise ControlError(400, "NOT_JSON", "the body is not UTF-8") from exc

    def fields(self, *known: str, required: Sequence[str] = ()) -> dict[str, Any]:
        """Return the body, a JSON object; no body is an empty one.

        Args:
            known: Its members.
            required: Those of them that cannot be left out.

        Raises:
            ControlError: It is not JSON, or not an object, or has an unknown member or lacks one.
        """
        try:
            given = json.loads(self.text) if self.body else {}
        except (ValueError, RecursionError) as exc:
            raise ControlError(400, "NOT_JSON", "the body is not JSON, or too deep") from exc
        if not isinstance(given, dict):
            raise ControlError(400, "INVALID", "the body is a JSON object")
        for name in given.keys() - set(known):
            raise ControlError(400, "INVALID", f"{name!r} has no meaning here: {nearest(name, known)}")
        for name in required:
            if name not in given:
                raise ControlError(400, "INVALID", f"the body has to have {name!r}")
        return given

    def flag(self, name: str) -> bool:
        """Return a parameter of the query that is true or false; without it, false."""
        value = self.query.get(name, "false")
        if value not in ("true", "false"):
            raise ControlError(400, "INVALID", f"{name} is true or false, not {value[:100]!r}")
        return value == "true"

    def number(self, name: str, default: int | None = None, least: int = 0) -> int | None:
        """Return a parameter of the query that is a whole number."""
        value = self.query.get(name)
        if value is None:
            return default
        if not (value.isascii() and value.isdigit() and len(value) <= 9 and int(value) >= least):
            raise ControlError(
                400, "INVALID", f"{name} is a whole number of {least} or more, not {value[:100]!r}"
            )
        return int(value)

    def word(self, name: str, *known: str) -> str | None:
        """Return a parameter of the query that is one of some words."""
        value = self.query.get(name)
        if value is not None and value not in known:
            raise ControlError(400, "INVALID", f"{name} is {' or '.join(known)}, not {value[:100]!r}")
        return value

    @property
    def timeout(self) -> float:
        """The seconds that the request waits at most: ``timeout`` of the query."""
        given = self.query.get("timeout", str(_WAIT))
        try:
            seconds = float(given)
        except ValueError:
            seconds = math.nan
        if not 0 <= seconds <= MAX_WAIT:
            raise ControlError(
                400, "INVALID", f"timeout is a number of seconds from 0 to {MAX_WAIT:g}, not {given[:100]!r}"
            )
        return seconds
