"""The id of a run, and the time at which it begins."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

__all__ = ["random_id", "utc_time"]


def random_id() -> str:
    """Make the id of a run."""
    return str(uuid.uuid4())


def utc_time() -> str:
    """Return the time, ISO 8601."""
    return datetime.now(UTC).isoformat()
