"""Token counts by their meaning, whatever a service calls them."""

from __future__ import annotations

from typing import Any

from runagent._report import Tokens

__all__ = ["read_tokens"]

# Meanings and their places, of which the first counts: a name, or the names of an object and of its member.
_PLACES = (
    ("input", "input_tokens", ""),
    ("input", "prompt_tokens", ""),
    ("output", "output_tokens", ""),
    ("output", "completion_tokens", ""),
    ("total", "total_tokens", ""),
    ("cached", "cached_tokens", ""),
    ("cached", "input_tokens_details", "cached_tokens"),
    ("cached", "prompt_tokens_details", "cached_tokens"),
    ("cached", "cache_read_input_tokens", ""),
    ("reasoning", "reasoning_tokens", ""),
    ("reasoning", "output_tokens_details", "reasoning_tokens"),
    ("reasoning", "output_tokens_details", "thinking_tokens"),
    ("reasoning", "completion_tokens_details", "reasoning_tokens"),
)


def read_tokens(usage: dict[str, Any] | None) -> Tokens | None:
    """Return the counts in what a service sent as its usage; None if there is none of them.

    Args:
        usage: Counts under the names that the RunAgent formats, OpenAI's two interfaces or Anthropic's use.
            Nothing is added up: what was not sent is None.
    """
    if not usage:
        return None
    counts: dict[str, int] = {}
    for meaning, name, member in _PLACES:
        if name not in usage or meaning in counts:
            continue
        value = usage[name]
        if member:
            value = value.get(member) if isinstance(value, dict) else None
        if isinstance(value, int) and not isinstance(value, bool):
            counts[meaning] = value
    return Tokens(**counts) if counts else None
