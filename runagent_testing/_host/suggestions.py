"""Suggestions for requests to unknown agents and endpoints. No I/O."""

from __future__ import annotations

from difflib import SequenceMatcher, get_close_matches
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["ENDPOINTS", "unknown_agent", "unknown_endpoint"]

# Methods and paths that are answered (docs/wire.md sections 1 to 3).
ENDPOINTS = (
    ("POST", "/v1/agents/{}/stream"),
    ("GET", "/v1/agents/{}/stream"),
    ("POST", "/v1/agents/{}/invoke"),
    ("POST", "/api/v1/agents/{}/run"),
    ("GET", "/api/v1/agents/{}/run-stream"),
    ("GET", "/api/v1/agents/{}/architecture"),
    ("GET", "/api/v1/health"),
)


def unknown_agent(agent_id: str, known: Collection[str]) -> str:
    """Suggest the known agent with the most similar id."""
    near = get_close_matches(agent_id, known, n=1)
    if near:
        return f"agent {agent_id!r}: did you mean {near[0]!r}?"
    if known:
        there_are = "there is" if len(known) == 1 else "there are"
        return f"agent {agent_id!r}: {there_are} only {', '.join(map(repr, known))}"
    return f"agent {agent_id!r}: there are no agents yet, make one with agent({agent_id!r})"


def unknown_endpoint(method: str, path: str, known: Collection[str]) -> str:
    """Suggest the most similar endpoint, and describe the differences."""
    path = path.partition("?")[0]
    agents = [quote(agent_id, safe="") for agent_id in known] or ["{agent_id}"]
    candidates = [(verb, pattern.format(agent)) for verb, pattern in ENDPOINTS for agent in agents]
    wanted = method, path
    nearest = max(candidates, key=lambda candidate: _likeness(wanted, candidate))
    return f"nearest is {' '.join(nearest)}: {', '.join(_differences(wanted, nearest))}"


def _likeness(wanted: tuple[str, str], candidate: tuple[str, str]) -> tuple[float, bool]:
    return SequenceMatcher(None, wanted[1], candidate[1]).ratio(), wanted[0] == candidate[0]


def _differences(wanted: tuple[str, str], nearest: tuple[str, str]) -> list[str]:
    found = []
    if wanted[0] != nearest[0]:
        found.append(f"the method is {wanted[0]} instead of {nearest[0]}")
    parts, expected = wanted[1].split("/"), nearest[1].split("/")
    if len(parts) == len(expected):
        pairs = zip(parts, expected, strict=True)
        found += [f"{part!r} instead of {known!r}" for part, known in pairs if part != known]
    elif wanted[1].endswith(nearest[1]):
        found.append(f"{wanted[1].removesuffix(nearest[1])!r} comes before it")
    else:
        found.append("the path has other parts")
    return found
