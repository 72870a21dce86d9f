"""The version of the interface between runagent and its transports, and what a transport declares of itself.

A transport states both twice: as attributes of its class, which count, and in its package's metadata,
which can be read without importing it. There it is an entry point of the group ``runagent.capabilities``
whose value refers to an object of this module, such as ``runagent.capabilities:v1.invoke.structured``.
"""

from __future__ import annotations

import enum
import re

import msgspec

from runagent._version import __version__

__all__ = [
    "OLDEST_TRANSPORT_API_VERSION",
    "TRANSPORT_API_VERSION",
    "Capability",
    "Declaration",
    "api_version_fault",
    "parse_declaration",
    "v1",
]

TRANSPORT_API_VERSION = 1
"""The version of the interface that this release has."""

OLDEST_TRANSPORT_API_VERSION = 1
"""The oldest version whose transports still work."""

_REFERENCE = r"\s*runagent\.capabilities\s*:\s*v(\d{1,9})((?:\.\w+)*)\s*(?:\[.*)?"


class Capability(enum.StrEnum):
    """Something that a transport can do and not every transport can."""

    INVOKE = "invoke"
    """Makes plain runs: a call whose ``mode`` is ``invoke`` gives one ``RunResult``. Without it such a run
    over this transport is a ConfigurationError, or goes over the next one of the choice."""

    RESUME = "resume"
    """Numbers its chunks without a gap, states a ``resume_point``, and proves with the first chunk after it
    that it went on there. Without a capability to resume, a broken stream is never resumed."""

    RESUME_BY_ID = "resume_by_id"
    """Its protocol orders the ids of events: it states a ``resume_point`` with the last id, and proves with
    the first event after it that this one is later."""

    RESUME_BY_SNAPSHOT = "resume_by_snapshot"
    """Its service begins a resumed stream with everything so far, in named parts: it states a
    ``resume_point`` with what it received of each, and hands out only the rest."""

    HEARTBEATS = "heartbeats"
    """Its protocol lets the agent show life between two events: a comment, an empty line, a ping. Without
    it the ``idle`` limit bounds the time between two events."""

    STRUCTURED = "structured"
    """A chunk's content may be any JSON value. Without it chunks are text, or of the few forms that the
    transport's own page names."""

    TOOLS = "tools"
    """Its agents call tools: each call is one ``ToolCall`` with all its arguments."""

    REASONING = "reasoning"
    """Its agents show how they come to their answer: as ``Reasoning``, and not as chunks."""

    REUSE = "reuse"
    """A connection serves one stream after another. Without it each stream opens its own."""

    ATTACH = "attach"
    """A run outlives its stream: its session gives ``handle_ids``, and a call with ``attach_to`` reads on in
    that run and never starts one. Without it ``stream.handle`` is None."""

    CANCEL = "cancel"
    """The service can be asked to stop a run: ``open_cancel``, or ``cancel`` of an `AsyncTransport`. Without
    it ``stream.cancel()`` only closes the stream."""


_NAMES = frozenset(capability.value for capability in Capability)


class Declaration(msgspec.Struct, frozen=True):
    """What a package declares of a transport in its metadata.

    Attributes:
        api_version: The version of the interface that the transport was written for.
        capabilities: Names of capabilities; one of a newer runagent may be among them.
    """

    api_version: int
    capabilities: frozenset[str] = frozenset()

    def __getattr__(self, name: str) -> Declaration:
        """Add a capability, so that a reference to a declaration leads to one."""
        if name not in _NAMES:
            raise AttributeError(f"there is no capability {name!r}; there are: {', '.join(sorted(_NAMES))}")
        return Declaration(self.api_version, self.capabilities | {name})


v1 = Declaration(1)
"""What entry points refer to, with the declared capabilities behind it: ``v1.invoke.structured``."""


def parse_declaration(reference: str) -> Declaration | None:
    """Read an entry point's value; None if it declares nothing."""
    match = re.fullmatch(_REFERENCE, reference, re.ASCII)
    if match is None:
        return None
    return Declaration(int(match[1]), frozenset(match[2].split(".")[1:]))


def api_version_fault(version: int) -> str | None:
    """Describe what is wrong with a transport of this version of the interface, and who has to act."""
    if OLDEST_TRANSPORT_API_VERSION <= version <= TRANSPORT_API_VERSION:
        return None
    known = (
        f"{TRANSPORT_API_VERSION}"
        if OLDEST_TRANSPORT_API_VERSION == TRANSPORT_API_VERSION
        else f"{OLDEST_TRANSPORT_API_VERSION} to {TRANSPORT_API_VERSION}"
    )
    who = "runagent" if version > TRANSPORT_API_VERSION else "the package that brings it"
    return (
        f"it was written for version {version} of the transport API, and runagent {__version__} knows"
        f" {known};"
        f" upgrade {who}"
    )
