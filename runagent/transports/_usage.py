"""Token counts by their meaning, whatever a service calls them."""

from __future__ import annotations

from typing import Any

from runagent._report import Tokens

__all__ = ["read_tokens"]

# Each with its place: a name, or the name of an object and of a member.
_NAMES: dict[str, tuple[tuple[str, ...], ...]] = {
    "input": (("input_tokens",), ("prompt_tokens",)),
    "output": (("output_tokens",), ("completion_tokens",)),
    "total": (("total_tokens",),),
    "cached": (
        ("cached_tokens",),
        ("input_tokens_details", "cached_tokens"),
        ("prompt_tokens_details", "cached_tokens"),
        ("cache_read_input_tokens",),
    ),
    "reasoning": (
        ("reasoning_tokens",),
        ("output_tokens_details", "reasoning_tokens"),
        ("completion_tokens_details", "reasoning_tokens"),
    ),
}


def read_tokens(usage: dict[str, Any] | None) -> Tokens | None:
    """Return the counts in what a service sent as its usage; None if there is none of them.

    Args:
        usage: Counts under the names that the RunAgent formats, OpenAI's two interfaces or Anthropic's use.
            Nothing is added up: what was not sent is None.
    """
    if not usage:
        return None
    counts = {meaning: _first_count(usage, places) for meaning, places in _NAMES.items()}
    return Tokens(**counts) if any(count is not None for count in counts.values()) else None


def _first_count(usage: dict[str, Any], places: tuple[tuple[str, ...], ...]) -> int | None:
    for place in places:
        value: Any = usage
        for name in place:
            value = value.get(name) if isinstance(value, dict) else None
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None
