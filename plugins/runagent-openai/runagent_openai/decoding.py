"""Objects in answers of which the rest is as the server sent it."""

from __future__ import annotations

from typing import Any

__all__ = ["objects_in"]


def objects_in(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list; none if the value is no list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
