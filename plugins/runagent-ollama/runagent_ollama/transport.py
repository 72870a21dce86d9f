"""The transport: which endpoint is asked, and whether for a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from runagent.transports import Capability, check_options
from runagent_ollama.session import LineStream, PlainAnswer

if TYPE_CHECKING:
    from runagent.transports import AgentCall, ResumePoint, Route, Session

__all__ = ["OllamaTransport"]

_OPTIONS: dict[str, Any] = {"ollama_api": Literal["chat", "generate"]}


class OllamaTransport:
    """Runs a model over ``/api/chat`` or ``/api/generate``."""

    name = "ollama"
    api_version = 1
    capabilities = frozenset({Capability.INVOKE, Capability.REASONING, Capability.REUSE, Capability.TOOLS})
    tunnels = False

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> Session:
        """Begin a session.

        Raises:
            ConfigurationError: An option of this transport is not usable.
            ValidationError: The input is none that the endpoint could take.
        """
        check_options(call.options, "ollama_", _OPTIONS)
        return PlainAnswer(call, route, None) if call.mode == "invoke" else LineStream(call, route)
