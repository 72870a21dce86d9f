"""The events of AG-UI, as far as their fields decide what they mean."""

from __future__ import annotations

from typing import Any

import msgspec

from runagent.transports import JSONReader, decode_json

__all__ = ["AGUIEvent", "fields_of", "read_event"]


class AGUIEvent(msgspec.Struct, rename="camel"):
    """One event.

    Attributes:
        subagent_run_id: The subagent that it comes from; None for the agent itself.
    """

    type: str
    message_id: Any = None
    delta: Any = None
    role: Any = None
    subagent_run_id: Any = None
    tool_call_id: Any = None
    tool_call_name: Any = None
    thread_id: Any = None
    run_id: Any = None
    name: Any = None
    value: Any = None
    snapshot: Any = None
    message: Any = None
    code: Any = None
    outcome: Any = None
    usage: Any = None

    @property
    def lane(self) -> str | None:
        """The subagent, if it is named by a text."""
        return self.subagent_run_id if isinstance(self.subagent_run_id, str) else None


read_event = JSONReader(AGUIEvent, "an event").read


def fields_of(data: str) -> dict[str, Any]:
    """Return all fields of an event but its type and its time, which every event may have."""
    fields: dict[str, Any] = decode_json(data)
    return {name: value for name, value in fields.items() if name not in ("type", "timestamp")}
