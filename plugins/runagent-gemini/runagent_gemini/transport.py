"""The transport: a stream or a plain run of the Gemini API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent.transports import Capability
from runagent_gemini.plain import PlainContent
from runagent_gemini.session import ContentStream

if TYPE_CHECKING:
    from runagent.transports import AgentCall, ResumePoint, Route, Session

__all__ = ["GeminiTransport"]


class GeminiTransport:
    """Runs a model over ``streamGenerateContent`` and ``generateContent``."""

    name = "gemini"
    api_version = 1
    capabilities = frozenset({Capability.INVOKE, Capability.REASONING, Capability.REUSE, Capability.TOOLS})
    tunnels = False

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> Session:
        """Begin a session.

        Raises:
            ValidationError: The input is not one that the protocol can carry.
        """
        return PlainContent(call, route, None) if call.mode == "invoke" else ContentStream(call, route)
