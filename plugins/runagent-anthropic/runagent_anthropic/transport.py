"""The transport: a stream or a plain run of the Messages API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent.transports import Capability, check_options
from runagent_anthropic.plain import PlainMessage
from runagent_anthropic.session import MessageStream

if TYPE_CHECKING:
    from runagent.transports import AgentCall, ResumePoint, Route, Session

__all__ = ["AnthropicTransport"]

_OPTIONS: dict[str, Any] = {"anthropic_version": str, "anthropic_max_tokens": int}


class AnthropicTransport:
    """Runs a model, or what is behind a model's name, over ``POST /v1/messages``."""

    name = "anthropic"
    api_version = 1
    capabilities = frozenset(
        {
            Capability.HEARTBEATS,
            Capability.INVOKE,
            Capability.REASONING,
            Capability.REUSE,
            Capability.TOOLS,
        }
    )
    tunnels = False

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> Session:
        """Begin a session.

        Raises:
            ConfigurationError: An option of this transport is not usable.
            ValidationError: The input is none that the endpoint could take.
        """
        check_options(call.options, "anthropic_", _OPTIONS)
        return PlainMessage(call, route, None) if call.mode == "invoke" else MessageStream(call, route)
