"""Suggestions for requests to unknown agents and endpoints, and for those without a script. No I/O."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import TYPE_CHECKING
from urllib.parse import quote

from runagent_testing._internal.suggestions import nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from runagent_testing._journal.exchange import Exchange

__all__ = ["ENDPOINTS", "describe_attempt", "unknown_agent", "unknown_endpoint"]

_KEY = "idempotency-key"

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
    if not known:
        return f"agent {agent_id!r}: there are no agents yet, make one with agent({agent_id!r})"
    there_are = "there is" if len(known) == 1 else "there are"
    only = f"{there_are} only {', '.join(map(repr, known))}"
    return f"agent {agent_id!r}: {nearest(agent_id, known, only)}"


def unknown_endpoint(method: str, path: str, known: Collection[str]) -> str:
    """Suggest the most similar endpoint, and describe the differences."""
    path = path.partition("?")[0]
    agents = [quote(agent_id, safe="") for agent_id in known] or ["{agent_id}"]
    candidates = [(verb, pattern.format(agent)) for verb, pattern in ENDPOINTS for agent in agents]
    wanted = method, path
    closest = max(candidates, key=lambda candidate: _likeness(wanted, candidate))
    return f"nearest is {' '.join(closest)}: {', '.join(_differences(wanted, closest))}"


def describe_attempt(exchange: Exchange, requests: Iterable[Exchange]) -> str:
    """Describe which request this one repeats or resumes; empty if it is the first attempt at a run.

    A retry has the key of the first attempt, a resumption that key with a number behind it.
    """
    key = exchange.raw_headers.get(_KEY, "")
    for earlier in requests:
        known = earlier.raw_headers.get(_KEY)
        if earlier is exchange or not known or not key.startswith(known):
            continue
        mark, _, count = key.removeprefix(known).partition("-")
        if key == known or (not mark and count.isdecimal()):
            verb = "repeats" if key == known else "resumes"
            return f"; it {verb} request {earlier.number}, and each attempt at a run takes an answer"
    return ""


def _likeness(wanted: tuple[str, str], candidate: tuple[str, str]) -> tuple[float, bool]:
    return SequenceMatcher(None, wanted[1], candidate[1]).ratio(), wanted[0] == candidate[0]


def _differences(wanted: tuple[str, str], closest: tuple[str, str]) -> list[str]:
    found = []
    if wanted[0] != closest[0]:
        found.append(f"the method is {wanted[0]} instead of {closest[0]}")
    parts, expected = wanted[1].split("/"), closest[1].split("/")
    if len(parts) == len(expected):
        pairs = zip(parts, expected, strict=True)
        found += [f"{part!r} instead of {known!r}" for part, known in pairs if part != known]
    elif wanted[1].endswith(closest[1]):
        found.append(f"{wanted[1].removesuffix(closest[1])!r} comes before it")
    else:
        found.append("the path has other parts")
    return found
