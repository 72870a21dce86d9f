"""The vocabularies of A2A 1.0 and 0.3: names of methods, roles, states and events, and the forms of parts.

States are written as 0.3 does inside of this package, without a prefix and in lower case: ``input-required``.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = [
    "ENDED",
    "INTERRUPTED",
    "V0_3",
    "V1_0",
    "EventKind",
    "Operation",
    "Piece",
    "Words",
    "pieces_of",
    "state_of",
    "text_of",
]

Operation = Literal["stream", "send", "subscribe", "get", "cancel"]
EventKind = Literal["artifactUpdate", "statusUpdate", "task", "message"]
Piece = str | dict[str, Any]  # text, {"data": any JSON value}, or {"file": the part in the form of 1.0}

ENDED = frozenset({"completed", "failed", "canceled", "rejected"})
INTERRUPTED = frozenset({"input-required", "auth-required"})  # the stream is over, the task waits

_PREFIX = "TASK_STATE_"
_KINDS: tuple[EventKind, ...] = ("artifactUpdate", "statusUpdate", "task", "message")
_FILE_FIELDS = MappingProxyType({"raw": "bytes", "url": "uri", "mediaType": "mimeType", "filename": "name"})
_FILE_FIELDS_0_3 = MappingProxyType({name: field for field, name in _FILE_FIELDS.items()})
_COMPAT = "data_part_compat"  # a2a-sdk's mark of data that is no object, which 0.3 has no place for


class Words:
    """The vocabulary of A2A 1.0.

    Attributes:
        version: The version, as a card names it.
        headers: The header fields that every request has.
        methods: The names of the methods of JSON-RPC.
        user: The role of the caller.
        agent: The role of the agent.
        has_final: Whether a status shows that it is the last one.
    """

    version = "1.0"
    has_final = False
    headers: ClassVar[tuple[tuple[str, str], ...]] = (("A2A-Version", "1.0"),)
    methods: ClassVar[Mapping[Operation, str]] = MappingProxyType(
        {
            "stream": "SendStreamingMessage",
            "send": "SendMessage",
            "subscribe": "SubscribeToTask",
            "get": "GetTask",
            "cancel": "CancelTask",
        }
    )
    user, agent = "ROLE_USER", "ROLE_AGENT"

    def state(self, state: str) -> str:
        """Write a state."""
        return _PREFIX + state.upper().replace("-", "_")

    def event(self, kind: EventKind, value: dict[str, Any]) -> dict[str, Any]:
        """Write an event of a stream; a field that is False is left out."""
        return {kind: {name: each for name, each in value.items() if each is not False}}

    def sent(self, kind: EventKind, value: dict[str, Any]) -> dict[str, Any]:
        """Write the answer to ``send``: a task or a message."""
        return {kind: value}

    def read_event(self, event: dict[str, Any]) -> tuple[EventKind | None, Any]:
        """Return the kind of an event, or None if it is unknown, and its value."""
        for kind, value in event.items():
            if kind in _KINDS:
                return kind, value
        return None, event

    def unknown_in(self, event: dict[str, Any]) -> list[str]:
        """Return the members of an event that are not known: a kind should be the only one."""
        return [name for name in event if name not in _KINDS]

    def text(self, text: str) -> dict[str, Any]:
        """Write a part with text."""
        return {"text": text}

    def data(self, value: Any) -> dict[str, Any]:
        """Write a part with any JSON value."""
        return {"data": value}

    def file(self, part: dict[str, Any]) -> dict[str, Any]:
        """Write a part with a file, of which ``part`` is the form of 1.0."""
        return part

    def message(self, **fields: Any) -> dict[str, Any]:
        """Write a message."""
        return fields

    def task(self, **fields: Any) -> dict[str, Any]:
        """Write a task, as the answer to a request for it."""
        return fields


class _Words03(Words):
    """The vocabulary of A2A 0.3."""

    version = "0.3"
    has_final = True
    headers = ()  # the field is newer: without it a service takes a request for 0.3
    methods = MappingProxyType(
        {
            "stream": "message/stream",
            "send": "message/send",
            "subscribe": "tasks/resubscribe",
            "get": "tasks/get",
            "cancel": "tasks/cancel",
        }
    )
    user, agent = "user", "agent"
    _words: ClassVar[Mapping[EventKind, str]] = MappingProxyType(
        {"statusUpdate": "status-update", "artifactUpdate": "artifact-update"}
    )
    _kinds: ClassVar[Mapping[str, EventKind]] = MappingProxyType(
        {
            "artifact-update": "artifactUpdate",
            "status-update": "statusUpdate",
            "task": "task",
            "message": "message",
        }
    )

    def state(self, state: str) -> str:
        return state

    def event(self, kind: EventKind, value: dict[str, Any]) -> dict[str, Any]:
        return {"kind": self._words.get(kind, kind), **value}

    def sent(self, kind: EventKind, value: dict[str, Any]) -> dict[str, Any]:
        return self.event(kind, value)

    def read_event(self, event: dict[str, Any]) -> tuple[EventKind | None, Any]:
        kind = event.get("kind")
        return self._kinds.get(kind) if isinstance(kind, str) else None, event

    def unknown_in(self, event: dict[str, Any]) -> list[str]:
        kind = event.get("kind")
        return [] if self._kinds.get(str(kind)) else [str(kind)]

    def text(self, text: str) -> dict[str, Any]:
        return {"kind": "text", "text": text}

    def data(self, value: Any) -> dict[str, Any]:
        if isinstance(value, dict):
            return {"kind": "data", "data": value}
        return {"kind": "data", "data": {"value": value}, "metadata": {_COMPAT: True}}

    def file(self, part: dict[str, Any]) -> dict[str, Any]:
        own = {_FILE_FIELDS.get(name, name): value for name, value in part.items() if name != "metadata"}
        about = {"metadata": part["metadata"]} if "metadata" in part else {}
        return {"kind": "file", "file": own, **about}

    def message(self, **fields: Any) -> dict[str, Any]:
        return {"kind": "message", **fields}

    def task(self, **fields: Any) -> dict[str, Any]:
        return {"kind": "task", **fields}


V1_0, V0_3 = Words(), _Words03()


def state_of(status: dict[str, Any]) -> str:
    """Return the state in a status, of either version.

    Raises:
        LookupError: There is none.
        AttributeError: It is no text.
    """
    state: str = status["state"].removeprefix(_PREFIX).lower().replace("_", "-")
    return state


def pieces_of(parts: Iterable[dict[str, Any]]) -> Iterator[Piece]:
    """Return what is in the parts of a message or an artifact, of either version."""
    for part in parts:
        text = part.get("text")
        if isinstance(text, str):
            yield text
        elif "data" in part:
            data, about = part["data"], part.get("metadata")
            compat = isinstance(about, dict) and about.get(_COMPAT) is True
            yield {"data": data["value"] if compat else data}
        elif isinstance(part.get("file"), dict):
            yield {"file": _file_of(part)}
        else:
            yield {"file": part}


def _file_of(part: dict[str, Any]) -> dict[str, Any]:
    """Return a part of 0.3 with a file in the form of 1.0."""
    own = {_FILE_FIELDS_0_3.get(name, name): value for name, value in part["file"].items()}
    return own | ({"metadata": part["metadata"]} if "metadata" in part else {})


def text_of(message: dict[str, Any] | None) -> str:
    """Return the text of a message, "" if it has none."""
    pieces = pieces_of((message or {}).get("parts") or ())
    return "".join(piece for piece in pieces if isinstance(piece, str))
