"""Exchanges as JSON values, for other processes, for files and for reports; docs/testing.md has the form."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runagent_testing._internal.redaction import escaped
from runagent_testing._journal.progress import progress
from runagent_testing._journal.timeline import timeline
from runagent_testing._script.describe import described, without_secrets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runagent_testing._internal.redaction import Secrets
    from runagent_testing._journal.record import Record, Sent

__all__ = ["as_dict", "as_json_value", "data_fields", "hidden_writes"]

_REQUEST = ("number", "arrival", "agent_id", "dialect", "transport", "method", "started_at")
_ANSWER = ("connection", "reused", "status", "outcome", "client", "unread_bytes")
_TIMES = ("ended_at", "disconnected_at")
_FAULTS = ("unmatched", "refused", "failure", "fault")


def as_dict(exchange: Record, secrets: Secrets) -> dict[str, Any]:
    """Return an exchange as a JSON value.

    Args:
        exchange: The exchange.
        secrets: The credentials to hide.
    """
    fields: dict[str, Any] = {name: getattr(exchange, name) for name in _REQUEST}
    fields["path"] = secrets.text(exchange.path)
    fields["headers"] = secrets.headers(exchange.raw_headers)
    for name in ("body", "input", "messages"):
        fields[name] = as_json_value(secrets.value(getattr(exchange, name)))
    fields["message_times"] = [_rounded(seconds) for seconds in exchange.message_times]
    fields |= {name: getattr(exchange, name) for name in _ANSWER}
    fields |= {name: _rounded(getattr(exchange, name)) for name in _TIMES}
    faults = {name: getattr(exchange, name) for name in _FAULTS}
    fields |= {name: None if text is None else secrets.text(text) for name, text in faults.items()}
    writes = exchange.sent
    fields["steps"] = [
        {
            "number": number,
            "step": escaped(described(without_secrets(step, secrets), repr)),
            "seconds": _rounded(seconds),
        }
        for number, step, seconds in progress(exchange)
    ]
    fields["bytes"] = sum(len(sent.data) for sent in writes)
    fields["writes"] = [
        {
            "seconds": _rounded(sent.seconds),
            "bytes": len(sent.data),
            "steps": [number + 1 for number in sent.steps],
            **data_fields(data),
        }
        for sent, data in zip(writes, hidden_writes(writes, secrets), strict=True)
    ]
    fields["timeline"] = timeline(exchange, secrets)
    return fields


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)


def hidden_writes(writes: Sequence[Sent], secrets: Secrets) -> list[bytes]:
    """Return the bytes of writes, with asterisks for credentials, also for those that a write's end cuts."""
    data = secrets.data(b"".join([sent.data for sent in writes]))
    pieces, at = [], 0
    for sent in writes:
        pieces.append(data[at : at + len(sent.data)])
        at += len(sent.data)
    return pieces


def data_fields(data: bytes) -> dict[str, str]:
    """Return bytes as ``text`` if they are UTF-8, or else as ``base64``."""
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def as_json_value(value: Any) -> Any:
    """Return a value that JSON can carry: bytes as in `data_fields`, anything else as its repr."""
    match value:
        case None | bool() | str() | int():
            return value
        case float():
            return value if math.isfinite(value) else repr(value)
        case bytes():
            return data_fields(value)
        case Mapping():
            return {str(name): as_json_value(item) for name, item in value.items()}
        case list() | tuple():
            return [as_json_value(item) for item in value]
        case _:
            return repr(value)
