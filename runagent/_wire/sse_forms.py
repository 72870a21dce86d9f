"""The usual forms of server-sent events: several of one form are read at once.

Invariant: the events are those that come of reading each line by itself, as the specification describes.
"""

from __future__ import annotations

import itertools

import msgspec

__all__ = ["EventRow", "ServerSentEvent", "has_ends", "split_numbered", "take_alike"]


class ServerSentEvent(msgspec.Struct, frozen=True, gc=False):
    """One dispatched event.

    Attributes:
        event: Its type; ``message`` if the stream names none.
        data: The data lines, joined by LF.
        id: The last event id at the moment of dispatch; it persists from event to event.
        retry: The reconnection time in milliseconds, if this event set one.
        has_id: Whether this event set the id; if not, the id is that of an earlier one.
    """

    event: str
    data: str
    id: str
    retry: int | None = None
    has_id: bool = False


class EventRow(msgspec.Struct, frozen=True, gc=False):
    """Consecutive events that differ only in their data, which is one line that looks like a JSON object.

    Attributes:
        event: The type of all events, as received.
        lines: Their data, each from ``{`` to ``}``, with LF between two of them and nowhere else.
        count: The number of events.
        id: The last event id at their dispatch.
    """

    event: bytes
    lines: bytes
    count: int
    id: str

    def apart(self) -> list[ServerSentEvent]:
        """Return them one by one."""
        event = self.event.decode("utf-8", "replace")
        data = self.lines.decode("utf-8", "replace").split("\n")
        return [ServerSentEvent(event, one, self.id) for one in data]


def has_ends(data: bytes, end: bytes, count: int, stop: int) -> bool:
    """Whether there are so many line ends before a place, and no other CR or LF.

    Args:
        data: Bytes with a CR only if the line end is CRLF.
        end: The line end, CRLF or LF.
        count: How many line ends were found already.
        stop: The place.
    """
    return data.count(b"\n", 0, stop) == count and (end == b"\n" or data.count(b"\r", 0, stop) == count)


def split_numbered(data: bytes, end: bytes) -> tuple[list[ServerSentEvent], bytes]:
    """Cut events off the start that have one type, and each one line of data and then an id.

    Args:
        data: Bytes with a CR only if the line end is CRLF; an event begins here.
        end: The line end, CRLF or LF.

    Returns:
        The events and the other bytes; no events if no such event begins the bytes.
    """
    type_line = data[: data.find(end)]
    opening, blank = type_line + end + b"data: ", end + end
    if not type_line.startswith(b"event: ") or not data.startswith(opening):
        return [], data
    joint = blank + opening
    last = data.rfind(joint)
    stop = data.find(blank, last + len(joint) if last >= 0 else 0)
    if stop < 0:
        stop = last  # the last event is incomplete
    if stop < 0 or b"\0" in data[:stop]:  # an id with NUL is none
        return [], data
    texts = data[len(opening) : stop].decode("utf-8", "replace").split(joint.decode("utf-8", "replace"))
    mark = end.decode() + "id: "
    parts = [text.rpartition(mark) for text in texts]
    # Four line ends an event, of which the last event's two are behind `stop`. So with an id in each event
    # there is no further line.
    if not has_ends(data, end, 4 * len(parts) - 2, stop) or not all(found for _, found, _ in parts):
        return [], data
    event = type_line[7:].decode("utf-8", "replace") or "message"
    events = [ServerSentEvent(event, line, id_, None, True) for line, _, id_ in parts]
    return events, data[stop + len(blank) :]


def take_alike(complete: bytes, last_id: str, events: list[ServerSentEvent]) -> int:
    """Take the first events, as long as they have the lines of one usual form; count the other lines.

    The forms are a line of data, perhaps the type before it, perhaps then an id behind it.

    Args:
        complete: Lines that end in LF, without the last one's, from the start of an event. They have no CR,
            and all together are within the limit of one event.
        last_id: The last event id before them.
        events: Where the events go.
    """
    lines = complete.decode("utf-8", "replace").split("\n")  # no character has a line end in it
    has_type = lines[0].startswith("event: ")
    has_id = has_type and lines[2:3] != [""]
    period = 2 + has_type + has_id
    types = lines[0::period] if has_type else itertools.repeat("")
    ids = lines[2::period] if has_id else itertools.repeat("")
    known, event, left = "", "message", len(lines)
    for of_type, data, of_id, blank in zip(
        types, lines[has_type::period], ids, lines[period - 1 :: period], strict=False
    ):
        if of_type != known:
            if not of_type.startswith("event: "):
                break
            known, event = of_type, of_type[7:] or "message"
        if blank or not data.startswith("data: "):
            break
        if has_id:
            if not of_id.startswith("id: ") or "\0" in of_id:
                break
            last_id = of_id[4:]
        events.append(ServerSentEvent(event, data[6:], last_id, None, has_id))
        left -= period
    return left
