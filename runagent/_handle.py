"""Handles: which run a stream belongs to and how far it was read, as a text for another process."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec

from runagent._call import ResumePoint
from runagent._errors import ValidationError

__all__ = ["INVALID_HANDLE", "MAX_IDS_BYTES", "Handle", "read_handle", "write_handle"]

INVALID_HANDLE = "INVALID_HANDLE"  # the code of the error for a handle that is not accepted
MAX_IDS_BYTES = 4096  # of the protocol's ids, as JSON
_MAX_HANDLE_CHARACTERS = 16 * 1024
_MAX_ID_CHARACTERS = 1024
_MAX_COUNT = 2**53
_PREFIX = "ra1."
_MALFORMED = "the handle is malformed: it is not the text that stream.handle gave"


class Handle(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a handle holds. It comes from anywhere: each field is checked before it is used.

    Attributes:
        transport: The transport's name.
        origin: The origin of the run's service, as text.
        agent_id: The agent's id.
        ids: The protocol's ids of the run.
        place: Where to go on; None for the beginning.
    """

    transport: str
    origin: str
    agent_id: str
    ids: dict[str, str]
    place: ResumePoint | None = None


def write_handle(handle: Handle) -> str | None:
    """Write a handle as text; None if its ids are too large, or hold what no id holds."""
    try:
        data = msgspec.json.encode(handle)
        if len(msgspec.json.encode(handle.ids)) > MAX_IDS_BYTES or not _is_sound(handle):
            return None
    except UnicodeEncodeError:  # a lone surrogate
        return None
    text = _PREFIX + urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
    return text if len(text) <= _MAX_HANDLE_CHARACTERS else None


def read_handle(text: object) -> Handle:
    """Read a handle, which may come from an attacker.

    Raises:
        ValidationError: It is malformed (code ``INVALID_HANDLE``).
    """
    if not isinstance(text, str) or not text.startswith(_PREFIX) or len(text) > _MAX_HANDLE_CHARACTERS:
        raise ValidationError(_MALFORMED, code=INVALID_HANDLE)
    coded = text.removeprefix(_PREFIX)
    try:
        data = urlsafe_b64decode(coded + "=" * (-len(coded) % 4))
        handle = msgspec.json.decode(data, type=Handle)
    # A DecodeError is a ValueError only since msgspec 0.21.
    except (ValueError, msgspec.DecodeError, RecursionError):
        handle = None
    if handle is None or not _is_sound(handle):
        raise ValidationError(_MALFORMED, code=INVALID_HANDLE) from None
    return handle


def _is_sound(handle: Handle) -> bool:
    """Whether all ids are short lines of printable characters, as a path or a header field may carry them."""
    ids = [*handle.ids, *handle.ids.values()]
    texts = [handle.transport, handle.origin, handle.agent_id, *ids]
    sound = bool(handle.ids) and all(texts) and all(map(_is_line, texts))
    return sound and (handle.place is None or _is_place(handle.place))


def _is_place(place: ResumePoint) -> bool:
    """Whether a session can prove the place, and its texts are as those of the ids."""
    match place:
        case ResumePoint(proof="index", next_index=int(), parts=()):
            pass
        case ResumePoint(proof="id", next_index=None, parts=()):
            if not place.last_event_id:
                return False
        case ResumePoint(proof="snapshot", next_index=None):
            pass
        case _:
            return False
    texts = [place.last_event_id, *(text for part in place.parts for text in (part.name, part.digest))]
    counts = [place.next_index or 0, *(part.size for part in place.parts)]
    return all(map(_is_line, texts)) and all(0 <= count <= _MAX_COUNT for count in counts)


def _is_line(text: str) -> bool:
    return len(text) <= _MAX_ID_CHARACTERS and text == text.strip() and text.isprintable()
