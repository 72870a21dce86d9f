"""The bounds of every buffer, with names, defaults and units."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import msgspec

from runagent._errors import ConfigurationError
from runagent._internal.tracebacks import is_ours
from runagent._public import publish

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Limits", "read_limits"]

__tracebackhide__ = is_ours


class Limits(msgspec.Struct, frozen=True, gc=False):
    """What a peer may make us hold or do; past a limit the run ends in a ``StreamLimitError``.

    Each is set by the key of the same name in ``transport_options``.

    Attributes:
        max_head_bytes: Status line and headers of one answer, its trailers, and what of its chunk extensions
            is longer than 1 KiB; bytes.
        max_event_bytes: One SSE event, one NDJSON line or one WebSocket message; bytes.
        max_error_bytes: How much of an error answer's body is read; bytes, the rest is left.
        max_result_bytes: The body of a plain run's answer; bytes.
        max_decompression_ratio: Decompressed bytes per compressed byte, after the first MiB; of codings
            inside one another, the outer ones may give ten at the most.
        max_interim_responses: 1xx answers before the real one; a count.
        max_redirects: Redirects followed in a row; a count.
        max_snapshot_parts: Parts of one answer, for transports that resume by a snapshot; a count.
        max_idle_connections: Connections that a client keeps for later calls, for each event loop; a count.
        max_idle_seconds: How long one is kept; the next call closes what has waited longer; seconds.
        read_ahead_bytes: How much of a stream is read while nobody asks for it; bytes. 0, the
            default, reads nothing ahead: that is backpressure, but a server that pings may give up
            a client whose reader sleeps.
    """

    max_head_bytes: int = 64 * 1024
    max_event_bytes: int = 16 * 1024 * 1024
    max_error_bytes: int = 64 * 1024
    max_result_bytes: int = 64 * 1024 * 1024
    max_decompression_ratio: int = 200
    max_interim_responses: int = 20
    max_redirects: int = 5
    max_snapshot_parts: int = 1000
    max_idle_connections: int = 100
    max_idle_seconds: int = 60
    read_ahead_bytes: int = 0


def read_limits(options: Mapping[str, Any]) -> Limits:
    """Take the limits out of ``transport_options``.

    Raises:
        ConfigurationError: One of them is not a whole number above zero, or larger than any memory.
    """
    given = {name: options[name] for name in Limits.__struct_fields__ if name in options}
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= sys.maxsize:
            raise ConfigurationError(
                f"transport_options: {name}: expected a whole number above 0, found {value!r}"
            )
    return Limits(**given)


publish(Limits, module="runagent.transports")
