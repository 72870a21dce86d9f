"""The transport: which endpoint is asked, and whether for a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from runagent.transports import Capability, check_options
from runagent_openai.chat import ChatPlain, ChatStream
from runagent_openai.responses import ResponsesPlain, ResponsesStream

if TYPE_CHECKING:
    from runagent.transports import AgentCall, ResumePoint, Route, Session

__all__ = ["OpenAITransport"]

_APIS = {"chat": (ChatStream, ChatPlain), "responses": (ResponsesStream, ResponsesPlain)}
_OPTIONS: dict[str, Any] = {"openai_api": Literal["chat", "responses"], "openai_include_usage": bool}


class OpenAITransport:
    """Runs a model, or what is behind a model's name, over Chat Completions or Responses."""

    name = "openai"
    api_version = 1
    capabilities = frozenset(
        {
            Capability.HEARTBEATS,
            Capability.INVOKE,
            Capability.TOOLS,
            Capability.REASONING,
            Capability.REUSE,
        }
    )
    tunnels = False

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> Session:
        """Begin a session.

        Raises:
            ConfigurationError: An option of this transport is not usable.
            ValidationError: The input is none that the endpoint could take.
        """
        check_options(call.options, "openai", _OPTIONS)
        stream, plain = _APIS[call.options.get("openai_api", "chat")]
        return plain(call, route) if call.mode == "invoke" else stream(call, route)
