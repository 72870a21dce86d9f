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
_BY_NAME: dict[str, list[tuple[int, str, str, str]]] = {}  # each place behind its rank
for _rank, _place in enumerate(_PLACES):
    _BY_NAME.setdefault(_place[1], []).append((_rank, *_place))


def read_tokens(usage: dict[str, Any] | None) -> Tokens | None:
    """Return the counts in what a service sent as its usage; None if there is none of them.

    Args:
        usage: Counts under the names that the RunAgent formats, OpenAI's two interfaces or Anthropic's use.
            Nothing is added up: what was not sent is None.
    """
    if not usage:
        return None
    counts: dict[str, int] = {}
    places = [place for name in usage for place in _BY_NAME.get(name, ())]  # few of all that there are
    for _, meaning, name, member in sorted(places):
        if meaning in counts:
            continue
        value = usage[name]
        if member:
            value = value.get(member) if isinstance(value, dict) else None
        if isinstance(value, int) and not isinstance(value, bool):
            counts[meaning] = value
    return Tokens(**counts) if counts else None
